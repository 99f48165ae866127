from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.judging.diagnosis import diagnose
from pytest_eac.records.run import Verdict
from tests.judging.hand_made_chains import ABILITY, COST, able, chain

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain

VALUE = {"steps": 25, "learning_rate": 0.5, "weight_decay": 1e-3, "clamp": 4.0}
ANCHORS = {"ratio": 0.2, "l1": 5e-7, "steps": 20}


def judged(
    method: str = "rome",
    *,
    failed: str = "",
    passed: str = "",
    edits: int = 2,
    anchors: dict[str, float] | None = None,
    covariance: dict[str, Any] | None = None,
    update: dict[str, Any] | None = None,
) -> Chain:
    outcomes = [(check, "failed") for check in failed.split()]
    outcomes += [(check, "passed") for check in passed.split()]
    verdicts = tuple(
        Verdict(check=check, outcome=outcome, observed=0.5, required="", message="")
        for check, outcome in outcomes
    )
    settings = {
        "base": method,
        "layers": [3],
        "value": VALUE,
        "anchors": anchors,
        "covariance": covariance,
        "update": update or {},
    }
    return replace(
        chain(able(edits, nli=ABILITY), method=method),
        abilities={"nli": ABILITY, "qa": ABILITY},
        hyperparameters=settings,
        verdicts=verdicts,
    )


def only(found: Chain) -> str:
    (line,) = diagnose(found)
    return line


def test_abilities_lost_while_edits_hold_call_for_more_constraint() -> None:
    assert only(judged(failed="nli qa", passed="efficacy retention")) == (
        "nli and qa lost while the edits hold: too little holds them back. To change: value.clamp "
        "down (now 4); value.weight_decay up (now 0.001); the method rome-eac; covariance: {}"
    )


def test_with_anchors_fewer_of_them_are_the_constraint() -> None:
    line = only(
        judged("memit-eac", failed="locality", passed="efficacy", anchors=ANCHORS, covariance={})
    )
    assert "anchors.ratio down (now 0.2); anchors.l1 up (now 5e-07); update.weight up" in line
    assert "eac-eac" not in line
    assert "covariance" not in line


def test_edits_lost_while_abilities_hold_point_to_anchors_and_net() -> None:
    line = only(judged("rome-eac", failed="efficacy", passed="nli", anchors=ANCHORS))
    assert line.startswith(
        "edits do not take effect: too few anchors, or too strong a penalty. To change: "
    )
    assert "anchors.ratio up (now 0.2); anchors.l1 down (now 5e-07); anchors.steps up" in line


def test_both_lost_point_to_the_layer_or_the_step_size() -> None:
    line = only(judged(failed="efficacy locality nli"))
    assert line.startswith("locality and nli and the edits themselves are lost: the wrong layer")
    assert "layers: auto, or see pytest-eac locate; value.learning_rate down (now 0.5)" in line


def test_edits_that_are_lost_later_on_interfere() -> None:
    line = only(judged("memit", failed="retention", passed="efficacy"))
    assert line == (
        "edits take effect but are lost later on: edits overwrite each other. To change: "
        "sequence.batch up; a method that protects earlier keys (memit-prev, alphaedit)"
    )
    assert "batch" not in only(judged("rome", failed="retention", passed="efficacy"))
    assert "protects" not in only(judged("alphaedit-eac", failed="retention", passed="efficacy"))
    (both,) = diagnose(judged(failed="retention nli", passed="efficacy"))
    assert "and with them nli: edits overwrite" in both


@pytest.mark.parametrize(("cut", "told"), [(1, False), (2, True)])
def test_searches_that_were_cut_short_are_counted(cut: int, *, told: bool) -> None:
    found = judged(failed="efficacy", edits=2)
    costs = tuple(replace(COST, reached=index >= cut) for index in range(2))
    lines = diagnose(replace(found, per_edit=costs))
    assert any("never reached their stopping point" in line for line in lines) == told
    if told:
        assert lines[-1].startswith("2 of 2 searches")
        assert "value.steps up (now 25)" in lines[-1]


@pytest.mark.parametrize(("power", "told"), [(1.0, False), (1.5, True)])
def test_a_deviation_that_outruns_the_edits_is_named(power: float, *, told: bool) -> None:
    found = judged(failed="nli", edits=10)
    costs = tuple(
        replace(COST, deviation=replace(COST.deviation, l1=float(index**power)))
        for index in range(1, 11)
    )
    lines = diagnose(replace(found, per_edit=costs))
    assert any("grows faster than the number of edits" in line for line in lines) == told
    assert diagnose(replace(found, per_edit=costs[:7])) == ()


@pytest.mark.parametrize(
    ("failed", "passed"),
    [
        ("", "efficacy nli"),
        ("nli", ""),
        ("deviation", "efficacy"),
        ("generalization", "efficacy"),
        ("retention", ""),
    ],
)
def test_without_a_pattern_nothing_is_said(failed: str, passed: str) -> None:
    assert diagnose(judged(failed=failed, passed=passed)) == ()


def test_only_options_that_the_method_has_are_named() -> None:
    update = {"learning_rate": 5e-4, "radius": 5e-4}
    line = only(judged("ft-l", failed="nli", passed="efficacy", update=update))
    assert line.endswith(
        "To change: update.radius down (now 0.0005); update.learning_rate down (now 0.0005)"
    )
    unknown = only(judged("of a package that is not here", failed="nli", passed="efficacy"))
    assert unknown == "nli lost while the edits hold: too little holds them back."


@pytest.mark.parametrize("odd", ["4", True, [4.0], {}])
def test_a_setting_that_is_no_number_is_named_without_its_value(odd: Any) -> None:
    found = judged(failed="nli", passed="efficacy")
    settings = {**found.hyperparameters, "value": {**VALUE, "clamp": odd}}
    assert "value.clamp down; " in only(replace(found, hyperparameters=settings))
