from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, norm, rankdata

from pytest_eac.stats.trends import (
    FEWEST_VALUES,
    neighbours,
    onset,
    trend,
)
from tests.stats.growing import resembling, usual, walked

if TYPE_CHECKING:
    from tests.stats.growing import Floats

RUNS = 300


def regimes(n: int, factor: float, share: float = 0.5) -> Floats:
    """Sizes that are so many times as large after a share of the edits."""
    return np.where(np.arange(n) < share * n, 1.0, factor)


@given(values=st.lists(st.floats(0.1, 10.0), min_size=FEWEST_VALUES, max_size=30, unique=True))
def test_a_trend_is_the_correlation_of_normal_scores_with_time(values: list[float]) -> None:
    found = trend(values)
    assert found is not None
    scores = norm.ppf(rankdata(values) / (len(values) + 1))
    expected = np.corrcoef(scores, np.arange(len(values)))[0, 1]
    assert found.correlation == pytest.approx(expected, abs=1e-9)
    assert found.smallest_p <= found.p * (1 + 1e-9)


@given(values=st.lists(st.integers(1, 99), min_size=FEWEST_VALUES, max_size=20))
def test_a_trend_depends_on_the_order_of_values_alone(values: list[int]) -> None:
    assert trend(values) == trend([value**2 for value in values])


def test_equal_values_have_no_trend_and_few_values_none() -> None:
    found = trend([2.0] * 9)
    assert found is not None
    assert (found.correlation, found.p) == (0.0, 1.0)
    assert trend([1.0] * (FEWEST_VALUES - 1)) is None


def test_one_order_of_all_has_the_least_p_value() -> None:
    found = trend(range(FEWEST_VALUES))
    assert found is not None
    assert found.p == found.smallest_p == pytest.approx(1 / math.factorial(FEWEST_VALUES))


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize("n", [6, 12, 40])
def test_false_alarms_of_a_trend_stay_at_the_level_though_neighbours_are_alike(
    n: int, rho: float
) -> None:
    """With a correlation of 0.5, Mann and Kendall's test gives one in seven."""
    generator = np.random.default_rng((1, n, round(10 * rho)))
    alarms = naive = 0
    for _ in range(RUNS):
        steps = resembling(np.ones(n), 0.4, rho, generator)
        found = trend(steps.tolist())
        assert found is not None
        alarms += found.p <= 0.05
        naive += kendalltau(range(n), steps, alternative="greater").pvalue <= 0.05
    assert alarms <= usual(RUNS, 0.05)[1]
    assert naive > alarms


def test_steps_that_double_in_the_middle_have_a_trend_that_increments_do_not_show() -> None:
    """The norm of a walk rises ever more slowly: its increments hide that steps have grown."""
    generator = np.random.default_rng(2)
    found = {"steps": 0, "increments": 0}
    for _ in range(100):
        steps = resembling(regimes(40, 2.0), 0.4, 0.0, generator)
        for name, values in (("steps", steps), ("increments", walked(steps, order=1).steps)):
            seen = trend(values.tolist())
            assert seen is not None
            found[name] += seen.p <= 0.05
    assert found["steps"] >= usual(100, 0.97)[0]
    assert found["increments"] < 10


def test_true_alarms_of_a_trend_grow_with_edits() -> None:
    generator = np.random.default_rng(3)

    def alarms(n: int) -> int:
        growing: Floats = np.arange(1, n + 1, dtype=np.float64) ** 0.4
        seen = [trend(resembling(growing, 0.4, 0.0, generator).tolist()) for _ in range(100)]
        return sum(each is not None and each.p <= 0.05 for each in seen)

    few, more, many = (alarms(n) for n in (8, 20, 60))
    assert few < more < many
    assert many > 90


def test_an_exact_step_is_no_correlation_of_neighbours() -> None:
    """A method whose steps are all equal, and then all twice as large, is caught, too."""
    found = trend([1.0] * 20 + [2.0] * 20)
    assert found is not None
    assert found.p < 0.02


