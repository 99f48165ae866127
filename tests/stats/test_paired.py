from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.stats import paired
from pytest_eac.stats.paired import Interval, is_above, kept, resampled

SCORES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


@given(scores=SCORES)
def test_equal_scores_are_kept_exactly_and_with_certainty(scores: list[float]) -> None:
    found = kept(scores, scores)
    if not any(scores):
        assert found is None, "nothing is no share of nothing"
    else:
        assert found is not None
        assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_what_is_kept_is_the_ratio_of_the_means() -> None:
    found = kept([1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.5, 1.0])
    assert found is not None
    assert found.value == pytest.approx(2.5 / 3)


def test_an_interval_is_the_same_each_time() -> None:
    generator = np.random.default_rng(3)
    base, edited = (generator.random(40) for _ in range(2))
    assert kept(base.tolist(), edited.tolist()) == kept(base.tolist(), edited.tolist())


def test_percentiles_stand_in_where_bca_is_undefined() -> None:
    found = kept([1.0] * 50, [0.5] * 50)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("base", "edited"),
    [([0.5], [0.25]), ([1.0] + [0.0] * 99, [1.0, 1.0] + [0.0] * 98)],
    ids=["a single item", "hardly anything to keep"],
)
def test_items_that_allow_no_interval_get_none(base: list[float], edited: list[float]) -> None:
    found = kept(base, edited)
    assert found is not None
    assert (found.low, found.high) == (None, None)


def test_resamples_keep_items_together() -> None:
    generator = np.random.default_rng(0)
    base = generator.integers(0, 2, 100).astype(float)
    half = kept(base.tolist(), (base / 2).tolist())
    assert half is not None
    assert half.low == pytest.approx(0.5)
    assert half.high == pytest.approx(0.5)
    apart = kept(base.tolist(), (base[::-1] / 2).tolist())
    assert apart is not None
    assert apart.low is not None
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


def test_intervals_hold_the_truth_about_as_often_as_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paired, "_RESAMPLES", 599)
    generator = np.random.default_rng(7)
    held, runs = 0, 250
    for _ in range(runs):
        base = (generator.random(100) < 0.6).astype(float)
        flipped = generator.random(100) < 0.2
        edited = np.where(flipped, 0.0, base)  # of each unedited point, 80 % is left
        found = kept(base.tolist(), edited.tolist())
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8 <= found.high
    assert 0.91 <= held / runs <= 0.99


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
