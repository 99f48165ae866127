"""What an edit costs late in a long sequence, against early in it."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING
from unittest.mock import patch as replaced

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from benchmarks.timing import Result
from pytest_eac import load_model, load_spec
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.interface import Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.problem import KeySum
from pytest_eac.editing.sequence import edit_in_sequence
from pytest_eac.lm.weights import restored
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.schema.methods import MethodChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit

_FIXTURES = Path(__file__).parents[1] / "fixtures"
_INPUTS = 384
_BLOCK = 200


class _NoSum(KeySum):
    """Solves with each earlier key, as if there were no sum."""

    def of(self, keys: Tensor) -> None:  # type: ignore[override]
        del keys


def long_sequences(count: int = 2000) -> Iterator[Result]:
    """Seconds an edit in blocks of 200, by their sum and by each of the earlier keys."""
    with TemporaryDirectory() as folder:
        loaded, edits = _wide_model(Path(folder)), _edits(Path(folder), count)
        for name in ("memit-prev", "alphaedit"):
            fast = _by_block(loaded, name, edits)
            with replaced("pytest_eac.editing.locate_then_edit.KeySum", _NoSum):
                slow = _by_block(loaded, name, edits)
            place = _INPUTS // _BLOCK + 1  # the first block of which all edits have the sum
            yield Result(
                name=f"{name}: last edits / edits {place * _BLOCK}",
                measured=f"{fast[-1] / fast[place]:.2f}x (each key: {slow[-1] / slow[place]:.2f}x)",
                goal="1.1x or less",
                about=f"{count} edits, {_INPUTS} inputs, medians of {_BLOCK}",
            )
            yield Result(
                name=f"{name}: each key / sum, last edits",
                measured=f"{slow[-1] / fast[-1]:.1f}x",
                goal="",
            )


def _wide_model(folder: Path) -> LoadedModel:
    """Write and load a model whose edited matrix has far more inputs than outputs."""
    tokenizer = AutoTokenizer.from_pretrained(_FIXTURES / "tiny-llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=_INPUTS,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return load_model(str(folder / "model"))


def _edits(folder: Path, count: int) -> tuple[Edit, ...]:
    """Return the fixtures' facts, again and again."""
    spec = folder / "long.eac.yaml"
    spec.write_text(
        f"eac: 1\nmodel: m\nmethods: [memit]\nedits: [{{from: {_FIXTURES / 'world.jsonl'}, "
        "format: jsonl}]\nchecks: {efficacy: {min: 0.1}}\n"
    )
    facts = load_spec(spec).edits
    return (facts * (count // len(facts) + 1))[:count]


def _by_block(loaded: LoadedModel, name: str, edits: tuple[Edit, ...]) -> list[float]:
    """Return the median of an edit's seconds in each block."""
    choice = MethodChoice.model_validate(
        {"base": name, "layers": (0,), "value": {"steps": 1}, "covariance": {"ridge": 0.1}}
    )
    settings = resolve_settings(choice, loaded.shape)
    paths = edited_modules(loaded, settings)
    assert settings.covariance is not None
    moments = second_moments(loaded, paths, settings.covariance)
    seconds = []
    with restored(loaded.model, paths):
        start = perf_counter()
        for _ in edit_in_sequence(loaded, settings, Work(edits=edits, moments=moments)):
            seconds.append(perf_counter() - start)
            start = perf_counter()
    blocks = [seconds[start : start + _BLOCK] for start in range(0, len(seconds), _BLOCK)]
    return [median(each) for each in blocks]
