from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_eac.judging.growth import growth, series_of
from tests.judging.growing_chains import EQUAL, NOISE, moving, steps, verdict, walking

# Acceleration


def test_edits_that_move_the_weights_more_and_more_accelerate() -> None:
    assert verdict(moving(steps(20)), no_acceleration=True).outcome == "passed"
    found = verdict(moving(steps(20, 2.0)), no_acceleration=True)
    assert found.outcome == "failed"
    assert "later edits make larger steps" in found.message
    assert "level 0.05" in found.message


def test_the_level_of_an_alarm_is_what_the_confidence_leaves() -> None:
    rising = moving([0.01, 0.011, 0.012, 0.013, 0.014, 0.015])  # one order of 720: p = 0.0014
    assert verdict(rising, no_acceleration=True).outcome == "failed"
    surer = verdict(rising, no_acceleration=True, confidence=0.999)
    assert surer.outcome == "undecided"
    assert "needs about 7 edits" in surer.message


def test_five_edits_cannot_accelerate_beyond_doubt() -> None:
    found = verdict(moving([0.01, 0.02, 0.03, 0.04, 0.05]), no_acceleration=True)
    assert found.outcome == "undecided"
    assert "needs about 6 edits" in found.message


DOUBLED = [*(size for size in NOISE for _ in range(2)), *(2 * size for size in NOISE for _ in "ab")]


def test_steps_that_double_are_an_alarm_though_the_deviation_grows_ever_more_slowly() -> None:
    """Increments of the deviation rise by a quarter only: those of equal steps in a walk fall."""
    of = walking(DOUBLED)
    increments = series_of(of, "l1").steps
    assert increments[20:].mean() < 1.3 * increments[:20].mean()
    for norm in ("l1", "frobenius"):
        assert verdict(of, norm, no_acceleration=True).outcome == "failed"
        found = verdict(of, norm, no_collapse_before=30)
        assert found.outcome == "failed"
        assert "from edit 21 on, steps are 2.0 times as large as before" in found.message


def test_equal_steps_and_steps_that_shrink_are_no_alarm() -> None:
    for sizes in (EQUAL, DOUBLED[::-1]):
        assert verdict(walking(sizes), no_acceleration=True).outcome == "passed"
        assert verdict(walking(sizes), no_collapse_before=15).outcome == "passed"


def test_a_last_batch_of_fewer_edits_is_no_fall_of_step_sizes() -> None:
    """The step of a batch of unrelated edits grows with the root of how many they are."""
    of = walking([2.0 * size for size in NOISE], batch=4)
    last = walking([*(2.0 * size for size in NOISE), 1.0], batch=4)
    short = replace(last, per_edit=last.per_edit[:41])
    assert growth(of).sizes == pytest.approx(NOISE)
    assert growth(short).sizes == pytest.approx([*NOISE, 1.0])


@pytest.mark.parametrize("limits", [{"no_acceleration": True}, {"no_collapse_before": 9}])
def test_alarms_are_undecided_where_a_method_gives_no_sizes(limits: dict[str, Any]) -> None:
    of = walking(EQUAL)
    costs = [*of.per_edit[:7], replace(of.per_edit[7], delta_norm=0.0), *of.per_edit[8:]]
    found = verdict(replace(of, per_edit=tuple(costs)), **limits)
    assert found.outcome == "undecided"
    assert "no size for some updates after which the weights have changed" in found.message
    assert growth(replace(of, per_edit=tuple(costs))).alignment is None
    assert verdict(replace(of, per_edit=tuple(costs)), max_exponent=2).outcome == "passed"


def test_an_edit_that_changes_nothing_has_the_size_zero() -> None:
    assert growth(walking([1.0, 0.0, 0.0, 2.0])).sizes == (1.0, 0.0, 0.0, 2.0)


# Collapse

COLLAPSING = [*steps(12), *(0.04 * each for each in NOISE[:8])]


def test_a_collapse_is_said_with_its_edit_and_how_much_larger_edits_are() -> None:
    found = verdict(moving(COLLAPSING), no_collapse_before=20)
    assert found.outcome == "failed"
    assert found.observed == 13
    assert "from edit 13 on, steps are 4.0 times as large as before" in found.message


def test_a_collapse_at_the_edit_or_later_passes_and_is_told() -> None:
    assert verdict(moving(COLLAPSING), no_collapse_before=14).outcome == "failed"
    found = verdict(moving(COLLAPSING), no_collapse_before=13)
    assert found.outcome == "passed"
    assert "from edit 13 on" in found.message


@pytest.mark.parametrize(("factor", "outcome"), [(1.9, "passed"), (2.1, "failed")])
def test_a_rise_to_less_than_twice_is_no_collapse(factor: float, outcome: str) -> None:
    rise = [*NOISE, *NOISE, *(factor * size for size in (*NOISE, *NOISE))]
    seen = growth(walking(rise)).onset
    assert seen is not None
    assert seen.index == 20
    assert seen.factor == pytest.approx(factor)
    assert seen.p <= 0.05
    assert verdict(walking(rise), no_collapse_before=30).outcome == outcome


def test_a_rise_by_less_than_half_is_no_collapse() -> None:
    rise = [*[0.01, 0.011, 0.009, 0.01, 0.0105] * 2, *[0.014, 0.015, 0.0145, 0.0135, 0.0142] * 2]
    assert verdict(moving(rise), no_collapse_before=15).outcome == "passed"


def test_what_was_not_run_cannot_have_stayed_whole() -> None:
    of = moving(steps(16))
    assert verdict(of, no_collapse_before=15).outcome == "passed"
    for before, needed in ((16, 17), (100, 101)):
        found = verdict(of, no_collapse_before=before)
        assert found.outcome == "undecided"
        assert f"needs about {needed} edits" in found.message


def test_too_few_edits_to_see_any_collapse_are_undecided() -> None:
    found = verdict(moving(steps(6)), no_collapse_before=3)
    assert found.outcome == "undecided"
    assert "needs about 10 edits" in found.message


def test_a_collapse_is_seen_however_late_one_asks() -> None:
    assert verdict(moving(COLLAPSING), no_collapse_before=500).outcome == "failed"
