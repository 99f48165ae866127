from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pytest_eac.stats.means import needed_above, p_above

LIMITS = (0.5, 0.7, 0.9, 0.95, 0.99)


def right(hits: int, n: int) -> list[float]:
    return [1.0] * hits + [0.0] * (n - hits)


def tail(hits: int, n: int, limit: float) -> float:
    """P(at least so many right), summed up."""
    return sum(math.comb(n, k) * limit**k * (1 - limit) ** (n - k) for k in range(hits, n + 1))


@given(n=st.integers(1, 60), data=st.data(), limit=st.floats(0.01, 0.99))
def test_right_and_wrong_are_tested_by_the_exact_binomial(
    n: int, data: st.DataObject, limit: float
) -> None:
    hits = data.draw(st.integers(0, n))
    assert p_above(right(hits, n), limit) == pytest.approx(tail(hits, n, limit), rel=1e-6)


def test_a_limit_of_nothing_is_always_reached_and_one_of_all_never_surely() -> None:
    assert p_above([0.0] * 5, 0.0) == 0.0
    assert p_above([1.0] * 5, 1.0) == 1.0


def test_thirds_that_make_a_whole_count_as_one() -> None:
    assert p_above([1 / 3] * 3, 0.3) == pytest.approx(tail(1, 3, 0.3))


def test_a_part_of_a_success_does_not_count() -> None:
    assert p_above([0.5, 0.6, 0.8], 0.3) == pytest.approx(tail(1, 3, 0.3))


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("level", [0.1, 0.05, 0.01])
def test_no_distribution_of_two_points_is_rejected_more_often_than_its_level(
    n: int, limit: float, level: float
) -> None:
    """Exact, without a single draw: the sum of such scores is a binomial number, moved and scaled.

    Over a grid of points ``low < limit < high``, with the chances that make the mean the limit.
    """
    sums = [k for k in range(n + 1) if p_above(right(k, n), limit) <= level]
    if not sums:
        return  # so few scores can never be enough
    least = sums[0]
    low = np.linspace(0, limit, 60)[:-1, None]
    high = np.linspace(limit, 1, 40)[None, 1:]
    share = (limit - low) / (high - low)
    hits = np.ceil((least - n * low) / (high - low) - 1e-9)
    assert binom.sf(hits - 1, n, share).max() <= level


@pytest.mark.parametrize("n", [10, 30, 100])
def test_scores_in_between_are_rejected_no_more_often_than_their_level(n: int) -> None:
    """Shares of right tokens: 2,000 samples of beta and three-point scores, whose mean is 0.8."""
    generator = np.random.default_rng(n)
    beta = generator.beta(0.4, 0.1, (1000, n))
    thirds = generator.choice([0.0, 2 / 3, 1.0], p=[0.1, 0.3, 0.6], size=(1000, n))
    taken = sum(p_above(row.tolist(), 0.8) <= 0.05 for row in (*beta, *thirds))
    assert taken <= binom.ppf(0.999, 2000, 0.05)


@pytest.mark.parametrize("limit", [0.6, 0.9])
@pytest.mark.parametrize("ahead", [0.04, 0.08])
def test_the_number_needed_is_the_first_from_which_the_power_is_there(
    limit: float, ahead: float
) -> None:
    n = 100
    hits = round(n * (limit + ahead))
    found = needed_above(right(hits, n), limit, level=0.05)
    assert found is not None

    def power(count: int) -> float:
        [enough] = np.nonzero(binom.sf(np.arange(-1, count + 1), count, limit) <= 0.05)
        return float(binom.sf(enough[0] - 1, count, hits / n))

    assert power(found - 1) < 0.8
    assert all(power(count) >= 0.8 for count in range(found, found + 40))


def test_power_grows_with_the_number_of_edits() -> None:
    generator = np.random.default_rng(0)
    powers = []
    for n in (20, 80, 320):
        samples = (generator.random((300, n)) < 0.95).astype(float)
        powers.append(sum(p_above(row.tolist(), 0.9) <= 0.05 for row in samples) / 300)
    assert powers == sorted(powers)
    assert powers[0] < 0.5
    assert powers[2] > 0.9


def test_where_all_are_right_it_takes_29_to_be_95_percent_sure_of_90_percent() -> None:
    assert needed_above([1.0] * 5, 0.9, level=0.05) == 29  # 0.9 ** 29 < 0.05 < 0.9 ** 28


def test_a_stricter_level_takes_more() -> None:
    scores = right(95, 100)
    counts = [needed_above(scores, 0.9, level=level) or 0 for level in (0.05, 0.025, 0.01)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("limit", [0.5, 0.6])
def test_no_number_decides_what_is_not_above_its_limit(limit: float) -> None:
    assert needed_above(right(5, 10), limit, level=0.05) is None


def test_scores_that_vary_less_take_fewer() -> None:
    steady = needed_above([0.94, 0.96] * 10, 0.9, level=0.05)
    wild = needed_above(right(95, 100), 0.9, level=0.05)
    assert steady is not None
    assert wild is not None
    assert steady < wild


def test_a_number_too_large_to_search_is_near_what_the_search_would_find() -> None:
    found = needed_above(right(920, 1000), 0.90, level=0.05)
    beyond = needed_above(right(905, 1000), 0.90, level=0.05)
    assert found is not None
    assert beyond is not None
    assert beyond == pytest.approx(16 * found, rel=0.15)
