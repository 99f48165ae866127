from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_eac.judging.checks import judge, judge_one
from pytest_eac.spec.schema.checks import Checks
from tests.judging.hand_made_chains import NOTHING, chain, checkpoint, having, miss, share

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain, Verdict

METRICS = ("efficacy", "generalization", "locality", "retention")


def verdict(of: Chain, name: str, **limits: Any) -> Verdict:
    checks = Checks.model_validate({name: limits})
    [found] = judge(of, checks)
    assert found == judge_one(of, name, getattr(checks, name))
    assert found.check == name
    return found


# Limits


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("value", "limits", "outcome"),
    [
        (0.5, {"min": 0.5}, "passed"),
        (0.5, {"max": 0.5}, "passed"),
        (0.5, {"min": 0.5, "max": 0.5}, "passed"),
        (math.nextafter(0.5, 0), {"min": 0.5}, "failed"),
        (math.nextafter(0.5, 1), {"max": 0.5}, "failed"),
        (0.6, {"min": 0.5, "max": 0.7}, "passed"),
        (0.8, {"min": 0.5, "max": 0.7}, "failed"),
        (0.4, {"min": 0.5, "max": 0.7}, "failed"),
        (0.0, {"max": 0.0}, "passed"),
        (0.0, {"min": 0.1}, "failed"),
        (1.0, {"min": 1}, "passed"),
    ],
)
def test_a_value_at_its_bound_passes_and_one_beyond_it_fails(
    metric: str, value: float, limits: dict[str, float], outcome: str
) -> None:
    point = having(checkpoint(4, share(1.0 - value)), metric, share(value))
    found = verdict(chain(point), metric, **limits)
    assert found.outcome == outcome
    assert found.observed == value


@given(value=st.floats(0, 1), low=st.none() | st.floats(0, 1), high=st.none() | st.floats(0, 1))
def test_a_check_passes_exactly_between_its_limits(
    value: float, low: float | None, high: float | None
) -> None:
    assume(low is not None or high is not None)
    assume(low is None or high is None or low <= high)
    found = verdict(chain(checkpoint(2, share(value))), "locality", min=low, max=high)
    inside = (low is None or low <= value) and (high is None or value <= high)
    assert found.outcome == ("passed" if inside else "failed")


def test_known_is_judged_before_the_first_edit() -> None:
    of = replace(chain(checkpoint(4, share(0.0))), known=share(0.75, 8))
    assert verdict(of, "known", min=0.75).outcome == "passed"
    found = verdict(of, "known", min=0.8)
    assert found.outcome == "failed"
    assert found.observed == 0.75
    assert "before the first edit" in found.message


def test_checks_are_judged_in_the_order_of_the_checks() -> None:
    checks = Checks.model_validate(
        {"retention": {"min": 0}, "deviation": {"max": 9}, "known": {"min": 0}}
    )
    of = chain(checkpoint(1))
    assert [each.check for each in judge(of, checks)] == ["known", "retention", "deviation"]
    assert judge(of, Checks()) == ()


def test_judging_does_not_depend_on_verdicts_that_are_already_there() -> None:
    of = chain(checkpoint(1))
    again = replace(of, verdicts=judge(of, Checks.model_validate({"known": {"min": 0}})))
    assert verdict(again, "efficacy", min=0.5) == verdict(of, "efficacy", min=0.5)


# Which checkpoints


RISING = chain(checkpoint(1, share(0.2)), checkpoint(4, share(0.6)), checkpoint(8, share(0.9)))
DIP = chain(checkpoint(1, share(0.9)), checkpoint(4, share(0.3)), checkpoint(8, share(0.9)))


@pytest.mark.parametrize(
    ("of", "at", "outcome", "observed"),
    [
        (RISING, "final", "passed", 0.9),
        (RISING, "every", "failed", 0.2),
        (RISING, 1, "failed", 0.2),
        (RISING, 4, "passed", 0.6),
        (DIP, "final", "passed", 0.9),
        (DIP, "every", "failed", 0.3),
        (DIP, 1, "passed", 0.9),
        (DIP, 4, "failed", 0.3),
        (DIP, 8, "passed", 0.9),
    ],
)
def test_a_check_looks_at_the_checkpoints_it_names(
    of: Chain, at: str | int, outcome: str, observed: float
) -> None:
    found = verdict(of, "retention", min=0.5, at=at)
    assert (found.outcome, found.observed) == (outcome, observed)


