from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pytest_eac.stats.intervals import tang
from pytest_eac.stats.means import p_above
from pytest_eac.stats.paired import Interval, is_above, kept, resampled

SCORES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


@given(scores=SCORES)
def test_equal_scores_leave_a_doubt_on_both_sides(scores: list[float]) -> None:
    found = kept(scores, scores)
    if not any(scores):
        assert found is None, "nothing is no share of nothing"
    else:
        assert found is not None
        assert found.value == 1.0
        assert found.low is not None
        assert found.high is not None
        assert found.low < 0.85  # 12 items at most: 0.025 ** (1 / 12) is 0.74
        assert found.high > 1.15


@pytest.mark.parametrize("n", [20, 100])
def test_where_nothing_changed_a_loss_that_would_often_go_unseen_is_inside(n: int) -> None:
    """With 5 % truly lost, 20 items show nothing of it 36 times in 100."""
    for score in (1.0, 0.4):  # right or wrong, and a score in between
        found = kept([score] * n, [score] * n)
        assert found is not None
        assert found.low is not None
        assert found.low < 0.025 ** (1 / n) + 0.01


def test_what_is_kept_is_the_ratio_of_the_means() -> None:
    found = kept([1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.5, 1.0])
    assert found is not None
    assert found.value == pytest.approx(2.5 / 3)


def test_an_interval_is_the_same_each_time() -> None:
    generator = np.random.default_rng(3)
    base, edited = (generator.random(40) for _ in range(2))
    assert kept(base.tolist(), edited.tolist()) == kept(base.tolist(), edited.tolist())


def test_scores_of_no_known_range_have_a_bootstrap_interval_and_none_where_they_are_equal() -> None:
    """A loop that draws whole items is the twin."""
    generator = np.random.default_rng(5)
    base = generator.gamma(4, 1, 60)
    edited = base * generator.uniform(0.6, 1.0, 60)
    drawn = generator.integers(0, 60, (4000, 60))
    low, high = np.quantile(edited[drawn].mean(axis=1) / base[drawn].mean(axis=1), [0.025, 0.975])
    found = kept(base.tolist(), edited.tolist())
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)
    same = kept(base.tolist(), base.tolist())
    assert same == Interval(value=1.0, low=None, high=None)
    half = kept([2.0] * 50, [1.0] * 50)  # percentiles stand in where BCa is undefined
    assert half == Interval(value=0.5, low=0.5, high=0.5)


@pytest.mark.parametrize(
    ("base", "edited"),
    [([0.5], [0.25]), ([1.0] + [0.0] * 99, [1.0, 1.0] + [0.0] * 98)],
    ids=["a single item", "hardly anything to keep"],
)
def test_hardly_any_base_leaves_almost_anything_possible(
    base: list[float], edited: list[float]
) -> None:
    found = kept(base, edited)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5
    assert found.high > 4


def test_items_stay_together() -> None:
    generator = np.random.default_rng(0)
    base = generator.integers(0, 2, 100).astype(float)
    half, apart = (kept(base.tolist(), (each / 2).tolist()) for each in (base, base[::-1]))
    assert half is not None
    assert apart is not None
    assert (half.high or 0) - (half.low or 0) < 0.7 * ((apart.high or 0) - (apart.low or 0))


def test_the_ends_are_where_the_test_turns() -> None:
    """A search over a grid of ratios is the twin."""
    generator = np.random.default_rng(2)
    base = generator.beta(2, 3, 25)
    edited = base * generator.uniform(0.5, 1.2, 25).clip(0, 1)
    found = kept(base.tolist(), edited.tolist())
    assert found is not None
    grid = np.linspace(0, 2, 1001)
    best = base.max()
    above = [p_above((edited - r * base).tolist(), 0.0, low=-r * best) <= 0.025 for r in grid]
    most = max(best, edited.max())
    below = [p_above((r * base - edited).tolist(), 0.0, low=-most) <= 0.025 for r in grid]
    assert found.low == pytest.approx(grid[above][-1], abs=0.003)
    assert found.high == pytest.approx(grid[below][0], abs=0.003)


@pytest.mark.parametrize("base", [1.0, 0.9, 0.4])
@pytest.mark.parametrize("n", [20, 100])
def test_the_kept_share_of_right_answers_is_inside_at_least_as_often_as_said(
    n: int, base: float
) -> None:
    """Exact, over all counts: 5 % of the right answers are truly lost. The bootstrap held .64."""
    held = total = 0.0
    for right in range(1, n + 1):
        for lost in range(right + 1):
            chance = binom.pmf(right, n, base) * binom.pmf(lost, right, 0.05)
            if chance > 1e-7:
                low, high = tang(right - lost, lost, 0)
                total += chance
                held += chance * (low <= 0.95 <= high)
    assert held / total >= 0.95


@pytest.mark.parametrize("n", [20, 60])
def test_the_kept_share_of_scores_in_between_is_inside_at_least_as_often_as_said(n: int) -> None:
    """One answer in twenty collapses and the others hardly move: the bootstrap misses these."""
    generator = np.random.default_rng(7)
    held, runs = 0, 200
    for _ in range(runs):
        base = generator.beta(2, 4, n)
        edited = np.where(generator.random(n) < 0.05, 0.0, base)
        found = kept(base.tolist(), edited.tolist())
        assert found is not None
        held += (found.low or 0) <= 0.95 <= (found.high or 0)
    assert held >= binom.ppf(0.001, runs, 0.95)


def test_any_statistic_can_be_resampled() -> None:
    found = resampled(lambda column: column.max(axis=-1), [1.0, 2.0, 9.0] * 10)
    assert found.value == 9.0
    assert found.high == 9.0


def tail(right: int, n: int, chance: float) -> float:
    """P(at least so many right), summed up."""
    return sum(math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(right, n + 1))


@given(n=st.integers(1, 60), data=st.data(), floor=st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_a_score_is_above_its_floor_when_chance_would_hardly_make_it(
    n: int, data: st.DataObject, floor: float
) -> None:
    right = data.draw(st.integers(0, n))
    scores = [1.0] * right + [0.0] * (n - right)
    chance = max(floor, 1 / n)
    assert is_above(scores, floor) == (tail(right, n, chance) < 0.05 and right / n > floor)


def test_a_model_that_guesses_is_seldom_taken_for_one_that_knows() -> None:
    generator = np.random.default_rng(1)
    taken = [
        is_above((generator.random(120) < 0.5).astype(float).tolist(), 0.5) for _ in range(400)
    ]
    assert 0 < sum(taken) <= 0.07 * 400


@pytest.mark.parametrize(("right", "above"), [(0, False), (1, False), (3, False), (4, True)])
def test_a_few_right_answers_may_be_accidents_even_where_chance_is_nothing(
    right: int, above: bool
) -> None:
    assert is_above([1.0] * right + [0.0] * (120 - right), 0.0) is above


def test_many_small_scores_are_not_above_a_floor_that_their_mean_is_below() -> None:
    assert not is_above([0.1] * 50, 0.3)
    assert is_above([0.4] * 50, 0.3)


@pytest.mark.parametrize("edited", [[0.0] * 11 + [1.0], [0.1] * 12, [1.0] * 2 + [0.0] * 10])
def test_a_share_that_is_kept_is_never_below_0(edited: list[float]) -> None:
    found = kept([1.0, 0.0, 0.5] * 4, edited)
    assert found is not None
    assert found.low is not None
    assert 0 <= found.low <= found.value
