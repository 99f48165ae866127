from __future__ import annotations

import itertools
import math
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, theilslopes

from pytest_eac.stats import series as held
from pytest_eac.stats.forecast import forecast
from pytest_eac.stats.growth import fit
from pytest_eac.stats.trends import Slope, mann_kendall, needed_steps, neighbours, onset, theil_sen
from tests.stats.growing import power, scattered, total_of, usual

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 300


def pairs(values: tuple[float, ...]) -> int:
    """Rising pairs less falling ones, one by one."""
    return sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))


@given(values=st.permutations([0.5, 1.0, 2.0, 3.5, 7.0, 11.0]))
def test_a_trend_is_as_likely_as_orders_that_rise_as_much(values: list[float]) -> None:
    """All orders, counted, are the twin."""
    found = mann_kendall(values)
    assert found is not None
    orders = [pairs(order) for order in itertools.permutations(values)]
    expected = np.mean([each >= pairs(tuple(values)) for each in orders])
    assert found.p == pytest.approx(expected)
    assert found.tau == pytest.approx(pairs(tuple(values)) / 15)
    assert found.smallest_p == pytest.approx(1 / 720)


def test_equal_values_have_no_trend() -> None:
    found = mann_kendall([2.0] * 9)
    assert found is not None
    assert (found.tau, found.p) == (0.0, 1.0)
    assert mann_kendall([1.0]) is None


def test_false_alarms_of_a_trend_stay_at_the_level_and_true_ones_grow_with_edits() -> None:
    generator = np.random.default_rng(1)

    def alarms(n: int, exponent: float) -> int:
        count = 0
        for _ in range(RUNS):
            found = mann_kendall(scattered(power(n, exponent), 0.5, generator).tolist())
            assert found is not None
            count += found.p <= 0.05
        return count

    assert alarms(12, 0.7) <= alarms(12, 1.0) <= usual(RUNS, 0.05)[1]
    few, more, many = (alarms(n, 1.4) for n in (6, 16, 40))
    assert few < more < many
    assert many > 0.9 * RUNS


@given(steps=st.lists(st.floats(0.1, 3.0), min_size=6, max_size=30))
def test_the_slope_is_the_median_over_all_pairs(steps: list[float]) -> None:
    series = total_of(np.array(steps))
    fitted = fit(series, "linear")
    assert fitted is not None
    found = theil_sen(series, fitted)
    assert found.value == pytest.approx(theilslopes((0, *series.total), (0, *series.at)).slope)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high


def test_a_long_series_has_the_slope_of_fewer_points() -> None:
    series = total_of(scattered(power(400, 0.8), 0.4, np.random.default_rng(3)))
    fitted = fit(series, "power")
    assert fitted is not None
    whole = theilslopes((0, *series.total), (0, *series.at)).slope
    assert theil_sen(series, fitted).value == pytest.approx(whole, rel=0.01)


@pytest.mark.parametrize("exponent", [0.6, 1.4])
def test_intervals_of_slopes_hold_the_truth_as_often_as_they_say(exponent: float) -> None:
    generator = np.random.default_rng(4)
    means = power(12, exponent)
    truth = theilslopes((0, *means.cumsum()), range(13)).slope
    held = 0
    for _ in range(RUNS):
        series = total_of(scattered(means, 0.4, generator))
        fitted = fit(series, "power")
        assert fitted is not None
        found = theil_sen(series, fitted, confidence=0.9)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    fewest, most = usual(RUNS, 0.9)
    assert fewest <= held <= most


@given(
    value=st.floats(-3, 3),
    confidence=st.floats(0.55, 0.99),
    away=st.floats(-1, 1).filter(lambda each: abs(each) > 1e-6),
)
def test_a_slopes_p_value_agrees_with_its_bound(
    value: float, confidence: float, away: float
) -> None:
    """The limit lies a little above the one-sided bound, or a little below."""
    half = 0.3 * float(t.ppf(confidence, 9))
    bound = value * math.exp(half) if value > 0 else value + half
    found = Slope(value=value, low=None, high=bound, error=0.3, freedom=9)
    limit = bound + away * max(1e-3, abs(bound))
    assert (found.p_reaches(limit) <= 1 - confidence) == (bound <= limit)


def test_a_slope_without_scatter_is_below_its_limit_or_not() -> None:
    exact = Slope(value=1.0, low=1.0, high=1.0, error=0.0, freedom=9)
    assert [exact.p_reaches(limit) for limit in (0.0, 0.9, 1.0, 1.1)] == [1.0, 1.0, 0.0, 0.0]


def test_with_so_many_steps_as_are_needed_four_of_five_series_decide() -> None:
    """Student's t drawn for a mean of 0.3 deviations; ten steps showed just that."""
    generator = np.random.default_rng(20)
    p = float(t.sf(0.3 * math.sqrt(10), 9))
    count = needed_steps(p, n=10, freedom=9, level=0.05)
    assert count is not None
    steps = generator.normal(0.3, 1, (4000, count))
    found = steps.mean(axis=1) / steps.std(axis=1, ddof=1) * math.sqrt(count)
    assert np.mean(t.sf(found, count - 1) <= 0.05) == pytest.approx(0.8, abs=0.02)


def test_more_steps_are_needed_for_a_stricter_level_and_none_decide_what_is_on_the_limit() -> None:
    counts = [needed_steps(0.2, n=10, freedom=8, level=level) or 0 for level in (0.1, 0.05, 0.01)]
    assert counts == sorted(set(counts))
    assert counts[0] > 10
    assert needed_steps(0.5, n=10, freedom=8, level=0.05) is None


