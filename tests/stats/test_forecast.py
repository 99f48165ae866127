from __future__ import annotations

import numpy as np
import pytest

from pytest_eac.stats.forecast import FEWEST_STEPS, HORIZON, forecast
from pytest_eac.stats.growth import fits
from tests.stats.growing import exponential, power, scattered, total_of, usual


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.5])
def test_an_exact_series_crosses_where_it_is_bound_to(exponent: float, every: int) -> None:
    series = total_of(power(20, exponent), every=every)
    found = forecast(series, fits(series), 40.5**exponent)
    assert found is not None
    assert found.at == pytest.approx(41, abs=1)
    assert found.high is not None
    assert found.low <= found.at <= found.high
    assert found.high - found.low <= 4


@pytest.mark.parametrize("means", [power(400, 0.8), exponential(400, 0.02)])
def test_the_true_crossing_lies_in_the_interval_about_as_often_as_it_says(
    means: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    """At least as often: with three shapes to choose from, intervals are rather too wide."""
    generator = np.random.default_rng(8)
    limit = 1.5 * means[:20].sum()
    held = runs = 0
    while runs < 60:
        steps = scattered(means, 0.4, generator)
        series = total_of(steps[:20])
        found = forecast(series, fits(series), limit, confidence=0.9)
        if found is None:
            continue
        runs += 1
        true = int(np.argmax(steps.cumsum() > limit)) + 1
        held += found.low <= true <= (found.high or found.horizon * 99)
    assert held >= usual(runs, 0.9)[0]


def test_a_forecast_that_steps_cannot_support_is_none() -> None:
    few = total_of(power(FEWEST_STEPS - 1, 1.0))
    assert forecast(few, fits(few), 30.0) is None
    series = total_of(power(20, 1.0))
    assert forecast(series, (), 30.0) is None
    assert forecast(series, fits(series), 19.0) is None, "it is crossed already"
    assert forecast(series, fits(series), 20.0 * HORIZON + 1) is None, "too far ahead"
    assert forecast(series, fits(series), 30.0) is not None


def test_a_series_that_levels_off_is_not_said_to_cross() -> None:
    series = total_of(exponential(20, -0.3))
    assert forecast(series, fits(series), 2 * series.total[-1]) is None


def test_an_upper_end_beyond_the_horizon_is_left_open() -> None:
    steps = np.array([3.0, 1.0, 1.4, 0.5, 1.2, 0.4, 0.9, 0.3, 1.1, 0.2, 0.8, 0.3])
    series = total_of(steps)
    found = forecast(series, fits(series), 1.5 * series.total[-1])
    assert found is not None
    assert found.high is None
    assert found.horizon == 12 * HORIZON


def test_a_forecast_is_the_same_each_time() -> None:
    series = total_of(scattered(power(12, 1.0), 0.4, np.random.default_rng(3)))
    assert forecast(series, fits(series), 20.0) == forecast(series, fits(series), 20.0)
