from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.judging import checks as judging
from pytest_eac.judging.checks import judge
from pytest_eac.judging.growth import Growth, Norm, growth, series_of
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.stats.correction import adjust
from tests.judging.growing_chains import EQUAL, moving, steps, verdict, walking

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain

# The series


def test_edits_of_a_batch_are_one_point() -> None:
    assert series_of(moving([0.1, 0.2, 0.3], batch=4), "l1").at == (4, 8, 12)
    assert series_of(moving([0.1, 0.2]), "l1").total == pytest.approx((0.1, 0.3))
    assert series_of(moving([0.1, 0.2]), "frobenius").total == pytest.approx((0.05, 0.15))


def test_an_edit_that_changes_nothing_is_a_point_of_its_own() -> None:
    assert series_of(moving([0.1, 0.0, 0.0, 0.2]), "l1").at == (1, 2, 3, 4)


def test_a_batch_counts_by_its_edits() -> None:
    one, four = growth(moving(steps(12))), growth(moving(steps(12), batch=4))
    assert one.slope is not None
    assert four.slope is not None
    assert four.slope.value == pytest.approx(one.slope.value / 4)
    assert one.power is not None
    assert four.power is not None
    assert four.power.parameter == pytest.approx(one.power.parameter, abs=1e-4)
    assert four.first_of(3) == 13


# Exponent and slope


@pytest.mark.parametrize(
    ("exponent", "limits", "outcome"),
    [
        (0.6, {"max_exponent": 1.0}, "passed"),
        (1.5, {"max_exponent": 1.0}, "failed"),
        (0.6, {"max_exponent": 1.0, "confidence": 0.95}, "passed"),
        (0.95, {"max_exponent": 1.0, "confidence": 0.95}, "undecided"),
        (1.5, {"max_exponent": 1.0, "confidence": 0.95}, "failed"),
        (1.0, {"max_slope": 0.02}, "passed"),
        (1.0, {"max_slope": 0.005}, "failed"),
        (1.0, {"max_slope": 0.02, "confidence": 0.95}, "passed"),
        (1.0, {"max_slope": 0.0101, "confidence": 0.95}, "undecided"),
    ],
)
def test_a_number_must_lie_below_its_limit_and_with_a_confidence_its_bound_must(
    exponent: float, limits: dict[str, Any], outcome: str
) -> None:
    found = verdict(moving(steps(20, exponent)), **limits)
    assert found.outcome == outcome
    assert (found.p is None) == ("confidence" not in limits)


def test_the_bound_that_must_hold_is_one_sided() -> None:
    of = moving(steps(20, 0.9))
    power = growth(of, confidence=0.9).power
    assert power is not None
    assert power.high is not None
    assert verdict(of, max_exponent=power.high + 1e-3, confidence=0.95).outcome == "passed"
    assert verdict(of, max_exponent=power.high - 1e-3, confidence=0.95).outcome == "undecided"


def test_an_undecided_number_says_about_how_many_edits_would_do() -> None:
    found = verdict(moving(steps(20, 0.95)), max_exponent=1.0, confidence=0.95)
    said = found.needs
    assert said is not None
    assert f"undecided: needs about {said} edits; " in found.message
    assert said > 20
    again = verdict(moving(steps(2 * said, 0.95)), max_exponent=1.0, confidence=0.95)
    assert again.outcome == "passed"


def test_a_limit_that_is_all_but_reached_needs_many_more_edits() -> None:
    of = moving(steps(20, 0.9))
    power = growth(of).power
    assert power is not None
    found = verdict(of, max_exponent=power.parameter + 1e-4, confidence=0.95)
    assert found.needs is None
    assert "too close to the limit for any number of edits to decide" in found.message


def test_an_exponent_is_told_with_its_interval_and_the_other_shapes() -> None:
    found = verdict(moving(steps(20, 0.6)), max_exponent=1.0)
    first, second, _, last = found.message.splitlines()
    assert first.startswith("deviation-exponent of rome-s0: 0.586 ")
    assert "95% interval" in first
    assert first.endswith(") after 20 of 20 edits, required at most 1")
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.494, "the end if neighbouring edits were certain to be independent"
    assert found.high > 0.675
    assert second.startswith("exponent of the Frobenius norm: 0.586 (95% interval ")
    assert last.startswith("weights of the shapes (AICc): ")
    assert "exponential rate -0." in last


