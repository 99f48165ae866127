from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr, t

from pytest_eac.stats.partial_correlation import (
    LEAST_GROUPS,
    over_groups,
    partial_correlation,
    partial_rank_correlation,
)

Correlation = Callable[[Sequence[float], Sequence[float], Sequence[Hashable]], float | None]

CORRELATIONS: tuple[Correlation, ...] = (partial_correlation, partial_rank_correlation)


def trajectories(
    rng: np.random.Generator, *, groups: int, together: float, each: int = 4
) -> tuple[list[float], list[float], list[int], list[int]]:
    """x and y of groups at ``each`` times: both bend with time, and go ``together`` besides."""
    size = (groups, each)
    time = np.broadcast_to(np.arange(each), size)
    noise = [rng.normal(size=(groups, 1)) + rng.normal(size=size) * 0.5 for _ in range(2)]
    x = np.exp(0.3 * noise[0]) + (time + 1) ** 1.5
    y = -((time + 1) ** 2.0) + together * noise[0] + noise[1]
    of = np.broadcast_to(np.arange(groups)[:, None], size)
    return x.ravel().tolist(), y.ravel().tolist(), time.ravel().tolist(), of.ravel().tolist()


def by_regression(x: list[float], y: list[float], factor: list[int]) -> float:
    """The slow twin: least squares on one indicator for each value, then Pearson's r."""
    indicators = np.array([[one == value for value in sorted(set(factor))] for one in factor])
    left = []
    for numbers in (x, y):
        solution, *_ = np.linalg.lstsq(indicators.astype(float), np.array(numbers), rcond=None)
        left.append(np.array(numbers) - indicators @ solution)
    return float(pearsonr(*left).statistic)


@given(st.integers(0, 10_000))
def test_a_partial_correlation_is_that_of_the_residuals_of_a_regression(seed: int) -> None:
    x, y, time, _ = trajectories(np.random.default_rng(seed), groups=5, together=0.5)
    assert partial_correlation(x, y, time) == pytest.approx(by_regression(x, y, time))
    ranks = (rankdata(x).tolist(), rankdata(y).tolist())
    assert partial_rank_correlation(x, y, time) == pytest.approx(by_regression(*ranks, time))


def test_with_nothing_to_hold_fixed_it_is_the_plain_correlation() -> None:
    x, y, _, _ = trajectories(np.random.default_rng(3), groups=6, together=1.0)
    same = [0] * len(x)
    assert partial_correlation(x, y, same) == pytest.approx(pearsonr(x, y).statistic)
    assert partial_rank_correlation(x, y, same) == pytest.approx(spearmanr(x, y).statistic)


def test_what_depends_on_the_number_of_edits_alone_is_taken_out_however_it_bends() -> None:
    time = [1, 2, 4, 8] * 6
    x = [each**2.0 for each in time]
    y = [-(each**3.0) for each in time]
    assert pearsonr(x, y).statistic < -0.9, "they look like cause and effect"
    for correlation in CORRELATIONS:
        assert correlation(x, y, time) is None, "nothing is left"
        assert over_groups(correlation, x, y, time, time) is None


@pytest.mark.parametrize("scale", [1e-13, 1.0, 1e13])
def test_what_rounding_leaves_is_nothing_at_any_scale(scale: float) -> None:
    rng = np.random.default_rng(4)
    time = [0, 1, 2] * 5
    x = [scale * (0.1 + each) / 3 for each in time]
    y = (scale * rng.normal(size=15)).tolist()
    assert partial_correlation(x, y, time) is None
    assert partial_correlation(y, y, time) == pytest.approx(1.0)
    assert partial_correlation([], [], []) is None


def test_whole_numbers_are_numbers() -> None:
    assert partial_correlation([1, 2, 4], [2, 4, 8], [0, 0, 0]) == pytest.approx(1.0)


