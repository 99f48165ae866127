from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from pytest_eac.stats.means import mean_interval, p_above

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


@pytest.mark.parametrize("n", [1, 5, 20])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_scores_in_between_are_tested_by_weights_that_are_drawn_at_random(
    n: int, low: float
) -> None:
    """The twin draws a million sets of weights: spacings of uniform numbers."""
    generator = np.random.default_rng(n)
    scores = generator.uniform(low, 1, n)
    limit = float(scores.mean()) - 0.2
    ends = np.sort(generator.random((200_000, n)), axis=1)
    weights = np.diff(ends, prepend=0, append=1, axis=1)
    drawn = (weights @ np.append(scores, low) <= limit).mean()
    assert p_above(scores.tolist(), limit, low=low) == pytest.approx(drawn, abs=0.005)


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=30), limit=st.floats(0.01, 1))
def test_the_order_of_scores_and_the_place_of_the_range_make_no_difference(
    scores: list[float], limit: float
) -> None:
    found = p_above(scores, limit)
    assert p_above(sorted(scores), limit) == pytest.approx(found, abs=1e-9)
    moved = [2 * score - 1 for score in scores]
    assert p_above(moved, 2 * limit - 1, low=-1.0) == pytest.approx(found, abs=1e-6)


def test_nothing_that_was_never_negative_shows_that_nothing_is() -> None:
    """Eight differences of +.1 come with probability .43 where one in ten is -.9."""
    assert p_above([0.1] * 8, 0.0, low=-1.0) == pytest.approx(1.1**-8)
    assert p_above([0.1] * 31, 0.0, low=-1.0) > 0.05 > p_above([0.1] * 32, 0.0, low=-1.0)


@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("level", [0.1, 0.05, 0.01])
def test_no_distribution_of_two_points_is_rejected_more_often_than_its_level(
    n: int, limit: float, level: float
) -> None:
    """Exact, over a grid of points, with the chances that make the mean the limit."""
    for low in np.linspace(0, limit, 8)[:-1]:
        for high in np.linspace(limit, 1, 7)[1:]:
            share = (limit - low) / (high - low)
            rows = ([high] * hits + [low] * (n - hits) for hits in range(n + 1))
            rejected = [hits for hits, row in enumerate(rows) if p_above(row, limit) <= level]
            assert binom.pmf(rejected, n, share).sum() <= level


@pytest.mark.parametrize("n", [10, 30, 100])
def test_scores_in_between_are_rejected_no_more_often_than_their_level(n: int) -> None:
    """Shares of right tokens: 2,000 samples of beta and three-point scores, whose mean is 0.8."""
    generator = np.random.default_rng(n)
    beta = generator.beta(0.4, 0.1, (1000, n))
    thirds = generator.choice([0.0, 2 / 3, 1.0], p=[0.1, 0.3, 0.6], size=(1000, n))
    taken = sum(p_above(row.tolist(), 0.8) <= 0.05 for row in (*beta, *thirds))
    assert taken <= binom.ppf(0.999, 2000, 0.05)


SKEWED = {
    "rarely collapsed": ((0.1, -0.9), (0.9, 0.1)),
    "mostly equal": ((0.05, -0.75, 0.0), (0.6, 0.04, 0.36)),
    "three points": ((1.0, 0.2, -1.0), (0.3, 0.35, 0.35)),
}


@pytest.mark.parametrize("n", [8, 20, 50])
@pytest.mark.parametrize("kind", SKEWED)
def test_skewed_differences_with_mean_0_are_rejected_no_more_often_than_the_level(
    kind: str, n: int
) -> None:
    """Flipped signs reject .43 of the first at n = 8. docs/verdicts.md has more runs."""
    values, chances = SKEWED[kind]
    drawn = np.sort(np.random.default_rng(n).choice(values, (1000, n), p=chances), axis=1)
    rows, times = np.unique(drawn, axis=0, return_counts=True)
    by_how_much = max(0.0, float(np.dot(values, chances)))  # the second has a mean of exactly 0
    rejected = [p_above(row.tolist(), by_how_much, low=-1.0) <= 0.05 for row in rows]
    assert times[rejected].sum() <= binom.ppf(0.999, 1000, 0.05)


@pytest.mark.parametrize("n", [1, 10, 40])
def test_right_and_wrong_have_the_interval_of_clopper_and_pearson(n: int) -> None:
    for hits in range(n + 1):
        expected = binomtest(hits, n).proportion_ci(0.9, method="exact")
        found = mean_interval(right(hits, n), confidence=0.9)
        assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(
    scores=st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.8, 1.0]), min_size=1, max_size=20),
    confidence=st.floats(0.5, 0.99),
)
def test_an_interval_ends_where_the_test_and_its_mirror_image_turn(
    scores: list[float], confidence: float
) -> None:
    low, high = mean_interval(scores, low=-1.0, confidence=confidence)
    assert -1 <= low <= np.mean(scores) + 1e-9
    assert np.mean(scores) - 1e-9 <= high <= 1
    tail = (1 - confidence) / 2
    if low > -1:
        assert p_above(scores, low, low=-1.0) == pytest.approx(tail, rel=1e-6)
    if high < 1:
        turned = [-score for score in scores]
        assert p_above(turned, -high, low=-1.0) == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize("n", [8, 30])
def test_the_mean_of_scores_is_in_its_interval_at_least_as_often_as_said(n: int) -> None:
    generator = np.random.default_rng(n)
    runs, held = 300, 0
    for _ in range(runs):
        scores = np.where(generator.random(n) < 0.1, 0.0, generator.beta(9, 1, n))
        low, high = mean_interval(scores.tolist())
        held += low <= 0.9 * 0.9 <= high
    assert held >= binom.ppf(0.001, runs, 0.95)
