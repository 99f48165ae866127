"""Keys and values are handed over under the name that the model's own signature has for them."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.lm.forward.generate import greedy, sample
from pytest_eac.lm.forward.tail import TailWindow

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel

ROWS = [(0, 5, 9, 11), (0, 5, 9, 30)]


def renamed(loaded: LoadedModel, name: str) -> LoadedModel:
    """A copy of a model that knows its keys and values by this name alone."""
    model = copy.copy(loaded.model)
    whole = loaded.model.forward
    known = next(
        each for each in ("cache", "past_key_values") if each in inspect.signature(whole).parameters
    )

    def forward(*args: Any, **given: Any) -> SimpleNamespace:
        assert {"cache", "past_key_values"} & given.keys() <= {name}
        out = whole(*args, **{known if key == name else key: each for key, each in given.items()})
        return SimpleNamespace(logits=out.logits, **{name: out[known]})

    kind = inspect.Parameter.KEYWORD_ONLY
    forward.__signature__ = inspect.Signature([inspect.Parameter(name, kind)])  # type: ignore[attr-defined]
    model.forward = forward
    return replace(loaded, model=model)


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
def test_a_model_is_asked_by_the_name_that_it_has(tiny_llama: LoadedModel, name: str) -> None:
    found = []
    for loaded in (tiny_llama, renamed(tiny_llama, name)):
        window = TailWindow(loaded, ROWS, [2, 2], layers=[1])
        logits = window.logits(torch.tensor([0, 1]), torch.tensor([3, 3]))
        found.append((sample(loaded, ROWS, tokens=3), greedy(loaded, ROWS, tokens=3), logits))
    assert found[0][:2] == found[1][:2]
    assert torch.equal(found[0][2], found[1][2])
