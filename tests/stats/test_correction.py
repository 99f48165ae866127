from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.stats.correction import adjust

# Apart from one another and from the levels, so that rounding decides nothing.
P_VALUES = st.lists(st.integers(0, 10**6), min_size=1, max_size=7, unique=True).map(
    lambda numbers: [number / 10**6 for number in numbers]
)
LEVELS = st.sampled_from([0.0100003, 0.0500003, 0.1000003, 0.3000003])


def rejected_by_holm(p_values: list[float], level: float) -> set[int]:
    """Step down as Holm wrote it: from the smallest, until one is too large."""
    left = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = set()
    while left and p_values[left[0]] <= level / len(left):
        rejected.add(left.pop(0))
    return rejected


def rejected_by_bh(p_values: list[float], level: float) -> set[int]:
    """Step up as Benjamini and Hochberg wrote it: the largest k whose p is at most k q / m."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    count = len(order)
    ranks = [k for k in range(1, count + 1) if p_values[order[k - 1]] <= k * level / count]
    return set(order[: max(ranks, default=0)])


@given(p_values=P_VALUES, level=LEVELS)
def test_holm_rejects_what_its_steps_reject(p_values: list[float], level: float) -> None:
    found = {index for index, each in enumerate(adjust(p_values, "holm")) if each.p <= level}
    assert found == rejected_by_holm(p_values, level)


@given(p_values=P_VALUES, level=LEVELS)
def test_benjamini_hochberg_rejects_what_its_steps_reject(
    p_values: list[float], level: float
) -> None:
    found = {index for index, each in enumerate(adjust(p_values, "bh")) if each.p <= level}
    assert found == rejected_by_bh(p_values, level)


@given(p_values=P_VALUES)
def test_holm_is_never_bolder_than_bh_nor_bh_than_none(p_values: list[float]) -> None:
    columns = zip(*(adjust(p_values, method) for method in ("holm", "bh", "none")), strict=True)
    for p, (holm, bh, none) in zip(p_values, columns, strict=True):
        assert holm.p >= bh.p - 1e-12
        assert bh.p >= none.p - 1e-12
        assert none.p == p


def test_no_corrected_p_value_exceeds_one() -> None:
    assert [each.p for each in adjust([0.9, 0.8], "holm")] == [1.0, 1.0]


def test_the_factor_is_by_how_many_a_p_value_was_multiplied() -> None:
    assert [each.factor for each in adjust([0.04, 0.01, 0.03], "holm")] == [1, 3, 2]
    assert [each.factor for each in adjust([0.04, 0.01, 0.03], "bh")] == [1, 3, 1.5]
    assert [each.factor for each in adjust([0.04, 0.01], "none")] == [1, 1]


@pytest.mark.parametrize("method", ["holm", "bh", "none"])
def test_one_p_value_alone_stays_as_it_is_and_none_is_none(method: str) -> None:
    assert [each.p for each in adjust([0.03], method)] == [0.03]  # type: ignore[arg-type]
    assert adjust([], method) == ()  # type: ignore[arg-type]