def test_final_is_the_default() -> None:
    assert verdict(DIP, "locality", min=0.5) == verdict(DIP, "locality", min=0.5, at="final")


def test_a_checkpoint_that_was_not_measured_leaves_a_check_undecided() -> None:
    found = verdict(RISING, "efficacy", min=0.1, at=3)
    assert found.outcome == "undecided"
    assert found.observed is None
    assert found.message == "efficacy: undecided: no such checkpoint in this run"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("limits", [{"min": 0.0}, {"max": 1.0}, {"min": 0.5}])
def test_a_check_with_nothing_to_measure_is_undecided_and_does_not_pass(
    metric: str, limits: dict[str, float]
) -> None:
    for at in ("final", "every", 4):
        found = verdict(chain(having(checkpoint(4), metric, NOTHING)), metric, at=at, **limits)
        assert found.outcome == "undecided"
        assert found.observed is None
        assert found.message == f"{metric}: undecided: nothing to measure it on"


def test_an_unmeasured_known_is_undecided() -> None:
    of = replace(chain(checkpoint(1)), known=NOTHING)
    assert verdict(of, "known", min=0.0).outcome == "undecided"


def test_of_several_checkpoints_those_with_something_to_measure_count() -> None:
    of = chain(checkpoint(1, NOTHING), checkpoint(2, share(0.8)))
    assert verdict(of, "locality", min=0.8, at="every").outcome == "passed"
    assert verdict(of, "locality", min=0.9, at="every").outcome == "failed"
    assert verdict(of, "locality", min=0.0, at=1).outcome == "undecided"


# Deviation


@pytest.mark.parametrize(
    ("limits", "outcome", "observed"),
    [
        ({"max_relative": 0.25}, "passed", 0.25),
        ({"max_relative": 0.24}, "failed", 0.25),
        ({"min_relative": 0.25}, "passed", 0.25),
        ({"min_relative": 0.26}, "failed", 0.25),
        ({"max": 250}, "passed", 250.0),
        ({"max": 249}, "failed", 250.0),
        ({"min": 251}, "failed", 250.0),
        ({"norm": "frobenius", "max": 2.5}, "passed", 2.5),
        ({"norm": "frobenius", "max": 2.4}, "failed", 2.5),
        ({"norm": "frobenius", "max_relative": 0.125}, "passed", 0.125),
        ({"norm": "frobenius", "max_relative": 0.12}, "failed", 0.125),
    ],
)
def test_deviation_is_judged_in_the_norm_that_is_asked_for(
    limits: dict[str, Any], outcome: str, observed: float
) -> None:
    found = verdict(chain(checkpoint(4, relative=0.25)), "deviation", **limits)
    assert found.outcome == outcome
    assert found.observed == pytest.approx(observed)


@pytest.mark.parametrize(
    ("limits", "required"),
    [
        ({"max_relative": 0.2}, "at most 0.2 of ||W_0|| (l1)"),
        ({"min_relative": 0.1, "max_relative": 0.2}, "at least 0.1 and at most 0.2 of ||W_0||"),
        ({"max": 7, "norm": "frobenius"}, "at most 7 (frobenius)"),
    ],
)
def test_a_deviation_limit_says_its_norm_and_whether_it_is_relative(
    limits: dict[str, Any], required: str
) -> None:
    assert required in verdict(chain(checkpoint(4)), "deviation", **limits).required


def test_both_a_relative_and_an_absolute_limit_must_hold() -> None:
    of = chain(checkpoint(4, relative=0.25))
    assert verdict(of, "deviation", max_relative=0.3, max=300).outcome == "passed"
    relative = verdict(of, "deviation", max_relative=0.2, max=300)
    assert (relative.outcome, relative.observed) == ("failed", 0.25)
    absolute = verdict(of, "deviation", max_relative=0.3, max=200)
    assert (absolute.outcome, absolute.observed) == ("failed", 250.0)


def test_two_limits_at_one_checkpoint_are_not_told_as_two_checkpoints() -> None:
    found = verdict(chain(checkpoint(4, relative=0.25)), "deviation", max_relative=0.2, max=300)
    assert found.outcome == "failed"
    assert "of 2 checkpoints" not in found.message


