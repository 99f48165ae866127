from __future__ import annotations

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
from pytest_eac.stats.growth import fit, fits
from pytest_eac.stats.slopes import Slope, needed_steps, theil_sen
from pytest_eac.stats.trends import onset
from tests.stats.growing import power, resembling, scattered, total_of, usual, walked

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 300


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
    assert held >= usual(RUNS, 0.9)[0]


@pytest.mark.parametrize("aligned", [False, True])
def test_intervals_of_slopes_hold_though_neighbouring_steps_are_alike(*, aligned: bool) -> None:
    """Neighbours have a correlation of 0.5; a bootstrap of single residuals holds .7 of .9."""
    generator = np.random.default_rng(22)
    sizes = np.ones(30)
    totals = np.arange(31.0) if aligned else np.sqrt(1.16 * np.arange(31.0))
    truth = theilslopes(totals, range(31)).slope
    held, widths = 0, []
    for _ in range(100):
        steps = resembling(sizes, 0.4, 0.5, generator)
        series = total_of(steps) if aligned else walked(steps)
        found = theil_sen(series, fits(series)[0], confidence=0.9)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        widths.append((found.high - found.low) / truth)
    assert held >= usual(100, 0.9)[0]
    assert np.mean(widths) < 1.0, "an interval that holds all is no use"


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
    found = Slope(value=value, low=None, high=bound, error=0.3, freedom=9.0)
    limit = bound + away * max(1e-3, abs(bound))
    assert (found.p_reaches(limit) <= 1 - confidence) == (bound <= limit)


def test_a_slope_without_scatter_is_below_its_limit_or_not() -> None:
    exact = Slope(value=1.0, low=1.0, high=1.0, error=0.0, freedom=9.0)
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
    monkeypatch.setattr(held, "ENTRIES", 2**15)
    peaks = []
    for n in (400, 800):
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
