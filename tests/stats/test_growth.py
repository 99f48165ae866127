from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import t

from pytest_eac.stats.growth import FEWEST_STEPS, fit, fits, p_reaches
from pytest_eac.stats.series import Series
from tests.stats.growing import exponential, power, resembling, scattered, total_of, usual, walked

if TYPE_CHECKING:
    from pytest_eac.stats.shapes import Shape
    from tests.stats.growing import Floats

RUNS = 300


@given(exponent=st.floats(0.1, 4.0), scale=st.floats(1e-6, 1e6), every=st.integers(1, 3))
def test_an_exact_power_law_gives_its_exponent_back(
    exponent: float, scale: float, every: int
) -> None:
    found = fit(total_of(scale * power(24, exponent), every=every), "power")
    assert found is not None
    assert found.parameter == pytest.approx(exponent, abs=1e-3)
    assert found.scale == pytest.approx(scale, rel=1e-2)


@given(turn=st.floats(-3.0, 3.0), scale=st.floats(1e-6, 1e6), every=st.integers(1, 3))
def test_an_exact_exponential_gives_its_rate_back(turn: float, scale: float, every: int) -> None:
    rate = turn / 24 if abs(turn) > 1e-6 else 1e-6
    found = fit(total_of(scale * exponential(24, rate), every=every), "exponential")
    assert found is not None
    assert found.parameter == pytest.approx(rate, abs=1e-4)


@given(exponent=st.floats(0.2, 3.0), scale=st.floats(1e-3, 1e3))
def test_a_walk_whose_steps_grow_gives_its_exponent_back(exponent: float, scale: float) -> None:
    """Steps at right angles to one another, so that squares add up."""
    sizes = scale * np.sqrt(power(24, 2 * exponent))
    found = fit(walked(sizes), "power")
    assert found is not None
    assert found.parameter == pytest.approx(exponent, abs=1e-3)
    edges = np.arange(25.0)
    assert found.totals(edges) == pytest.approx(scale * edges**exponent, rel=2e-2, abs=1e-9)


def test_a_walk_whose_steps_grow_exponentially_gives_their_rate_back() -> None:
    found = fit(walked(np.exp(0.05 * np.arange(30.0))), "exponential")
    assert found is not None
    assert found.parameter == pytest.approx(0.05, abs=1e-4)


def test_equal_steps_in_unrelated_directions_are_a_walk() -> None:
    """The exponent of the deviation is then 0.5, and no step has grown."""
    first = fits(walked(np.ones(20)))[0]
    assert (first.shape, first.parameter) == ("walk", 0.5)
    power_law = fit(walked(np.ones(20)), "power")
    assert power_law is not None
    assert power_law.parameter == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(("shape", "best"), [("power", 1.3), ("exponential", 0.05)])
def test_expected_steps_are_the_integral_of_the_pace(shape: Shape, best: float) -> None:
    def pace(t: float) -> float:
        return float(best * t ** (best - 1) if shape == "power" else np.exp(best * t))

    means = power(20, best) if shape == "power" else exponential(20, best)
    found = fit(total_of(means), shape)
    assert found is not None
    edges = np.array([0.0, 1, 4, 9, 40])
    summed = [quad(pace, a, b)[0] for a, b in pairwise(edges)]
    assert found.expected(edges) == pytest.approx(summed, rel=1e-3)


def test_a_fit_is_the_best_of_a_fine_grid() -> None:
    """Every exponent and scale tried in turn is the twin."""
    steps = scattered(power(12, 0.8), 0.4, np.random.default_rng(1))
    found = fit(total_of(steps), "power")
    assert found is not None

    def cost(exponent: float, scale: float) -> float:
        means = scale * power(12, exponent)
        return float(np.sum(steps / means + np.log(means)))

    tried = [
        (cost(exponent, scale), exponent, scale)
        for exponent in np.arange(0.3, 1.6, 0.02)
        for scale in np.arange(0.3, 3.0, 0.02)
    ]
    _, exponent, scale = min(tried)
    assert found.parameter == pytest.approx(exponent, abs=0.02)
    assert found.scale == pytest.approx(scale, abs=0.06)


