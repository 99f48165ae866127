from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pytest_eac.stats.foreseen import Foreseen
from pytest_eac.stats.means import (
    chance_to_bound_a_loss,
    fewest_without_loss,
    needed_above,
    p_above,
)

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


@given(n=st.integers(1, 40), score=st.floats(0.05, 1.0), share=st.floats(0.05, 0.99))
def test_equal_scores_are_tested_by_what_each_might_have_missed(
    n: int, score: float, share: float
) -> None:
    """Of all such variables, those of 0 and that score are the furthest spread."""
    assert p_above([score] * n, score * share) == pytest.approx(share**n, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 12, 60])
def test_scores_in_between_are_weighed_uniformly(n: int) -> None:
    """The slow twin draws the weights: a million exponential numbers over their sum."""
    generator = np.random.default_rng(n)
    scores = generator.beta(2, 1, n)
    limit = scores.mean() * (1 - 1.2 / (n + 1))
    weights = generator.exponential(size=(10**6 // (n + 1), n + 1))
    means = weights[:, 1:] @ scores / weights.sum(axis=1)
    expected = (means <= limit).mean()
    error = np.sqrt(expected * (1 - expected) / len(means))
    assert p_above(scores.tolist(), limit) == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("n", [3, 50, 2000])
def test_scores_hardly_in_between_are_right_and_wrong(n: int) -> None:
    scores = right(round(0.8 * n), n)
    nearly = [*scores[:-1], 1e-9]
    for limit in (0.7, 0.78, 0.9):
        found, exact = p_above(nearly, limit), p_above(scores, limit)
        assert found == pytest.approx(exact, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("scale", [0.5, 1e-3, 1e-6])
def test_scores_and_limit_on_another_scale_have_the_same_p_value(scale: float) -> None:
    scores = [0.9, 0.8, 0.95, 0.6, 0.7, 0.85]
    assert p_above([scale * score for score in scores], scale * 0.6) == pytest.approx(
        p_above(scores, 0.6), rel=1e-6
    )


def test_scores_that_all_reach_the_limit_may_still_be_few() -> None:
    assert 0.3 < p_above([0.8, 0.9], 0.7) < 0.8
    assert p_above([0.2, 0.3], 0.3) == 1.0
    assert p_above([0.5] * 4 + [0.6], 0.001) == pytest.approx(0.0, abs=1e-8)


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
    """Shares of right tokens: 600 samples of beta and three-point scores, whose mean is 0.8."""
    generator = np.random.default_rng(n)
    beta = generator.beta(0.4, 0.1, (300, n))
    thirds = generator.choice([0.0, 2 / 3, 1.0], p=[0.1, 0.3, 0.6], size=(300, n))
    taken = sum(p_above(row.tolist(), 0.8) <= 0.05 for row in (*beta, *thirds))
    assert taken <= binom.ppf(0.999, 600, 0.05)


@pytest.mark.parametrize("n", [8, 20, 50])
@pytest.mark.parametrize(
    ("points", "chances"),
    [([0.1, -0.9], [0.9, 0.1]), ([0.05, -0.75, 0.0], [0.6, 0.04, 0.36])],
    ids=["often slightly better, rarely collapsed", "likewise, or equal"],
)
def test_differences_that_are_skewed_are_rejected_no_more_often_than_their_level(
    points: list[float], chances: list[float], n: int
) -> None:
    """Sign flips reject the first 43 times of 100 with eight differences; its mean is 0."""
    generator = np.random.default_rng(n)
    rows = generator.multinomial(n, chances, 4000)
    kinds, times = np.unique(rows, axis=0, return_counts=True)
    taken = 0
    for counts, often in zip(kinds, times, strict=True):
        gaps = np.repeat(points, counts)
        taken += often * (p_above(((gaps + 1) / 2).tolist(), 0.5) <= 0.05)
    assert taken <= binom.ppf(0.999, 4000, 0.05)


@pytest.mark.parametrize(("true", "n"), [(0.95, 20), (0.95, 100), (0.97, 40), (0.8, 30)])
def test_the_stated_chance_is_about_that_of_further_edits(true: float, n: int) -> None:
    """Over undecided samples: what was said, and the exact chance that so many more would pass."""
    limit = 0.9 if true > 0.9 else 0.7
    said, real = [], []
    for hits in range(n + 1):
        found = needed_above(right(hits, n), limit, level=0.05)
        if found is None or found.chance is None or p_above(right(hits, n), limit) <= 0.05:
            continue  # no claim, or no need of one
        weight = binom.pmf(hits, n, true)
        least = binom.isf(0.05, found.count, limit) + 1
        said.append((weight, found.chance))
        real.append((weight, binom.sf(least - 1, found.count, true)))
    stated, met = (
        np.average([x for _, x in each], weights=[w for w, _ in each]) for each in (said, real)
    )
    assert stated - 0.1 < met


@pytest.mark.parametrize("n", [10, 20])
def test_so_it_is_with_scores_in_between(n: int) -> None:
    generator = np.random.default_rng(n)
    said, real = [], []
    for _ in range(60):
        scores = generator.beta(4, 1, n).tolist()  # mean 0.8
        found = needed_above(scores, 0.7, level=0.05)
        if found is not None and found.chance is not None and p_above(scores, 0.7) > 0.05:
            further = generator.beta(4, 1, (10, found.count))
            said.append(found.chance)
            real.append(np.mean([p_above(row.tolist(), 0.7) <= 0.05 for row in further]))
    assert len(said) >= 20
    assert np.mean(said) - 0.1 < np.mean(real)


def test_power_grows_with_the_number_of_edits() -> None:
    generator = np.random.default_rng(0)
    powers = []
    for n in (20, 80, 320):
        samples = (generator.random((300, n)) < 0.95).astype(float)
        powers.append(sum(p_above(row.tolist(), 0.9) <= 0.05 for row in samples) / 300)
    assert powers == sorted(powers)
    assert powers[0] < 0.5
    assert powers[2] > 0.9


def test_few_that_are_all_right_promise_little() -> None:
    few, many = (needed_above([1.0] * n, 0.9, level=0.05) for n in (5, 200))
    assert few is not None
    assert many is not None
    assert few.chance == 0.5
    assert many == Foreseen(count=29, chance=0.8)  # 0.9 ** 29 < 0.05 < 0.9 ** 28


def test_a_stricter_level_takes_more() -> None:
    found = [needed_above(right(95, 100), 0.9, level=level) for level in (0.05, 0.025, 0.01)]
    counts = [each.count for each in found if each]
    assert len(counts) == 3
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("limit", [0.5, 0.6, 1.0])
def test_no_number_decides_what_is_not_above_its_limit(limit: float) -> None:
    assert needed_above(right(5, 10), limit, level=0.05) is None
    assert needed_above([0.4, 0.6], limit, level=0.05) is None


def test_scores_that_vary_less_take_fewer() -> None:
    steady = needed_above([0.94, 0.96] * 10, 0.9, level=0.05)
    wild = needed_above(right(95, 100), 0.9, level=0.05)
    assert steady is not None
    assert wild is not None
    assert steady.count < wild.count


def test_what_is_needed_is_said_with_its_chance() -> None:
    assert Foreseen(count=1200, chance=0.8).text("edits") == (
        "needs about 1,200 edits to pass with a chance of 0.8"
    )
    assert Foreseen(count=5).text("seeds") == "needs about 5 seeds"


def test_the_chance_to_bound_a_loss_is_that_of_the_test_itself() -> None:
    """The twin asks the test for each number of losses."""
    n, most, level, lost = 150, 0.05, 0.05, 0.01

    def p(losses: int) -> float:
        return p_above([0.5] * (n - losses) + [0.0] * losses, (1 - most) / 2)

    twin = sum(binom.pmf(losses, n, lost) for losses in range(n) if p(losses) <= level)
    assert chance_to_bound_a_loss(n, most, level=level, lost=lost) == pytest.approx(twin)
    least = fewest_without_loss(most, level=level)
    assert p_above([0.5] * least, (1 - most) / 2) <= level
    assert p_above([0.5] * (least - 1), (1 - most) / 2) > level
    assert chance_to_bound_a_loss(least, most, level=level, lost=0.0) == 1.0
    assert chance_to_bound_a_loss(least - 1, most, level=level, lost=0.0) == 0.0
