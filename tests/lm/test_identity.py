from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
import torch

from pytest_eac.lm import identity
from pytest_eac.lm.identity import identify
from pytest_eac.lm.loading.load import LoadedModel, load_model
from tests.conftest import TINY_LLAMA

if TYPE_CHECKING:
    from collections.abc import Callable


def copy_of(loaded: LoadedModel) -> LoadedModel:
    return replace(loaded, model=deepcopy(loaded.model), tokenizer=deepcopy(loaded.tokenizer))


def one_weight(loaded: LoadedModel) -> None:
    with torch.no_grad():
        next(loaded.model.parameters()).view(-1)[-1] += 1e-3


def config(loaded: LoadedModel) -> None:
    loaded.model.config.rms_norm_eps *= 2


def attention(loaded: LoadedModel) -> None:
    loaded.model.set_attn_implementation("eager")


def tokenizer(loaded: LoadedModel) -> None:
    loaded.tokenizer.add_tokens(["zyx"])


def stop_id(loaded: LoadedModel) -> None:
    loaded.model.generation_config.eos_token_id = 7


def dtype(loaded: LoadedModel) -> None:
    loaded.model.to(torch.bfloat16)


@pytest.mark.parametrize("change", [one_weight, config, attention, tokenizer, stop_id, dtype])
def test_any_change_of_a_model_changes_what_it_is_known_by(
    tiny_llama: LoadedModel, change: Callable[[LoadedModel], None]
) -> None:
    other = copy_of(tiny_llama)
    assert identify(other) == identify(tiny_llama)
    changed = copy_of(tiny_llama)
    change(changed)
    assert identify(changed) != identify(tiny_llama)


@pytest.mark.parametrize("library", ["torch", "transformers", "tokenizers"])
def test_another_version_of_a_library_makes_it_another_model(
    tiny_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    before = identify(tiny_llama)
    monkeypatch.setattr(
        identity, "version", lambda name: "0.0.0" if name == library else version(name)
    )
    assert identify(tiny_llama) != before


def test_the_same_files_in_another_place_are_the_same_model(tiny_llama: LoadedModel) -> None:
    moved = copy_of(tiny_llama)
    moved.model.config._name_or_path = "/elsewhere"
    assert identify(moved) == identify(tiny_llama)
    again = load_model(str(TINY_LLAMA))
    assert identify(again) == identify(tiny_llama)