def test_an_onset_is_the_clearest_of_all_splits() -> None:
    """Each rank sum taken by hand is the twin."""
    values = [2.0, 1.0, 3.0, 5.0, 4.0, 8.0, 6.0, 7.0]
    scores = {}
    for k in (3, 4, 5):
        wanted, spread = (8 - k) * 4.5, math.sqrt(k * (8 - k) * 9 / 12)
        scores[k] = (sum(values[k:]) - wanted) / spread
    found = onset(values)
    assert found is not None
    assert found.index == max(scores, key=lambda k: scores[k])
    assert found.factor == pytest.approx(
        np.mean(values[found.index :]) / np.mean(values[: found.index])
    )


def test_an_onset_is_at_least_as_likely_as_random_orders_that_rise_as_clearly() -> None:
    """All orders of eight values, as if neighbours were independent, are a lower bound."""
    values = [2.0, 1.0, 3.0, 5.0, 4.0, 8.0, 6.0, 7.0]

    def clearest(order: tuple[float, ...]) -> float:
        scores = []
        for k in (3, 4, 5):
            wanted, spread = (8 - k) * 4.5, math.sqrt(k * (8 - k) * 9 / 12)
            scores.append((sum(order[k:]) - wanted) / spread)
        return max(scores)

    own = clearest(tuple(values)) - 1e-9
    share = np.mean([clearest(order) >= own for order in itertools.permutations(values)])
    found = onset(values)
    assert found is not None
    assert found.p > share


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize("n", [12, 30])
def test_false_alarms_of_an_onset_stay_at_the_level_though_neighbours_are_alike(
    n: int, rho: float
) -> None:
    """With a correlation of 0.5, random orders give one false alarm in four."""
    generator = np.random.default_rng((5, n, round(10 * rho)))
    alarms = 0
    for _ in range(RUNS):
        found = onset(resembling(np.ones(n), 0.4, rho, generator).tolist())
        assert found is not None
        alarms += found.p <= 0.05
    assert alarms <= usual(RUNS, 0.05)[1]


def test_true_alarms_of_an_onset_grow_with_edits() -> None:
    generator = np.random.default_rng(6)

    def alarms(n: int) -> int:
        seen = [
            onset(resembling(regimes(n, 4.0, 0.7), 0.4, 0.0, generator).tolist()) for _ in range(60)
        ]
        return sum(each is not None and each.p <= 0.05 for each in seen)

    few, more, many = (alarms(n) for n in (10, 16, 30))
    assert few < more < many
    assert many > 57


def test_the_onset_is_found_where_values_rise() -> None:
    values = [1.0, 1.1, 0.9, 1.2, 1.05, 0.95, 1.15, 0.85, 3.0, 3.3, 2.9, 3.1, 2.8, 3.2]
    found = onset(values)
    assert found is not None
    assert found.index == 8
    assert found.factor == pytest.approx(np.mean(values[8:]) / np.mean(values[:8]))
    assert found.p < 0.02


def test_one_large_step_is_no_new_level() -> None:
    found = onset([1.0, 1.2, 0.9, 1.1, 0.8, 50.0, 1.15, 0.95, 1.05, 0.85])
    assert found is not None
    assert found.p > 0.2


def test_too_few_values_for_two_levels_have_no_onset() -> None:
    assert onset([1.0, 1, 1, 9, 9]) is None
    short, longer = onset([1.0, 2, 3, 4, 5, 6]), onset(range(12))
    assert short is not None
    assert longer is not None
    assert short.smallest_p > 0.1
    assert longer.smallest_p < 0.05


def test_a_p_value_of_an_onset_is_never_less_than_the_draws_can_show() -> None:
    """The series itself counts among those that chance may bring: no p-value is 0."""
    found = onset([*range(40), *(1000 + each for each in range(40))])
    assert found is not None
    assert found.p >= found.smallest_p > 0.0
    levels = np.sin(9.0 * np.arange(60)) + 50.0 * (np.arange(60) >= 30)
    clear = onset(levels.tolist())
    assert clear is not None
    assert clear.p == pytest.approx(1 / 2000)


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
    values = [1.0, 1.5, 1.4, 2.0, 1.1]
    assert neighbours([value / 1000 for value in values]) == pytest.approx(neighbours(values))