@pytest.mark.parametrize(
    ("shape", "truth", "means"),
    [
        ("power", 0.6, power(16, 0.6)),
        ("power", 1.4, power(16, 1.4)),
        ("exponential", 0.08, exponential(16, 0.08)),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    shape: Shape, truth: float, means: Floats
) -> None:
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(RUNS):
        found = fit(total_of(scattered(means, 0.4, generator)), shape, confidence=0.9)
        assert found is not None
        low, high = found.low, found.high
        held += (low is None or low <= truth) and (high is None or truth <= high)
    assert held >= usual(RUNS, 0.9)[0]


@pytest.mark.parametrize(("n", "exponent"), [(20, 0.5), (40, 0.5), (40, 0.75)])
def test_intervals_hold_the_truth_though_neighbouring_steps_are_alike(
    n: int, exponent: float
) -> None:
    """Neighbours have a correlation of 0.5; as independent, they would hold it less often."""
    generator = np.random.default_rng(21)
    sizes = np.sqrt(power(n, 2 * exponent))
    held, sure, widths = 0, 0, []
    for _ in range(RUNS):
        found = fit(walked(resembling(sizes, 0.4, 0.5, generator)), "power", confidence=0.9)
        assert found is not None
        low, high = found.low or 0.0, found.high or 8.0
        held += low <= exponent <= high
        widths.append(high - low)
        bare = found.dependence.quantile(0.95) / t.ppf(0.95, found.freedom)
        half = (high - low) / 2 / bare
        sure += abs(found.parameter - exponent) <= half
    assert sure < 0.83 * RUNS
    assert held >= usual(RUNS, 0.9)[0]
    assert np.mean(widths) < {20: 0.8, 40: 0.5}[n], "an interval that holds all is no use"


def test_a_line_through_the_logs_of_the_totals_would_be_far_too_sure() -> None:
    """What the steps are fitted for: the errors of totals add up."""
    generator = np.random.default_rng(12)
    at = np.log(np.arange(1, 31))
    held = 0
    for _ in range(RUNS):
        totals = np.log(scattered(power(30, 1.0), 0.4, generator).cumsum())
        (slope, _), covariance = np.polyfit(at, totals, 1, cov=True)
        held += abs(slope - 1) <= 2.05 * np.sqrt(covariance[0, 0])
    assert held < 0.75 * RUNS


def test_the_one_sided_bound_falsely_passes_no_more_often_than_it_says() -> None:
    generator = np.random.default_rng(13)
    passed = 0
    for _ in range(RUNS):
        series = total_of(scattered(power(20, 1.0), 0.4, generator))
        found = fit(series, "power", confidence=0.9)
        assert found is not None
        passed += found.high is not None and found.high <= 1.0
        assert (p_reaches(series, found, 1.0) <= 0.05) == (
            found.high is not None and found.high <= 1.0
        )
    assert 0 < passed <= usual(RUNS, 0.05)[1]


@pytest.mark.parametrize(("shape", "limit"), [("power", 0.9), ("exponential", -0.01)])
def test_a_p_value_is_what_the_bound_that_lies_on_the_limit_leaves(
    shape: Shape, limit: float
) -> None:
    """Intervals of every level, until one ends at the limit, are the twin."""
    series = total_of(scattered(power(20, 0.6), 0.4, np.random.default_rng(17)))
    found = fit(series, shape)
    assert found is not None
    assert found.parameter < limit
    low, high = 0.5, 1.0
    for _ in range(30):
        level = (low + high) / 2
        again = fit(series, shape, confidence=2 * level - 1)
        assert again is not None
        inside = again.high is not None and again.high <= limit
        low, high = (level, high) if inside else (low, level)
    assert p_reaches(series, found, limit) == pytest.approx(1 - low, abs=1e-4)


def test_a_p_value_is_a_half_at_the_fit_and_falls_as_the_limit_rises() -> None:
    series = total_of(scattered(power(20, 0.6), 0.4, np.random.default_rng(18)))
    found = fit(series, "power")
    assert found is not None
    limits = (0.0, 0.3, found.parameter, 0.8, 2.0, 50.0)
    values = [p_reaches(series, found, limit) for limit in limits]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.99
    assert values[2] == pytest.approx(0.5)
    assert values[-1] < 1e-3


def test_exponential_growth_is_told_from_linear_growth() -> None:
    generator = np.random.default_rng(14)
    told = {0.0: [0, 0], 0.06: [0, 0]}
    for rate, counts in told.items():
        for place, n in enumerate((12, 40)):
            means = exponential(n, rate) if rate else power(n, 1.0)
            for _ in range(100):
                found = fit(
                    total_of(scattered(means, 0.4, generator)), "exponential", confidence=0.9
                )
                assert found is not None
                counts[place] += found.low is not None and found.low > 0
    assert max(told[0.0]) <= usual(100, 0.05)[1]
    assert told[0.06][0] < told[0.06][1]
    assert told[0.06][1] > 95


@pytest.mark.parametrize(
    ("means", "shape"),
    [
        (power(40, 1.0), "linear"),
        (power(40, 0.5), "walk"),
        (power(40, 0.2), "power"),
        (exponential(40, 0.1), "exponential"),
    ],
)
def test_the_shape_that_made_a_series_mostly_weighs_most(means: Floats, shape: Shape) -> None:
    generator = np.random.default_rng(15)
    chosen = [fits(total_of(scattered(means, 0.3, generator)))[0].shape for _ in range(40)]
    assert chosen.count(shape) > 25


def test_weights_are_shares_and_the_first_is_the_largest() -> None:
    found = fits(total_of(scattered(power(12, 0.8), 0.4, np.random.default_rng(2))))
    assert sum(one.weight for one in found) == pytest.approx(1)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    assert {one.shape for one in found} == {"walk", "linear", "power", "exponential"}


@pytest.mark.parametrize("n", [6, 8, 30])
def test_weights_are_those_of_the_criterion_for_small_samples(n: int) -> None:
    """Formula 7.7 of Burnham and Anderson, K with the dispersion, is the twin."""
    found = fits(total_of(scattered(power(n, 0.8), 0.4, np.random.default_rng(n))))
    dispersion = min(one.dispersion for one in found)
    criteria = []
    for one in found:
        parameters = {"walk": 1, "linear": 1, "power": 2, "exponential": 2}[one.shape] + 1
        akaike = one.criterion / dispersion + 2 * parameters
        small = 2 * parameters * (parameters + 1) / (n - parameters - 1)
        criteria.append(akaike + small)
    relative = np.exp(-(np.array(criteria) - min(criteria)) / 2)
    assert [one.weight for one in found] == pytest.approx((relative / relative.sum()).tolist())


def test_six_steps_are_too_few_for_a_parameter_that_thirty_support() -> None:
    """Without the term for small samples, the power law would weigh most of both."""
    few, many = (fits(total_of(power(n, 0.7) * np.resize([1.2, 0.8], n))) for n in (6, 30))
    assert few[0].shape in {"walk", "linear"}
    assert many[0].shape == "power"


def test_a_parameter_must_earn_its_place() -> None:
    assert fits(total_of(power(12, 1.0)))[0].shape == "linear"


@pytest.mark.parametrize("steps", [power(FEWEST_STEPS - 1, 1.0), np.zeros(9), -power(9, 1.0)])
def test_too_few_steps_and_weights_that_stay_have_no_fit(steps: Floats) -> None:
    assert fits(total_of(steps)) == ()


def test_a_step_back_is_no_obstacle() -> None:
    steps = power(12, 1.0)
    steps[5] = -0.3
    assert len(fits(total_of(steps))) == 4


def test_what_stands_still_after_the_first_edit_follows_no_power_law() -> None:
    assert fit(total_of(np.array([1.0, *[0.0] * 9])), "power") is None


@pytest.mark.parametrize(
    ("at", "total"),
    [((1, 1), (1.0, 2.0)), ((0, 1), (1.0, 2.0)), ((1,), (1.0, 2.0)), ((1,), (float("nan"),))],
)
def test_a_series_that_is_none_is_refused(at: tuple[int, ...], total: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected rising counts and a finite total for each"):
        Series(at=at, total=total)