def test_an_interval_for_independent_totals_would_be_far_too_sure() -> None:
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(100):
        totals = scattered(power(16, 1.0), 0.4, generator).cumsum()
        found = theilslopes((0, *totals), range(17), alpha=0.9)
        held += found.low_slope <= 1.0 <= found.high_slope
    assert held < 75


def test_the_onset_is_found_where_values_rise() -> None:
    found = onset([1.0, 1.1, 0.9, 1.2, 1.05, 0.95, 3.0, 3.3, 2.9, 3.1])
    assert found is not None
    assert found.index == 6
    assert found.factor == pytest.approx(np.mean([3.0, 3.3, 2.9, 3.1]) / np.mean([6.2 / 6]))
    assert found.p < 0.02


def test_an_onset_is_as_likely_as_random_orders_that_rise_as_clearly() -> None:
    """All orders of eight values, each rank sum taken by hand, are the twin."""
    values = [2.0, 1.0, 3.0, 5.0, 4.0, 8.0, 6.0, 7.0]

    def clearest(order: tuple[float, ...]) -> float:
        scores = []
        for k in (3, 4, 5):
            wanted, spread = (8 - k) * 4.5, math.sqrt(k * (8 - k) * 9 / 12)
            scores.append((sum(order[k:]) - wanted) / spread)
        return max(scores)

    own = clearest(tuple(values)) - 1e-9
    orders = [clearest(order) >= own for order in itertools.permutations(values)]
    found = onset(values)
    assert found is not None
    assert found.p == pytest.approx(np.mean(orders), abs=4 * math.sqrt(np.mean(orders) / 1999))


def test_false_alarms_of_an_onset_stay_at_the_level_and_true_ones_grow_with_edits() -> None:
    generator = np.random.default_rng(5)

    def alarms(n: int, factor: float, runs: int) -> int:
        means = np.where(np.arange(n) < 0.6 * n, 1.0, factor)
        count = 0
        for _ in range(runs):
            found = onset(scattered(means, 0.5, generator).tolist())
            assert found is not None
            count += found.p <= 0.05
        return count

    assert alarms(16, 1.0, RUNS) <= usual(RUNS, 0.05)[1]
    few, more, many = (alarms(n, 2.0, 100) for n in (8, 16, 40))
    assert few < more < many
    assert many > 90


def test_one_large_step_is_no_new_level() -> None:
    found = onset([1.0, 1.2, 0.9, 1.1, 0.8, 50.0, 1.15, 0.95, 1.05, 0.85])
    assert found is not None
    assert found.p > 0.2


def test_too_few_values_for_two_levels_have_no_onset() -> None:
    assert onset([1.0, 1, 1, 9, 9]) is None
    short, longer = onset([1.0, 2, 3, 4, 5, 6]), onset(list(range(9)))
    assert short is not None
    assert longer is not None
    assert short.smallest_p == short.p > 0.03
    assert longer.smallest_p < 0.02


def test_an_onset_from_nothing_is_infinitely_larger() -> None:
    found = onset([0.0] * 5 + [1.0] * 5)
    assert found is not None
    assert found.factor == math.inf


def test_neighbours_that_resemble_one_another_are_noticed() -> None:
    generator = np.random.default_rng(6)
    independent = [neighbours(generator.gamma(4, size=20).tolist()) for _ in range(RUNS)]
    assert sum(each > 2 for each in independent) <= usual(RUNS, 0.025)[1]
    assert neighbours([1.0] * 10 + [2.0] * 10) > 3
    assert neighbours([1.0] * 10) == 0.0


@pytest.mark.parametrize("entries", [1, 100, 12_345])
@pytest.mark.parametrize("n", [10, 57])
def test_resamples_in_batches_give_what_all_at_once_give(
    monkeypatch: pytest.MonkeyPatch, n: int, entries: int
) -> None:
    """One batch that holds everything is the twin."""
    series = total_of(scattered(power(n, 1.3), 0.5, np.random.default_rng(n)))
    fitted = fit(series, "power")
    assert fitted is not None

    def found() -> tuple[object, ...]:
        return (
            onset(series.steps.tolist()),
            theil_sen(series, fitted),
            forecast(series, [fitted], 2 * series.total[-1]),
            needed_steps(0.2, n=n, freedom=n - 1, level=1e-3),
        )

    monkeypatch.setattr(held, "ENTRIES", 2**40)
    whole = found()
    monkeypatch.setattr(held, "ENTRIES", entries)
    assert found() == whole


def peak_of(act: Callable[[], object]) -> int:
    """The most bytes that are allocated at a time."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_resamples_of_twice_as_many_edits_take_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held, "ENTRIES", 2**16)
    peaks = []
    for n in (1_000, 2_000):
        series = total_of(scattered(power(n, 1.0), 0.5, np.random.default_rng(n)))
        fitted = fit(series, "power")
        assert fitted is not None
        acts: tuple[Callable[[], object], ...] = (
            partial(onset, series.steps.tolist()),
            partial(theil_sen, series, fitted),
            partial(forecast, series, [fitted], 2 * series.total[-1]),
            partial(needed_steps, 0.2, n=n, freedom=n, level=1e-9),
        )
        peaks.append([peak_of(act) for act in acts])
    assert all(more < 1.3 * less for less, more in zip(*peaks, strict=True)), peaks
