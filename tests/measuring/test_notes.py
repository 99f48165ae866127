"""What a chain's record says of its covariance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pytest_eac.editing.moment import Moment, held_out_energy
from pytest_eac.measuring.notes import chain_notes
from pytest_eac.spec.hyperparameters import model_presets, resolve_settings
from pytest_eac.spec.schema.methods import MethodChoice
from tests.editing.test_null_space import GPT2_XL, SMOLLM2, of_keys

UNKNOWN = {"model_type": "gpt2", "hidden_size": 4, "num_hidden_layers": 9}
PUBLISHED: dict[str, Any] = {"ridge": 0.0, "tokens": 10**6}


def notes(method: str, shape: dict[str, Any], *, width: int = 4, **more: Any) -> tuple[str, ...]:
    moment = Moment(matrix=torch.eye(width).double(), **{"tokens": 32_161, "ridge": 0.05, **more})
    choice = MethodChoice.model_validate({"base": method, "layers": (5,)})
    return chain_notes(resolve_settings(choice, shape), shape, {"a": moment, "b": moment})


@pytest.mark.parametrize(
    ("method", "named"),
    [
        ("memit", "lambda = 20000 was chosen"),
        ("encore", "lambda = 20000 was chosen"),
        ("alphaedit", "the threshold 0.02 was chosen"),
        ("rome", "the preset was made"),
    ],
)
def test_a_published_number_with_a_short_text_is_not_comparable_with_the_paper(
    method: str, named: str
) -> None:
    (found,) = notes(method, GPT2_XL)
    assert found == (
        f"not comparable with the paper: {named} for gpt2-xl with a covariance of 100,000 "
        "documents, used here with one of 32,161 tokens and a ridge of 0.05"
    )


def test_a_ridge_alone_or_too_few_tokens_alone_are_named_too() -> None:
    assert notes("memit", GPT2_XL, **PUBLISHED) == ()
    (found,) = notes("memit", GPT2_XL, **{**PUBLISHED, "ridge": 0.01})
    assert found.endswith("used here with one of 1,000,000 tokens and a ridge of 0.01")
    (found,) = notes("memit", GPT2_XL, **{**PUBLISHED, "tokens": 999_999})
    assert found.endswith("used here with one of 999,999 tokens")


def test_this_projects_own_numbers_are_found_with_the_built_in_text() -> None:
    assert notes("memit", SMOLLM2) == ()
    assert notes("memit", SMOLLM2, tokens=17_000) == ()
    (found,) = notes("memit", SMOLLM2, tokens=16_000)
    assert found == (
        "not comparable with docs/presets.md: lambda = 30 was chosen for SmolLM2-135M with a "
        "covariance of 32,161 tokens and a ridge of 0.05, used here with one of 16,000 tokens and "
        "a ridge of 0.05"
    )


def test_without_a_covariance_or_a_preset_there_is_nothing_to_say() -> None:
    settings = resolve_settings(MethodChoice(base="ft"), GPT2_XL)
    assert chain_notes(settings, GPT2_XL, {}) == ()
    assert notes("memit", UNKNOWN) == ()


def test_few_tokens_are_counted_for_each_input() -> None:
    assert notes("memit", UNKNOWN, tokens=40) == ()
    (found,) = notes("memit", UNKNOWN, tokens=39)
    assert found == (
        "few tokens: the covariance is of 39 tokens for 4 inputs, 9.8 for each (expected at least "
        "10); give more text"
    )


def test_a_projecting_method_says_what_another_text_has_in_the_null_space() -> None:
    keys = torch.randn(20, 100, generator=torch.Generator().manual_seed(0)).double()
    moment = Moment(
        matrix=of_keys(keys), tokens=100, ridge=0.1, half=of_keys(keys[:, :50]), half_tokens=50
    )
    choice = MethodChoice.model_validate({"base": "nas", "layers": (5,)})
    settings = resolve_settings(choice, UNKNOWN)
    (found,) = chain_notes(settings, UNKNOWN, {"a": moment})
    assert "few tokens: the covariance is of 100 tokens for 20 inputs, 5.0 for each" in found
    unseen, seen = held_out_energy(settings.update, moment) or (0.0, 0.0)
    assert 0.3 < unseen < 0.6
    assert f"not seen has {100 * unseen:.0f}% of its energy in the null space" in found
    assert f"that it has seen {100 * seen:.0f}% (one half of it against the other)" in found
    (found,) = chain_notes(settings, UNKNOWN, {"a": replace(moment, half=None)})
    assert "null space" not in found


def test_every_preset_says_what_its_covariance_was_of() -> None:
    for preset in model_presets():
        known = preset.covariance
        assert (known.documents is None) != (known.tokens is None)