@pytest.mark.parametrize("norm", ["l1", "frobenius"])
def test_an_exponent_of_one_half_is_said_to_mean_equal_unrelated_steps(norm: str) -> None:
    found = verdict(walking(EQUAL), norm, max_exponent=0.9)
    assert found.observed == pytest.approx(0.5, abs=0.1)
    assert (
        "0.5 means equal steps in unrelated directions; above 0.5, steps grow or point"
        in found.message
    )
    assert "\nthe steps point in unrelated directions: deviation 1 times " in found.message
    assert "(AICc): walk " in found.message


def test_steps_that_point_the_same_way_are_told_from_steps_that_grow() -> None:
    growing = [(k + 1) ** 0.5 * size for k, size in enumerate(EQUAL)]
    found = verdict(walking(growing), "frobenius", max_exponent=2)
    assert found.observed == pytest.approx(1, abs=0.15)
    assert "the steps point in unrelated directions" in found.message
    aligned = verdict(moving(steps(20)), "frobenius", max_exponent=2)
    assert aligned.observed == pytest.approx(1, abs=0.1)
    assert "the steps partly point the same way" in aligned.message
    back = verdict(walking([2 * size for size in EQUAL]), max_exponent=2)
    halved = replace(walking(EQUAL), per_edit=walking(EQUAL).per_edit)
    costs = [replace(cost, delta_norm=2 * cost.delta_norm) for cost in halved.per_edit]
    undone = verdict(replace(halved, per_edit=tuple(costs)), max_exponent=2)
    assert "the steps partly undo one another: deviation 0.5 times" in undone.message
    assert "undo" not in back.message


def test_squares_are_fitted_only_where_steps_are_unrelated() -> None:
    """With more edits than show it, the interval from squares is the narrower one by far."""
    assert series_of(walking(EQUAL), "frobenius").order == 2
    assert series_of(walking(EQUAL), "l1").order == 1
    assert series_of(moving(steps(20)), "frobenius").order == 1
    found = [verdict(walking(EQUAL), norm, max_exponent=9) for norm in ("frobenius", "l1")]
    widths = [(each.high or 0) - (each.low or 0) for each in found]
    assert widths[0] < widths[1]


def test_an_undecided_number_of_a_chain_in_batches_counts_edits() -> None:
    limits: dict[str, Any] = {"max_exponent": 1.0, "confidence": 0.95}
    one, four = (verdict(moving(steps(20, 0.95), batch=batch), **limits) for batch in (1, 4))
    assert one.needs is not None
    assert four.needs == 4 * one.needs
    assert ", 20 updates)" in four.message
    assert "updates" not in one.message


def test_intervals_of_growth_have_the_level_of_the_chains_others() -> None:
    of = replace(moving(steps(20)), confidence=0.8)
    assert "(80% interval " in verdict(of, max_exponent=2.0, confidence=0.95).message
    [found] = judge(of, Checks.model_validate({"deviation": {"max_relative": 0.3}}))
    assert "(80% interval " in found.message


CLAIMED = {"max_exponent": 1.1, "max_slope": 0.012, "confidence": 0.95}


def test_claims_of_growth_are_corrected_with_the_other_checks_of_the_chain() -> None:
    of = moving(steps(20, 0.9))
    scores = {"locality": {"min": 0.2, "confidence": 0.95}}
    alone = verdict(of, max_exponent=1.1, confidence=0.95)
    checks = Checks.model_validate({"deviation": {"growth": CLAIMED}, **scores})
    found = judge(of, checks)
    assert {each.corrected_over for each in found} == {3}
    _, exponent, _ = found
    assert exponent.p == alone.p
    expected = adjust([each.p or 0.0 for each in found], "holm")
    assert [each.p_adjusted for each in found] == [each.p for each in expected]
    assert " corrected over 3 checks by Holm" in exponent.message


