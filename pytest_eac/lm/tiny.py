"""A model of random weights, made in memory: what to try a method on where there is no other."""

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from pytest_eac.lm.layout import find_layout
from pytest_eac.lm.loading.load import LoadedModel

_END = "<end>"
_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,  # wide enough for the layers to hear one another
}


def tiny_model(texts: Iterable[str], *, seed: int = 0) -> LoadedModel:
    """Make a Llama of random weights, with a tokenizer that knows the words of ``texts``.

    Other texts it spells out in bytes. The same seed gives the same model; the global random
    numbers are as they were.
    """
    tokenizer = _tokenizer(texts)
    ids = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    config = AutoConfig.for_model("llama", vocab_size=len(tokenizer), **_SHAPE, **ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.eval().requires_grad_(requires_grad=False)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        layout=find_layout(config),
        id="tiny random Llama",
        revision=None,
    )


def _tokenizer(texts: Iterable[str]) -> Any:
    """Train a byte-level tokenizer until each word of ``texts`` is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=[_END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=_END, eos_token=_END)
