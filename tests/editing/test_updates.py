"""Each update formula against a slow derivation of its own: what it minimises, solved directly.

The references know neither Woodbury nor Cholesky: they stack the terms of an objective into one
least-squares problem, or write the conditions of a constrained minimum as one linear system.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_eac.editing.filters.prune import restrain
from pytest_eac.editing.filters.rect import keep_largest, rect
from pytest_eac.editing.moment import Moment
from pytest_eac.editing.problem import KeySum, Problem, solve_with_keys
from pytest_eac.editing.updates.alphaedit import AlphaEditOptions, alphaedit
from pytest_eac.editing.updates.emmet import emmet
from pytest_eac.editing.updates.memit import MemitOptions, encore, memit, memit_prev
from pytest_eac.editing.updates.rome import r_rome, rome

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.lm.weights import WeightDelta

RIDGE = 0.1

sizes = st.integers(2, 9)
seeds = st.integers(0, 10_000)
weights = st.sampled_from([0.01, 1.0, 20.0])
few = st.integers(1, 5)
shapes: dict[str, Any] = {"seed": seeds, "d_out": sizes, "d_in": sizes, "edits": few}


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make(
    seed: int,
    *,
    d_out: int = 5,
    d_in: int = 7,
    edits: int = 2,
    earlier: int = 0,
    same_key: bool = False,
    covariance: bool = True,
    **options: Any,
) -> Problem:
    """A random problem in float64; the covariance is of three times as many keys as dimensions."""
    generator = torch.Generator().manual_seed(seed)
    bare = _normal(generator, d_in, edits)
    others = _normal(generator, d_in, 3 * d_in) * torch.linspace(0.1, 2, d_in)[:, None]
    matrix = others @ others.T / others.shape[1]
    return Problem(
        module="m",
        weight=_normal(generator, d_out, d_in),
        bare_keys=bare,
        keys=bare if same_key else bare + 0.1 * _normal(generator, d_in, edits),
        residuals=_normal(generator, d_out, edits),
        earlier=_normal(generator, d_in, earlier),
        moment=Moment(matrix=matrix, tokens=3 * d_in, ridge=RIDGE) if covariance else None,
        options=AlphaEditOptions(**options)
        if "threshold" in options
        else SimpleNamespace(**{"weight": None, "l2": 0.0, **options}),
    )


def covariance_of(problem: Problem) -> Tensor:
    """``C`` with its ridge; the identity without one."""
    width = len(problem.keys)
    if problem.moment is None:
        return torch.eye(width, dtype=torch.float64)
    matrix = problem.moment.matrix
    return matrix + RIDGE * (matrix.trace() / width) * torch.eye(width, dtype=torch.float64)


def root(matrix: Tensor) -> Tensor:
    """The symmetric square root."""
    values, vectors = torch.linalg.eigh(matrix)
    found: Tensor = vectors @ values.clamp_min(0).sqrt().diag() @ vectors.T
    return found


def least_squares(*terms: tuple[Tensor, Tensor | None]) -> Tensor:
    """The ``dW`` with the least ``sum ||dW A - B||^2``, as one stacked system; no B is zero."""
    rows = torch.cat([inputs.T for inputs, _ in terms])
    width = next(outputs.shape[0] for _, outputs in terms if outputs is not None)
    wanted = torch.cat(
        [
            inputs.new_zeros(inputs.shape[1], width) if out is None else out.T
            for inputs, out in terms
        ]
    )
    solution: Tensor = torch.linalg.lstsq(rows, wanted, driver="gelsd").solution.T
    return solution


def smallest(covariance: Tensor, keys: Tensor, residuals: Tensor) -> Tensor:
    """The ``dW`` with the least ``tr(dW C dW^T)`` under ``dW K = R``: its Lagrange conditions."""
    count = keys.shape[1]
    corner = keys.new_zeros(count, count)
    bordered = torch.cat([torch.cat([covariance, keys], 1), torch.cat([keys.T, corner], 1)])
    right = torch.cat([keys.new_zeros(len(keys), len(residuals)), residuals.T])
    solution: Tensor = torch.linalg.solve(bordered, right)[: len(keys)].T
    return solution


def same(found: WeightDelta, expected: Tensor, *, rtol: float = 1e-6) -> None:
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.dense, expected, rtol=rtol, atol=rtol * scale)


# ROME


@pytest.mark.parametrize("covariance", [True, False])
@given(seed=seeds, d_out=sizes, d_in=sizes)
def test_rome_is_the_smallest_change_that_maps_the_key_to_the_value(
    seed: int, d_out: int, d_in: int, *, covariance: bool
) -> None:
    problem = make(seed, d_out=d_out, d_in=d_in, edits=1, same_key=True, covariance=covariance)
    expected = smallest(covariance_of(problem), problem.keys, problem.residuals)
    same(rome(problem), expected)
    same(r_rome(problem), expected)


@given(seed=seeds, d_in=sizes)
def test_rome_reads_along_the_mean_key_and_is_right_at_the_bare_one(seed: int, d_in: int) -> None:
    problem = make(seed, d_in=d_in, edits=1)
    found = rome(problem).dense
    torch.testing.assert_close(found @ problem.bare_keys, problem.residuals)
    # The smallest change for any residual at the mean key gives the direction.
    direction = smallest(covariance_of(problem), problem.keys, problem.residuals[:1])
    along = found @ direction.T @ direction / (direction @ direction.T)
    torch.testing.assert_close(along, found)


@given(seed=seeds, d_in=sizes)
def test_r_rome_maps_the_mean_key_to_the_value(seed: int, d_in: int) -> None:
    problem = make(seed, d_in=d_in, edits=1)
    value = problem.weight @ problem.bare_keys + problem.residuals
    expected = smallest(covariance_of(problem), problem.keys, value - problem.weight @ problem.keys)
    same(r_rome(problem), expected)


# MEMIT and its kin


def summed(problem: Problem) -> Problem:
    """The same with the sum over earlier keys, as it is given where there are many of them."""
    earlier = problem.earlier.double()
    return replace(problem, earlier_sum=earlier @ earlier.T)


def test_a_sum_of_keys_takes_up_those_that_are_appended_and_starts_over_with_others() -> None:
    keys = torch.randn(7, 40, generator=torch.Generator().manual_seed(0))
    total = KeySum()
    for count in (3, 4, 4, 20, 40):
        found = total.of(keys[:, :count])
        expected = keys[:, :count].double() @ keys[:, :count].double().T
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    others = keys.flip(1)
    torch.testing.assert_close(total.of(others), found, rtol=1e-10, atol=0)
    torch.testing.assert_close(total.of(others[:, :5]), KeySum().of(others[:, :5]))


def test_a_sum_adds_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    addmm = torch.Tensor.addmm

    def counted(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
        added.append(left.shape[1])
        return addmm(total, left, right)

    monkeypatch.setattr(torch.Tensor, "addmm", counted)
    total, keys = KeySum(), torch.ones(5, 30)
    for count in range(6, 31):
        total.of(keys[:, :count])
    assert added == [6, *[1] * 24]


@given(**shapes, weight=weights)
def test_memit_weighs_the_new_keys_against_the_old_ones(
    seed: int, d_out: int, d_in: int, edits: int, weight: float
) -> None:
    problem = make(seed, d_out=d_out, d_in=d_in, edits=edits, weight=weight)
    others = math.sqrt(weight) * root(covariance_of(problem))
    same(memit(problem), least_squares((problem.keys, problem.residuals), (others, None)))


@given(**shapes, earlier=st.integers(0, 4), weight=weights)
def test_memit_prev_also_leaves_the_keys_of_earlier_edits_alone(
    seed: int, d_out: int, d_in: int, edits: int, earlier: int, weight: float
) -> None:
    problem = make(seed, d_out=d_out, d_in=d_in, edits=edits, earlier=earlier, weight=weight)
    others = math.sqrt(weight) * root(covariance_of(problem))
    expected = least_squares(
        (problem.keys, problem.residuals), (problem.earlier, None), (others, None)
    )
    same(memit_prev(problem), expected)
    same(memit_prev(summed(problem)), expected)


@given(**shapes, earlier=st.integers(0, 4), weight=weights, l2=weights)
def test_encore_also_holds_the_norm_down(
    seed: int, d_out: int, d_in: int, edits: int, earlier: int, weight: float, l2: float
) -> None:
    problem = make(seed, d_out=d_out, d_in=d_in, edits=edits, earlier=earlier, weight=weight, l2=l2)
    expected = least_squares(
        (problem.keys, problem.residuals),
        (problem.earlier, None),
        (math.sqrt(weight) * root(covariance_of(problem)), None),
        (math.sqrt(l2) * torch.eye(d_in, dtype=torch.float64), None),
    )
    same(encore(problem), expected)
    same(encore(summed(problem)), expected)


@pytest.mark.parametrize("rule", [memit, memit_prev, encore])
def test_a_rule_of_memits_kind_cannot_do_without_a_covariance(
    rule: Callable[[Problem], WeightDelta],
) -> None:
    with pytest.raises(ValueError, match="needs a second moment"):
        rule(make(0, covariance=False, weight=1.0))


def test_memit_with_less_and_less_weight_on_other_keys_becomes_rome() -> None:
    problem = make(3, edits=1, same_key=True)
    expected = rome(problem).dense
    gaps = []
    for weight in (10.0, 1.0, 0.1, 1e-4, 1e-8):
        found = memit(make(3, edits=1, same_key=True, weight=weight)).dense
        # One edit's change lies along C^-1 k whatever the weight; only its length differs.
        cosine = torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
        assert float(cosine) == pytest.approx(1, abs=1e-12)
        gaps.append(float((found @ problem.keys - problem.residuals).norm()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.1 * float(problem.residuals.norm())
    assert gaps[-1] < 1e-7 * float(problem.residuals.norm())


def test_no_weight_given_stands_for_the_number_of_inputs() -> None:
    given = memit(make(0, d_in=7, weight=7.0)).dense
    torch.testing.assert_close(memit(make(0, d_in=7)).dense, given, rtol=0, atol=0)


def test_memit_without_any_weight_on_other_keys_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        MemitOptions(weight=0.0)


@given(seed=seeds, d_in=st.integers(4, 9), edits=st.integers(1, 3))
def test_emmet_is_romes_constraint_for_all_edits_at_once(seed: int, d_in: int, edits: int) -> None:
    problem = make(seed, d_in=d_in, edits=edits, l2=0.0)
    expected = smallest(covariance_of(problem), problem.keys, problem.residuals)
    same(emmet(problem), expected, rtol=1e-5)


@given(seed=seeds, d_in=sizes, edits=few, ridge=weights)
def test_emmet_with_a_ridge_weighs_like_memit(
    seed: int, d_in: int, edits: int, ridge: float
) -> None:
    problem = make(seed, d_in=d_in, edits=edits, l2=ridge)
    others = math.sqrt(ridge) * root(covariance_of(problem))
    same(emmet(problem), least_squares((problem.keys, problem.residuals), (others, None)))


def test_emmet_with_one_edit_is_rome() -> None:
    problem = make(5, edits=1, same_key=True, l2=0.0)
    same(emmet(problem), rome(problem).dense)


def test_edits_with_one_key_share_their_residuals_mean_under_emmet() -> None:
    problem = make(6, edits=1, l2=0.0)
    residuals = torch.stack([torch.arange(5.0), torch.ones(5)], dim=1).double()
    twice = Problem(
        module="m",
        weight=problem.weight,
        bare_keys=problem.bare_keys,
        keys=problem.keys.expand(-1, 2),
        residuals=residuals,
        earlier=problem.earlier,
        moment=problem.moment,
        options=problem.options,
    )
    said = emmet(twice).dense @ problem.keys[:, 0]
    torch.testing.assert_close(said, residuals.mean(dim=1))


# AlphaEdit


@given(**shapes, earlier=st.integers(0, 4), l2=weights)
def test_alphaedit_is_the_best_change_among_those_that_spare_the_large_directions(
    seed: int, d_out: int, d_in: int, edits: int, earlier: int, l2: float
) -> None:
    problem = make(seed, d_out=d_out, d_in=d_in, edits=edits, earlier=earlier)
    assert problem.moment is not None
    basis, values, _ = torch.linalg.svd(problem.moment.matrix)
    kept = max(1, d_in // 2)  # of the small directions, which come last
    threshold = float((values[d_in - kept - 1] * values[d_in - kept]).sqrt())
    small = basis[:, d_in - kept :]
    coefficients = least_squares(
        (small.T @ problem.keys, problem.residuals),
        (small.T @ problem.earlier, None),
        (math.sqrt(l2) * torch.eye(kept, dtype=torch.float64), None),
    )
    options: dict[str, Any] = {"threshold": threshold, "l2": l2}
    problem = make(seed, d_out=d_out, d_in=d_in, edits=edits, earlier=earlier, **options)
    found = alphaedit(problem)
    same(found, coefficients @ small.T)
    same(alphaedit(summed(problem)), coefficients @ small.T)
    large = basis[:, : d_in - kept]
    assert float((found.dense @ large).abs().max()) < 1e-9 * float(problem.residuals.norm())


def test_alphaedit_needs_a_covariance() -> None:
    with pytest.raises(ValueError, match="needs a second moment"):
        alphaedit(make(0, covariance=False, threshold=0.5, l2=1.0))


# RECT


@given(seed=seeds, d_in=sizes, share=st.sampled_from([0.01, 0.2, 0.4, 1.0]))
def test_rect_keeps_the_entries_that_change_their_weight_most(
    seed: int, d_in: int, share: float
) -> None:
    problem = make(seed, d_in=d_in, weight=1.0, keep=share)
    change = memit(problem).dense
    entries = [(row, column) for row in range(5) for column in range(d_in)]
    entries.sort(key=lambda at: -abs(float(change[at]) / float(problem.weight[at])))
    expected = torch.zeros_like(change)
    for at in entries[: len(entries) - int((1 - share) * len(entries)) + 1]:
        expected[at] = change[at]
    assert torch.equal(rect(change, problem.weight, problem.options), expected)


def test_a_weight_of_zero_changes_the_most() -> None:
    change, weight = torch.tensor([[0.1, 5.0], [1.0, 0.2]]), torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    kept = keep_largest(change, weight, 0.25)
    assert torch.equal(kept, torch.tensor([[0.1, 5.0], [0.0, 0.0]]))


# PRUNE


@given(
    seed=seeds,
    rows=sizes,
    columns=sizes,
    scale=st.sampled_from([0.1, 1.0, 3.0]),
    base=st.sampled_from([1.2, 2.0, math.e]),
)
def test_prune_lowers_the_large_singular_values_one_by_one(
    seed: int, rows: int, columns: int, scale: float, base: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    original = _normal(generator, rows, columns)
    change = scale * _normal(generator, rows, columns)
    most = float(torch.linalg.eigvalsh(original @ original.T)[-1]) ** 0.5
    left, values, right = torch.linalg.svd(change)
    expected = torch.zeros_like(change)
    for index, value in enumerate(values.tolist()):
        held = value
        if value > most:
            held = min(value, math.log(value, base) - math.log(most, base) + most)
        expected += held * torch.outer(left[:, index], right[index])
    found = restrain(change, original, base)
    torch.testing.assert_close(found, expected)


def test_prune_leaves_a_small_change_alone_and_never_makes_one_larger() -> None:
    change = torch.diag(torch.tensor([8.0, 3.0, 0.5]))
    found = restrain(change, torch.diag(torch.tensor([2.0, 1.0, 1.0])), 2.0)
    # 8 -> log2(8) - log2(2) + 2 = 4; 3 -> log2(3) - 1 + 2 = 2.58; 0.5 stays.
    torch.testing.assert_close(found, torch.diag(torch.tensor([4.0, math.log2(3) + 1, 0.5])))
    # With m = 0.1 the logarithm would take 0.2 to 1.1, above it.
    tiny = torch.diag(torch.tensor([0.2, 0.01]))
    torch.testing.assert_close(restrain(tiny, 0.1 * torch.eye(2), 2.0), tiny)


# What they share


@given(seed=seeds, size=sizes, keys=st.integers(0, 12), columns=few)
def test_solving_with_keys_is_solving_the_whole_matrix(
    seed: int, size: int, keys: int, columns: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    square = _normal(generator, size, size)
    base = square @ square.T + torch.eye(size, dtype=torch.float64)
    added, right = _normal(generator, size, keys), _normal(generator, size, columns)
    expected = torch.linalg.solve(base + added @ added.T, right)
    found = solve_with_keys(lambda x: torch.linalg.solve(base, x), added, right)
    torch.testing.assert_close(found, expected)


RULES: dict[str, tuple[Callable[[Problem], WeightDelta], dict[str, Any]]] = {
    "rome": (rome, {}),
    "r-rome": (r_rome, {}),
    "memit": (memit, {"weight": 1.0}),
    "memit-prev": (memit_prev, {"weight": 1.0}),
    "emmet": (emmet, {"l2": 0.0}),
    "encore": (encore, {"weight": 1.0, "l2": 1.0}),
    "alphaedit": (alphaedit, {"threshold": 0.5, "l2": 1.0}),
}


@pytest.mark.parametrize("name", RULES)
def test_in_float32_the_change_is_that_of_float64_rounded(name: str) -> None:
    rule, options = RULES[name]
    problem = make(11, edits=1, earlier=2, **options)
    single = Problem(
        module="m",
        weight=problem.weight.float(),
        bare_keys=problem.bare_keys.float(),
        keys=problem.keys.float(),
        residuals=problem.residuals.float(),
        earlier=problem.earlier.float(),
        moment=problem.moment,
        options=problem.options,
    )
    found, expected = rule(single), rule(problem).dense
    assert found.dense.dtype == torch.float32
    torch.testing.assert_close(found.dense.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RULES)
def test_a_change_is_linear_in_the_residuals_and_names_its_module(name: str) -> None:
    """Nothing is written where nothing is asked for: EAC's zero rows stay zero."""
    rule, options = RULES[name]
    problem = make(12, edits=1, same_key=True, earlier=2, **options)
    problem.residuals[2:4] = 0
    found = rule(problem)
    assert found.module == "m"
    assert found.shape == (5, 7)
    assert not found.dense[2:4].any()
    assert found.dense[0].any()