def test_a_claim_of_growth_that_holds_alone_may_be_undecided_among_others() -> None:
    of = moving(steps(20, 0.9))
    bound = growth(of, confidence=0.9).power
    assert bound is not None
    assert bound.high is not None
    limits: dict[str, Any] = {"max_exponent": bound.high + 1e-3, "confidence": 0.95}
    assert verdict(of, **limits).outcome == "passed"
    others = {"locality": {"min": 0.5, "confidence": 0.95}}
    checks = Checks.model_validate({"deviation": {"growth": limits}, **others})
    _, found = judge(of, checks)
    assert found.outcome == "undecided"
    assert found.needs is not None


def test_an_alarm_is_not_made_rarer_by_other_checks() -> None:
    of = moving([0.01, 0.012, 0.011, 0.013, 0.012, 0.014, 0.0135, 0.015])  # p between .01 and .05
    limits = {"no_acceleration": True, "max_slope": 9.0, "confidence": 0.95}
    others = {"locality": {"min": 0.01, "confidence": 0.95}}
    checks = Checks.model_validate({"deviation": {"growth": limits}, **others})
    found = {each.check: each for each in judge(of, checks)}
    alarm = found["deviation-acceleration"]
    assert alarm.outcome == "failed"
    assert (alarm.p, alarm.corrected_over) == (None, None)


def test_the_growth_of_a_chain_is_found_once_for_all_its_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[Chain] = []

    def counted(of: Chain, norm: Norm) -> Growth:
        looked.append(of)
        return growth(of, norm)

    monkeypatch.setattr(judging, "growth", counted)
    limits = {**CLAIMED, "no_acceleration": True, "no_collapse_before": 9}
    checks = Checks.model_validate({"deviation": {"max_relative": 9, "growth": limits}})
    assert len(judge(moving(steps(20)), checks)) == 5
    assert len(looked) == 1


def test_a_slope_is_of_the_norm_that_is_asked_for() -> None:
    of = moving(steps(20))
    l1, frobenius = (verdict(of, norm, max_slope=1.0) for norm in ("l1", "frobenius"))
    assert l1.observed is not None
    assert frobenius.observed == pytest.approx(l1.observed / 2)
    assert l1.required == "at most 1 of ||W_0|| per edit (l1)"


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (moving(steps(4)), "needs about 5 edits"),
        (moving(steps(4), batch=3), "needs about 15 edits"),
        (moving([0.0] * 9), "the weights have not moved"),
        (moving([1.0, *[0.0] * 9]), "follows neither a power law nor an exponential"),
    ],
)
def test_an_exponent_without_a_fit_is_undecided(of: Chain, reason: str) -> None:
    found = verdict(of, max_exponent=1.0)
    assert found.outcome == "undecided"
    assert reason in found.message


def test_edits_that_move_the_weights_in_runs_make_everything_less_certain() -> None:
    runs = [0.03 if k // 6 % 2 else 0.01 for k in range(36)]
    for limits in ({"max_slope": 1.0}, {"no_acceleration": True}, {"no_collapse_before": 9}):
        assert "shuffle the edits" in verdict(moving(runs), **limits).message
        assert "shuffle the edits" not in verdict(moving(steps(36)), **limits).message


# With the limits on deviation itself


def test_each_limit_is_a_check_of_its_own() -> None:
    limits = {
        "max_exponent": 1.2,
        "max_slope": 0.1,
        "no_acceleration": True,
        "no_collapse_before": 9,
    }
    checks = Checks.model_validate({"deviation": {"max_relative": 0.5, "growth": limits}})
    assert [each.check for each in judge(moving(steps(20)), checks)] == [
        "deviation",
        "deviation-exponent",
        "deviation-slope",
        "deviation-acceleration",
        "deviation-collapse",
    ]


def test_a_limit_that_holds_says_when_it_will_not() -> None:
    of = moving(steps(20))

    def told(limit: float) -> str:
        [found] = judge(of, Checks.model_validate({"deviation": {"max_relative": limit}}))
        return found.message

    held = told(0.3)
    assert "if this continues, 0.3 is crossed after about 31 edits (95% interval 29 to 33; " in held
    assert "linear " in held
    assert "if it goes on" not in told(0.1), "it is crossed already"
    assert "if it goes on" not in told(9.0), "too far ahead"
