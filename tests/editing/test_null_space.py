"""The directions that a projecting method may write to, and what an unseen text has in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError

from pytest_eac.cache.entries import Cache
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.moment import Moment, held_out_energy, is_few, projects
from pytest_eac.editing.updates.alphaedit import AlphaEditOptions
from pytest_eac.editing.updates.memit import MemitOptions
from pytest_eac.errors import EditError
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.schema.settings import CovarianceSettings

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel

KEYS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).double()
GPT2_XL = {"model_type": "gpt2", "hidden_size": 1600, "num_hidden_layers": 48}
SMOLLM2 = {"model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30}


def moment(*values: float, **more: Any) -> Moment:
    given: dict[str, Any] = {"tokens": 9, "ridge": 5.0, **more}
    return Moment(matrix=torch.tensor(values).double().diag(), **given)


def test_an_absolute_threshold_keeps_the_directions_below_it() -> None:
    found = moment(4.0, 0.1, 1.0).null_space(threshold=0.5)
    assert found.project(KEYS).tolist() == [[0, 0], [3, 4], [0, 0]]
    assert found.rank == 1
    assert found.energy == pytest.approx(0.1 / 5.1)
    found = moment(4.0, 0.1, 1.0).null_space(threshold=2.0)
    assert found.project(KEYS).tolist() == [[0, 0], [3, 4], [5, 6]]
    assert found.rank == 2
    assert found.energy == pytest.approx(1.1 / 5.1)


@pytest.mark.parametrize(
    ("energy", "rank"), [(0.01, 1), (0.1, 1), (0.11, 2), (0.5, 2), (0.6, 3), (0.99, 3)]
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_share_keeps_the_least_directions_that_have_no_more_of_the_energy_together(
    energy: float, rank: int, scale: float
) -> None:
    values = [40.0, 0.5, 10.0, 49.5]  # together 100: 0.5 %, 10.5 %, 50.5 %
    found = moment(*(scale * each for each in values)).null_space(energy=energy)
    assert found.rank == rank
    assert found.energy <= energy
    assert found.energy == pytest.approx(sum(sorted(values)[:rank]) / 100)


@pytest.mark.parametrize(
    ("given", "kept"), [({"threshold": 0.05}, 0), ({"threshold": 4.5}, 3), ({"energy": 1.0}, 3)]
)
def test_what_keeps_no_direction_or_every_direction_is_refused(
    given: dict[str, float], kept: int
) -> None:
    with pytest.raises(EditError) as caught:
        moment(4.0, 0.1, 1.0).null_space(**given)
    ((option, value),) = given.items()
    assert f"{option} {value:g}: {kept} of 3 directions may be written to" in str(caught.value)
    assert "eigenvalues at 10 %: 0.28, 50 %: 1, 90 %: 3.4, 100 %: 4" in str(caught.value)


def test_the_condition_is_that_of_what_is_solved_with() -> None:
    assert moment(4.0, 0.1, 1.0, ridge=0.0).condition() == pytest.approx(40)
    assert moment(4.0, 0.1, 1.0, ridge=3.0).condition() == pytest.approx(9.1 / 5.2)
    assert moment(4.0, 0.0, 1.0, ridge=0.0).condition() is None
    assert moment(4.0, 1e-30, 1.0, ridge=0.0).condition() is None


def test_whitening_takes_the_factorisation_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = moment(4.0, 0.1, 1.0)
    expected = torch.linalg.solve(found.regularised(), KEYS)
    found.solve(KEYS, weight=7.0, identity=2.0)
    found.solve(KEYS, weight=20.0)
    monkeypatch.setattr(torch.linalg, "cholesky_ex", None)
    torch.testing.assert_close(found.whiten(KEYS), expected)


# Options


def test_energy_is_the_default_and_a_threshold_takes_its_place() -> None:
    assert (AlphaEditOptions().threshold, AlphaEditOptions().energy) == (None, 0.2)
    found = AlphaEditOptions(threshold=0.02)
    assert (found.threshold, found.energy) == (0.02, None)
    assert AlphaEditOptions.model_validate(found.model_dump()) == found
    assert projects(found)
    assert not projects(MemitOptions())


@pytest.mark.parametrize(
    ("given", "both"),
    [({"energy": 0.1, "threshold": 0.02}, "both"), ({"energy": None}, "neither")],
)
def test_there_is_one_of_the_two(given: dict[str, Any], both: str) -> None:
    with pytest.raises(ValidationError, match=f"found {both} of energy and threshold"):
        AlphaEditOptions.model_validate(given)


@pytest.mark.parametrize("name", ["alphaedit", "nas", "alphaedit-eac"])
@pytest.mark.parametrize(
    ("shape", "update", "expected"),
    [
        (GPT2_XL, {}, (None, 0.02)),
        (GPT2_XL, {"energy": 0.1}, (0.1, None)),
        (GPT2_XL, {"threshold": 0.01}, (None, 0.01)),
        (SMOLLM2, {}, (0.2, None)),
        (SMOLLM2, {"threshold": 0.01}, (None, 0.01)),
    ],
)
def test_published_models_have_the_published_threshold_unless_the_spec_says_otherwise(
    name: str, shape: dict[str, Any], update: dict[str, float], expected: tuple[Any, Any]
) -> None:
    choice = MethodChoice.model_validate({"base": name, "update": update})
    found = resolve_settings(choice, shape).update
    assert (found.energy, found.threshold) == expected


# A text that was not seen


def of_keys(keys: torch.Tensor) -> torch.Tensor:
    return keys @ keys.T / keys.shape[1]


def test_a_short_text_has_a_null_space_that_another_text_writes_to() -> None:
    generator = torch.Generator().manual_seed(3)
    width, options = 40, AlphaEditOptions(energy=0.1)
    shares = []
    for tokens in (60, 400, 8000):
        keys = torch.randn(width, tokens, generator=generator, dtype=torch.float64)
        half = tokens // 2
        found = Moment(
            matrix=of_keys(keys),
            tokens=tokens,
            ridge=0.0,
            half=of_keys(keys[:, :half]),
            half_tokens=half,
        )
        unseen, seen = held_out_energy(options, found) or (0.0, 0.0)
        # The same by hand: the null space of each half, and the other half's keys in it.
        by_hand = []
        for known, other in ((keys[:, :half], keys[:, half:]), (keys[:, half:], keys[:, :half])):
            values, vectors = torch.linalg.eigh(of_keys(known))
            kept = vectors[:, values.cumsum(0) <= 0.1 * values.sum()]
            by_hand.append(float((kept.T @ other).square().sum() / other.square().sum()))
        assert unseen == pytest.approx(sum(by_hand) / 2)
        assert seen <= 0.1
        shares.append(unseen)
    assert shares[0] > 0.3 > shares[1] > shares[2]
    assert shares[2] == pytest.approx(0.1, abs=0.02)


def test_without_halves_nothing_is_said_of_other_texts() -> None:
    options = AlphaEditOptions()
    found = moment(4.0, 0.1, 1.0)
    assert held_out_energy(options, found) is None
    whole = replace(found, half=found.matrix, half_tokens=found.tokens)
    assert held_out_energy(options, whole) is None, "one row is no half"
    one = replace(found, half=torch.eye(3).double(), half_tokens=4)
    assert held_out_energy(options, one) is None, "three equal shares: none is below 0.2"


@pytest.mark.parametrize(("tokens", "few"), [(200, True), (10**5, False)])
def test_halves_are_measured_where_tokens_are_few_and_in_old_entries_again(
    tiny_llama: LoadedModel, tmp_path: Path, tokens: int, few: bool
) -> None:
    paths = [tiny_llama.layout.down.format(layer) for layer in (1, 2)]
    settings, cache = CovarianceSettings(tokens=tokens, ridge=1.0), Cache(tmp_path)
    plain = second_moments(tiny_llama, paths, settings, cache=cache)
    found = second_moments(tiny_llama, paths, settings, halves=True, cache=cache)
    again = second_moments(tiny_llama, paths, settings, halves=True, cache=Cache(tmp_path))
    for path in paths:
        assert torch.equal(plain[path].matrix, found[path].matrix)
        assert plain[path].half is None
        assert is_few(found[path].tokens, len(found[path].matrix)) is few
        assert (found[path].half is not None) is few
        if (pair := found[path].halves()) is not None:
            one, other = pair
            assert one.tokens + other.tokens == tokens
            assert 0.2 < one.tokens / tokens < 0.8
            total = (one.tokens * one.matrix + other.tokens * other.matrix) / tokens
            torch.testing.assert_close(total, found[path].matrix)
            # A sum of products of keys has no negative eigenvalue: the other half is one as well.
            assert float(torch.linalg.eigvalsh(other.matrix)[0]) > -1e-9
            assert torch.equal(again[path].half, found[path].half)  # type: ignore[arg-type]
