"""The smallest model that loads, as values to change: a Llama of one layer that knows letters."""

from __future__ import annotations

import json
import random
import struct
from math import prod
from typing import Any

SIZE, INNER, HEADS = 8, 16, 2
_LETTERS = "abcdefghijklmnopqrstuvwxyzT"
WORDS = ("<s>", "</s>", "\u0120", *_LETTERS, "\u0120t", "\u0120th", "\u0120the", "he")
MERGES = (("\u0120", "t"), ("\u0120t", "h"), ("\u0120th", "e"), ("h", "e"))

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "dtype": "float32",
    "eos_token_id": [1],
    "head_dim": SIZE // HEADS,
    "hidden_act": "silu",
    "hidden_size": SIZE,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "max_position_embeddings": 64,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": HEADS,
    "num_hidden_layers": 1,
    "num_key_value_heads": 1,
    "pad_token_id": 1,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-06,
    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
    "tie_word_embeddings": False,
    "transformers_version": "5.0.0",
    "use_cache": True,
    "vocab_size": len(WORDS),
}
GENERATION: dict[str, Any] = {
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "do_sample": False,
    "max_new_tokens": 5,
    "temperature": 1.0,
    "top_p": 0.9,
    "stop_strings": ["x"],
    "transformers_version": "5.0.0",
}
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[{{ m.content | trim }}]{% else %}"
    "{{ raise_exception('no such role') }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ bos_token + ':' }}{% endif %}"
)
TOKENIZER_CONFIG: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "add_bos_token": True,
    "added_tokens_decoder": {
        str(n): {"content": WORDS[n], "special": True, "lstrip": False, "normalized": False}
        for n in (0, 1)
    },
    "bos_token": "<s>",
    "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True},
    "pad_token": "</s>",
    "additional_special_tokens": ["</s>"],
    "clean_up_tokenization_spaces": False,
    "model_max_length": 64,
    "padding_side": "left",
    "chat_template": TEMPLATE,
}
SPECIAL_TOKENS: dict[str, Any] = {
    "bos_token": {"content": "<s>", "lstrip": False, "normalized": False, "rstrip": False},
    "eos_token": "</s>",
    "pad_token": "</s>",
    "additional_special_tokens": ["</s>"],
}
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {
            "id": n,
            "content": WORDS[n],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for n in (0, 1)
    ],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
    "pre_tokenizer": {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    },
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    },
    "decoder": {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": True,
        "use_regex": True,
    },
    "model": {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {word: n for n, word in enumerate(WORDS)},
        "merges": [list(pair) for pair in MERGES],
    },
}
ADAPTER: dict[str, Any] = {
    "peft_type": "LORA",
    "base_model_name_or_path": "x",
    "r": 1,
    "lora_alpha": 1,
    "target_modules": ["down_proj"],
    "task_type": "CAUSAL_LM",
}
_PART = "model.layers.0."
SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (len(WORDS), SIZE),
    f"{_PART}input_layernorm.weight": (SIZE,),
    f"{_PART}self_attn.q_proj.weight": (SIZE, SIZE),
    f"{_PART}self_attn.k_proj.weight": (SIZE // HEADS, SIZE),
    f"{_PART}self_attn.v_proj.weight": (SIZE // HEADS, SIZE),
    f"{_PART}self_attn.o_proj.weight": (SIZE, SIZE),
    f"{_PART}post_attention_layernorm.weight": (SIZE,),
    f"{_PART}mlp.gate_proj.weight": (INNER, SIZE),
    f"{_PART}mlp.up_proj.weight": (INNER, SIZE),
    f"{_PART}mlp.down_proj.weight": (SIZE, INNER),
    "model.norm.weight": (SIZE,),
    "lm_head.weight": (len(WORDS), SIZE),
}


def numbers(shape: tuple[int, ...]) -> bytes:
    """Return numbers for a tensor of a shape, as float32."""
    rng = random.Random(0)
    return b"".join(struct.pack("<f", rng.uniform(-0.5, 0.5)) for _ in range(prod(shape)))


def header() -> dict[str, Any]:
    """Return the header of the file of weights, with the metadata that transformers writes."""
    found: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in SHAPES.items():
        end = at + 4 * prod(shape)
        found[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return found


def data() -> bytes:
    """Return what follows the header."""
    return b"".join(numbers(shape) for shape in SHAPES.values())


def safetensors(head: bytes, content: bytes) -> bytes:
    """Return a file of weights of a header and what follows it."""
    return struct.pack("<Q", len(head)) + head + content


def files() -> dict[str, bytes]:
    """Return the files of the model by name."""
    written = {
        "config.json": CONFIG,
        "generation_config.json": GENERATION,
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": TOKENIZER_CONFIG,
        "special_tokens_map.json": SPECIAL_TOKENS,
    }
    found = {name: json.dumps(value).encode() for name, value in written.items()}
    return {**found, "model.safetensors": safetensors(json.dumps(header()).encode(), data())}
