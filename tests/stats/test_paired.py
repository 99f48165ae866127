from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from pytest_eac.stats.paired import Interval, is_above, kept, resampled

SCORES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


@given(scores=SCORES)
def test_equal_scores_are_kept_but_others_might_not_be(scores: list[float]) -> None:
    found = kept(scores, scores)
    if not any(scores):
        assert found is None, "nothing is no share of nothing"
        return
    assert found is not None
    assert found.value == 1.0
    if set(scores) <= {0.0, 1.0}:
        assert found.low is not None
        assert found.high is not None
        assert found.low < 1 < found.high
    else:
        assert (found.low, found.high) == (None, None)


def test_what_is_kept_is_the_ratio_of_the_means() -> None:
    found = kept([1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.5, 1.0])
    assert found is not None
    assert found.value == pytest.approx(2.5 / 3)


def test_an_interval_is_the_same_each_time() -> None:
    generator = np.random.default_rng(3)
    base, edited = (generator.random(40) for _ in range(2))
    assert kept(base.tolist(), edited.tolist()) == kept(base.tolist(), edited.tolist())


def test_percentiles_stand_in_where_bca_is_undefined() -> None:
    found = resampled(lambda column: column.mean(axis=-1), [0.5] * 50)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("base", "edited"),
    [([0.5], [0.25]), ([0.5, 0.2], [0.25, 0.1]), ([0.9] + [0.0] * 9, [0.1] + [0.0] * 9)],
    ids=["a single item", "all have kept one half", "hardly anything to keep"],
)
def test_items_that_allow_no_interval_get_none(base: list[float], edited: list[float]) -> None:
    found = kept(base, edited)
    assert found is not None
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize(
    ("both", "lost", "gained", "neither"),
    [(29, 5, 2, 14), (3, 1, 3, 5), (1, 1, 9, 9), (1, 0, 1, 2), (2, 6, 1, 1), (0, 8, 0, 12)],
)
def test_the_interval_of_a_ratio_of_shares_is_that_of_its_score_test(
    both: int, lost: int, gained: int, neither: int
) -> None:
    """The slow twin: the likeliest shares with a ratio are found by search, not by formula."""
    base = [1.0] * (both + lost) + [0.0] * (gained + neither)
    edited = [1.0] * both + [0.0] * lost + [1.0] * gained + [0.0] * neither
    found = kept(base, edited)
    assert found is not None
    assert found.value == pytest.approx((both + gained) / (both + lost))
    assert (found.low == 0.0) == (both + gained == 0)
    for end, side in ((found.low, 1), (found.high, -1)):
        assert end is not None
        if end:
            score = _score_by_search(both, lost, gained, neither, end)
            assert side * score == pytest.approx(1.95996, abs=1e-3)


def _score_by_search(both: int, lost: int, gained: int, neither: int, ratio: float) -> float:
    n = both + lost + gained + neither
    some = 1 - neither / n

    def shares(u: float) -> tuple[float, float]:
        v = (some * (ratio - 1) + u) / ratio
        return v, some - u - v

    def surprise(u: float) -> float:
        v, rest = shares(u)
        if min(u, v, rest) <= 0:
            return math.inf
        return -(both * math.log(rest) + lost * math.log(u) + gained * math.log(v))

    u = minimize_scalar(
        surprise,
        bounds=(max(0.0, some * (1 - ratio)), some / (1 + ratio)),
        method="bounded",
        options={"xatol": 1e-10},
    ).x
    variance = n * ratio * (u + shares(u)[0])
    return (both + gained - ratio * (both + lost)) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("n", "base", "lost", "gained"),
    [(20, 0.6, 0.05, 0.0), (20, 0.95, 0.05, 0.0), (100, 0.2, 0.05, 0.02), (100, 0.6, 0.05, 0.0)],
)
def test_the_interval_of_what_is_kept_holds_also_where_nothing_may_have_changed(
    n: int, base: float, lost: float, gained: float
) -> None:
    """A bootstrap of 20 items, of which 5 % are truly lost, holds 40 times of 100."""
    generator = np.random.default_rng(n)
    true = 1 - lost + gained * (1 - base) / base
    held = 0
    for _ in range(400):
        before = generator.random(n) < base
        after = np.where(before, generator.random(n) >= lost, generator.random(n) < gained)
        found = kept(before.astype(float).tolist(), after.astype(float).tolist())
        if found is None:
            held += 1
        elif found.low is not None and found.high is not None:
            held += found.low <= true <= found.high
    assert held >= binom.ppf(0.001, 400, 0.95)


@pytest.mark.parametrize("n", [20, 60])
def test_so_does_that_of_scores_in_between(n: int) -> None:
    generator = np.random.default_rng(n)
    held = 0
    for _ in range(400):
        before = generator.beta(2, 3, n)
        after = np.clip(before * generator.normal(0.95, 0.2, n), 0, None)
        found = kept(before.tolist(), after.tolist())
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.95 <= found.high
    assert held >= binom.ppf(0.001, 400, 0.94)


def test_items_stay_together() -> None:
    generator = np.random.default_rng(0)
    base = generator.random(100)
    near, apart = (
        kept(base.tolist(), edited.tolist())
        for edited in (base / 2 + 0.001 * generator.random(100), base[::-1] / 2)
    )
    assert near is not None
    assert apart is not None
    assert near.low is not None
    assert apart.low is not None
    assert near.low == pytest.approx(0.5, abs=0.01)
    assert apart.low < 0.45


def test_an_interval_is_near_that_of_resamples_drawn_by_hand() -> None:
    """A loop that draws whole items is the twin."""
    generator = np.random.default_rng(5)
    base = (generator.random(60) < 0.6).astype(float)
    edited = np.where(generator.random(60) < 0.2, 1 - base, base)
    ratios = []
    for _ in range(4000):
        drawn = generator.integers(0, 60, 60)
        ratios.append(edited[drawn].mean() / base[drawn].mean())
    low, high = np.quantile(ratios, [0.025, 0.975])
    found = kept(base.tolist(), edited.tolist())
    assert found is not None
    assert found.low == pytest.approx(low, abs=0.04)
    assert found.high == pytest.approx(high, abs=0.04)


def test_a_number_with_the_other_sign_has_its_interval_turned_round() -> None:
    assert -Interval(value=1.0, low=-2.0, high=3.0) == Interval(value=-1.0, low=-3.0, high=2.0)
    assert -Interval(value=1.0, low=None, high=None) == Interval(value=-1.0, low=None, high=None)
    assert f"{(-Interval(value=0.0, low=0.0, high=0.0)).value:+g}" == "+0"


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