@given(st.integers(0, 10_000))
def test_rounding_takes_no_correlation_beyond_one(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=6)
    assert partial_correlation(x.tolist(), (3 * x).tolist(), [0] * 6) <= 1.0  # type: ignore[operator]
    assert partial_correlation(x.tolist(), (-3 * x).tolist(), [0] * 6) >= -1.0  # type: ignore[operator]


@given(st.integers(0, 10_000))
def test_ranks_do_not_care_for_the_scale_and_no_correlation_for_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, time, _ = trajectories(rng, groups=5, together=0.5)
    assert partial_rank_correlation(np.exp(x).tolist(), y, time) == partial_rank_correlation(
        x, y, time
    )
    order = rng.permutation(len(x))
    for correlation in CORRELATIONS:
        one, two = ([numbers[place] for place in order] for numbers in (x, y))
        shuffled = correlation(one, two, [time[place] for place in order])
        assert shuffled == pytest.approx(correlation(x, y, time))


def test_too_few_groups_have_a_correlation_but_no_interval() -> None:
    rng = np.random.default_rng(1)
    for groups, ends in ((LEAST_GROUPS - 1, False), (LEAST_GROUPS, True)):
        x, y, time, of = trajectories(rng, groups=groups, together=1.0)
        found = over_groups(partial_correlation, x, y, time, of)
        assert found is not None
        assert found.value == partial_correlation(x, y, time)
        assert (found.low is not None, found.high is not None) == (ends, ends)


def test_a_perfect_correlation_has_no_interval() -> None:
    x, _, time, of = trajectories(np.random.default_rng(1), groups=9, together=0.0)
    found = over_groups(partial_rank_correlation, x, x, time, of)
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert found.low is None


@pytest.mark.parametrize("together", [0.0, 1.0])
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_an_interval_holds_the_true_value_about_as_often_as_it_says(
    correlation: Correlation, together: float
) -> None:
    rng = np.random.default_rng(7)
    x, y, time, _ = trajectories(rng, groups=4000, together=together)
    true = correlation(x, y, time)
    assert true is not None
    held = 0
    for _ in range(200):
        found = over_groups(correlation, *trajectories(rng, groups=8, together=together))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true <= found.high
    assert 180 <= held <= 199, "95 % of 200, give or take three and a half standard errors"


def test_an_interval_is_that_of_the_mean_of_pseudo_values() -> None:
    x, y, time, of = trajectories(np.random.default_rng(2), groups=8, together=0.5)
    found = over_groups(partial_correlation, x, y, time, of)
    whole = np.arctanh(by_regression(x, y, time))
    pseudo = []
    for out in range(8):
        rest = [place for place, group in enumerate(of) if group != out]
        without = by_regression(
            [x[place] for place in rest], [y[place] for place in rest], [time[at] for at in rest]
        )
        pseudo.append(8 * whole - 7 * np.arctanh(without))
    half = t.ppf(0.975, 6) * np.std(pseudo, ddof=1) / np.sqrt(8)
    assert found is not None
    assert found.low == pytest.approx(np.tanh(whole - half))
    assert found.high == pytest.approx(np.tanh(whole + half))


def test_points_of_one_group_count_as_one_however_many_there_are() -> None:
    x, y, time, of = trajectories(np.random.default_rng(5), groups=10, together=0.5)
    once = over_groups(partial_correlation, x, y, time, of)
    thrice = over_groups(partial_correlation, x * 3, y * 3, time * 3, of * 3)
    assert once is not None
    assert thrice is not None
    assert thrice.low == pytest.approx(once.low)
    assert thrice.high == pytest.approx(once.high)


def test_a_higher_confidence_is_a_wider_interval() -> None:
    points = trajectories(np.random.default_rng(5), groups=10, together=0.5)
    wide, narrow = (
        over_groups(partial_correlation, *points, confidence=level) for level in (0.99, 0.8)
    )
    assert wide is not None
    assert narrow is not None
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low < narrow.value
