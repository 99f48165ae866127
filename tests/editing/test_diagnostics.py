"""What a method says of its own edits, against the same numbers by hand: full passes, inverses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from pytest_eac.cache.entries import Cache
from pytest_eac.editing import sequence
from pytest_eac.editing.interface import Solved
from pytest_eac.editing.keys import grouped_key, read_keys
from pytest_eac.editing.prompts import prepare
from pytest_eac.editing.sequence import edit_in_sequence, solve
from pytest_eac.editing.updates.rome import mean_key
from pytest_eac.errors import EditError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.weights import restored
from pytest_eac.measuring.checkpoint import edit_cost
from pytest_eac.records.diagnostics import Diagnostics
from pytest_eac.records.run import Norms
from pytest_eac.spec.registry_entries import Method
from tests.editing.test_methods import (
    CONTEXTS,
    FOR_MANY_LAYERS,
    WITH_VALUES,
    chain_of,
    edited,
    output_at_subject,
    settings_for,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from pytest_eac.editing.moment import Moment
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from tests.editing.test_methods import Moments

SAME: dict[str, Any] = {"rel": 1e-4, "abs": 1e-6}


def layers_of(name: str) -> tuple[int, ...]:
    return (1, 2) if name in FOR_MANY_LAYERS else (1,)


@pytest.mark.parametrize("name", WITH_VALUES)
def test_what_is_missing_of_a_value_is_read_off_the_edited_model(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    settings = settings_for(name, layers=layers_of(name))
    with edited(tiny, settings, world[:2], moments) as steps:
        last = steps[-1].solved
        (value,), (found,) = last.values, last.diagnostics
        assert value.site is not None
        wanted = value.init + value.delta
        left = output_at_subject(tiny, world[1], value.site) - wanted
        assert found.missed == pytest.approx(float(left.norm() / value.delta.norm()), **SAME)
        assert found.value_norm == pytest.approx(float(wanted.norm()))
    if name in {"rome", "rome-eac"}:
        assert found.missed == pytest.approx(0, abs=1e-4), "it writes all of a value"
    elif name in {"memit", "alphaedit"}:
        assert 1e-4 < (found.missed or 0) < 1


@pytest.mark.parametrize("name", ["rome", "r-rome", "emmet", "memit", "encore", "alphaedit"])
def test_keys_and_second_moments_are_described_for_each_matrix(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    settings = settings_for(name, layers=layers_of(name))
    average = mean_key if "rome" in name else grouped_key
    with edited(tiny, settings, (), moments):
        work = chain_of(tiny, settings, world[:1], moments)
        (found,) = solve(tiny, world[:1], settings, work).diagnostics
        (keys,) = read_keys(tiny, [prepare(tiny, world[0], CONTEXTS)], found.matrices[0].module)
    assert [each.module for each in found.matrices] == [
        tiny.layout.down.format(layer) for layer in layers_of(name)
    ]
    first = found.matrices[0]
    moment: Moment = moments[first.module]
    covariance = moment.regularised()
    assert first.token_ratio == moment.tokens / len(covariance)
    assert first.condition == pytest.approx(float(torch.linalg.cond(covariance)), rel=1e-6)
    key, mean = keys[0].double(), average(keys).double()
    assert first.key_product == pytest.approx(float(key @ covariance.inverse() @ mean), rel=1e-6)
    if name != "alphaedit":
        assert (first.rank, first.energy, first.key_share) == (None, None, None)
        return
    values, vectors = torch.linalg.eigh(moment.matrix)
    below = values < 3e-3
    kept = vectors[:, below]
    assert first.rank == int(below.sum())
    assert first.energy == pytest.approx(float(values[below].sum() / values.sum()))
    assert first.key_share == pytest.approx(float((kept.T @ mean).norm() / mean.norm()) ** 2)


def test_without_a_covariance_the_product_is_that_of_the_keys(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    settings = settings_for("rome", covariance="none")
    work = chain_of(tiny, settings, world[:1], {})
    ((found,),) = (each.matrices for each in solve(tiny, world[:1], settings, work).diagnostics)
    (keys,) = read_keys(tiny, [prepare(tiny, world[0], CONTEXTS)], found.module)
    assert found.key_product == pytest.approx(float(keys[0] @ keys.mean(dim=0)), rel=1e-5)
    assert (found.token_ratio, found.condition) == (None, None)


def test_a_covariance_that_is_singular_stops_no_method_that_does_not_divide_by_it(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments
) -> None:
    path = tiny.layout.down.format(1)
    flat = moments[path].matrix.clone()
    flat[0] = flat[:, 0] = 0
    singular = {path: replace(moments[path], matrix=flat, ridge=0.0, **fresh())}
    settings = settings_for("alphaedit")
    work = chain_of(tiny, settings, world[:1], singular)
    (found,) = solve(tiny, world[:1], settings, work).diagnostics
    (matrix,) = found.matrices
    assert (matrix.condition, matrix.key_product) == (None, None)
    assert matrix.rank
    with pytest.raises(EditError, match="is singular"):
        solve(tiny, world[:1], settings_for("memit"), work)


def fresh() -> dict[str, Any]:
    return {"_factors": {}, "_spaces": {}, "_values": []}


def test_a_batch_has_the_numbers_of_each_edit_and_they_come_from_the_cache_as_they_were(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments, tmp_path: Path
) -> None:
    settings = settings_for("alphaedit", layers=(1, 2))
    runs = []
    for cached in (False, True):
        work = chain_of(tiny_llama, settings, world[:4], llama_moments)
        with restored(tiny_llama.model, work.originals):
            cache = Cache(tmp_path)
            steps = list(edit_in_sequence(tiny_llama, settings, work, batch=2, cache=cache))
        assert [step.cached for step in steps] == [cached] * 2
        runs.append([step.solved.diagnostics for step in steps])
    assert runs[0] == runs[1]
    assert [len(each) for each in runs[0]] == [2, 2]
    assert len({edit.missed for step in runs[0] for edit in step}) == 4
    norms = Norms(l1=0.0, l1_relative=0.0, frobenius=0.0, frobenius_relative=0.0)
    assert edit_cost(steps[1], 3, None, norms).diagnostics == runs[0][1][1]


def test_methods_without_a_value_have_no_diagnostics(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments
) -> None:
    with edited(tiny, settings_for("ft"), world[:1], moments) as (step,):
        assert step.solved.diagnostics == ()
    norms = Norms(l1=0.0, l1_relative=0.0, frobenius=0.0, frobenius_relative=0.0)
    assert edit_cost(step, 0, None, norms).diagnostics is None


def test_a_method_that_describes_another_number_of_edits_is_reported(
    tiny: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def three(*_: Any) -> Solved:
        return Solved(deltas=(), diagnostics=(Diagnostics(),) * 3)

    settings = settings_for("ft")
    monkeypatch.setattr(sequence, "find_method", lambda _: Method(solve=three))
    with pytest.raises(EditError, match="returned 3 diagnostics for 1 edits"):
        solve(tiny, world[:1], settings, chain_of(tiny, settings, world[:1], {}))


def test_reading_what_is_missing_changes_no_weight(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments
) -> None:
    settings = settings_for("memit", layers=(1, 2))
    weight = find_module(tiny.model, tiny.layout.down.format(1)).weight
    before = weight.detach().clone()  # type: ignore[operator]
    with edited(tiny, settings, world[:2], moments):
        assert not torch.equal(weight, before)  # type: ignore[arg-type]
    assert torch.equal(weight, before)  # type: ignore[arg-type]