def test_deviation_at_every_checkpoint_must_hold_at_each() -> None:
    of = chain(checkpoint(1, relative=0.1), checkpoint(2, relative=0.4), checkpoint(3))
    assert verdict(of, "deviation", max_relative=0.2).outcome == "passed"
    every = verdict(of, "deviation", max_relative=0.2, at="every")
    assert (every.outcome, every.observed) == ("failed", 0.4)
    assert verdict(of, "deviation", max_relative=0.2, at=1).outcome == "passed"
    assert verdict(of, "deviation", max_relative=0.2, at=2).outcome == "failed"


# Messages


def test_a_message_says_what_was_measured_where_and_what_was_required() -> None:
    measured = replace(share(0.75, 8), low=0.41, high=0.93)
    of = chain(checkpoint(8, locality=measured), method="rome-eac", seed=3)
    found = verdict(of, "locality", min=0.8)
    assert found.required == "at least 0.8"
    assert found.message.splitlines()[0] == (
        "locality of rome-eac-s3: 0.750 (n=8 edits, 95% interval 0.41 to 0.93, given this "
        "chain) after 8 of 8 edits, required at least 0.8"
    )


def test_a_passed_check_says_what_it_saw_too() -> None:
    found = verdict(chain(checkpoint(4, share(0.75))), "efficacy", min=0.5, max=0.9)
    assert found.outcome == "passed"
    assert found.message.startswith("efficacy of rome-s0: 0.750 ")
    assert found.message.endswith("required at least 0.5 and at most 0.9")
    assert "\n" not in found.message


def test_a_failure_in_the_middle_says_after_how_many_edits_and_how_often() -> None:
    of = chain(checkpoint(1, share(0.9)), checkpoint(4, share(0.3)), checkpoint(8, share(0.2)))
    lines = verdict(of, "retention", min=0.5, at="every").message.splitlines()
    assert "0.300" in lines[0]
    assert "after 4 of 8 edits" in lines[0]
    assert lines[1] == "missed at 2 of 3 checkpoints; the first is shown"


def test_a_failed_check_names_the_edits_that_failed() -> None:
    measured = share(0.5, 4, miss(1), miss(3, got="London"))
    lines = verdict(
        chain(checkpoint(4, retention=measured)), "retention", min=0.9
    ).message.splitlines()
    assert lines[1:] == [
        "  edit 2 (facts.yaml:11): 'prompt 1' -> 'Rome', expected 'Paris'",
        "  edit 4 (facts.yaml:13): 'prompt 3' -> 'London', expected 'Paris'",
    ]


def test_many_misses_are_counted_after_the_first_five() -> None:
    def told(count: int) -> list[str]:
        measured = share(0.1, 8, *(miss(index) for index in range(count)))
        of = chain(checkpoint(8, efficacy=measured))
        return verdict(of, "efficacy", min=0.9).message.splitlines()[1:]

    assert len(told(5)) == 5
    assert told(6)[5:] == ["  and 1 more"]
    assert told(8)[5:] == ["  and 3 more"]
    assert told(8)[4].startswith("  edit 5 ")


def test_a_passed_check_lists_no_misses() -> None:
    of = chain(checkpoint(4, efficacy=share(0.9, 4, miss(0))))
    assert "Paris" not in verdict(of, "efficacy", min=0.5).message


@pytest.mark.parametrize(
    ("metric", "limits"),
    [("efficacy", {"min": 0.9}), ("deviation", {"min_relative": 0.9})],
)
def test_a_near_miss_does_not_read_like_a_hit(metric: str, limits: dict[str, float]) -> None:
    of = chain(checkpoint(4, share(0.8999996), relative=0.8999996))
    found = verdict(of, metric, **limits)
    assert found.outcome == "failed"
    shown = found.message.removeprefix(f"{metric} of rome-s0: ").split()[0]
    assert float(shown) < 0.9


def test_a_failure_of_deviation_lists_no_misses() -> None:
    of = chain(checkpoint(4, share(0.1, 4, miss(0)), relative=0.5))
    found = verdict(of, "deviation", max_relative=0.2)
    assert found.message == (
        "deviation of rome-s0: 0.5 after 4 of 4 edits, required at most 0.2 of ||W_0|| (l1)"
    )
