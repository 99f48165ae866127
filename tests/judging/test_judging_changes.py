from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_eac.judging.regression import judge_regression
from pytest_eac.judging.run_diff import Change, change_of, changes
from pytest_eac.records.run import Chain, Measurement
from pytest_eac.spec import registry
from pytest_eac.spec.registry_entries import Metric
from tests.judging.hand_made_chains import ABILITY, able, chain, checkpoint, having, share


def scored(*scores: float | None) -> Measurement:
    there = [score for score in scores if score is not None]
    value = sum(there) / len(there)
    return Measurement(value=value, n=len(there), low=0.0, high=1.0, scores=scores, misses=())


def local(*scores: float | None, relative: float = 0.1) -> Chain:
    """A chain whose locality has one score per edit."""
    return chain(checkpoint(len(scores), locality=scored(*scores), relative=relative))


def of(metric: str, old: Chain, new: Chain) -> Change:
    found = change_of(metric, old, new)
    assert found is not None
    return found


def test_scores_are_compared_edit_by_edit_and_flips_are_named() -> None:
    found = of("locality", local(1, 1, 0, 0.5), local(0.5, 1, 1, 0.5))
    assert (found.old, found.new, found.n) == (0.625, 0.75, 4)
    assert found.change == pytest.approx(0.125)
    assert [(flip.item, flip.name, flip.old, flip.new) for flip in found.lost] == [
        (0, "prompt 0", 1, 0.5)
    ]
    assert [flip.item for flip in found.gained] == [2]


def test_edits_are_paired_by_their_texts_wherever_they_stand() -> None:
    old, new = local(1, 0, 1), local(0, 0, 1)
    new = replace(new, edits=(old.edits[2], old.edits[1], old.edits[0]))
    found = of("locality", old, new)
    assert [(flip.item, flip.name) for flip in found.lost] == [(0, "prompt 2")]


def test_the_same_edit_twice_is_two_edits() -> None:
    old, new = local(1, 0), local(1, 1)
    twice = (old.edits[0], old.edits[0])
    found = of("locality", replace(old, edits=twice), replace(new, edits=twice))
    assert (found.n, [flip.item for flip in found.gained]) == (2, [1])


def test_edits_without_a_score_in_one_of_the_records_are_left_out() -> None:
    found = of("locality", local(1, None, 0, 1), local(1, 1, None, 0))
    assert (found.n, found.old, found.new) == (2, 1.0, 0.5)
    assert change_of("locality", local(1, None), local(None, 1)) is None


def test_deviation_moves_as_a_share_of_what_it_was() -> None:
    found = of("deviation", local(1, relative=0.2), local(1, relative=0.25))
    assert (found.kind, found.n, found.p) == ("relative", 0, None)
    assert found.change == pytest.approx(0.25)
    assert found.direction == "worse"
    assert of("deviation", local(1, relative=0.2), local(1, relative=0.1)).direction == "better"
    assert of("deviation", local(1, relative=0.0), local(1, relative=0.1)).change is None


def test_abilities_are_compared_item_by_item_if_they_are_the_same_items() -> None:
    good = replace(ABILITY, n=4, scores=(1.0, 1.0, 0.0, 1.0), value=0.75)
    bad = replace(good, scores=(1.0, 0.0, 0.0, 1.0), value=0.5)
    old, new = chain(able(3, nli=good)), chain(able(3, nli=bad))
    found = of("nli", old, new)
    assert (found.kind, found.n, found.change) == ("items", 4, -0.25)
    others = chain(able(3, nli=replace(bad, sha256="cd" * 32)))
    found = of("nli", old, others)
    assert (found.kind, found.n, found.change) == ("number", 0, -0.25)


def test_a_number_of_the_model_has_no_direction() -> None:
    def having(value: float) -> Chain:
        number = Measurement(value=value, n=0, low=None, high=None, scores=(), misses=())
        return chain(replace(checkpoint(2), metrics={"size": number}))

    found = of("size", having(3.0), having(5.0))
    assert (found.kind, found.change, found.direction) == ("number", 2.0, None)
    assert judge_regression(having(3.0), having(5.0), "size", 0.0).outcome == "undecided"
    assert "size" in [each.metric for each in changes(having(3.0), having(5.0))]


@pytest.mark.usefixtures("_own_registry")
@pytest.mark.parametrize(
    ("better", "direction", "outcomes"),
    [("lower", "worse", ("failed", "passed")), ("higher", "better", ("passed", "failed"))],
)
def test_a_metric_that_says_which_way_is_better_is_judged_by_it(
    better: Any, direction: str, outcomes: tuple[str, str]
) -> None:
    for name in ("size", "slips"):
        registry.register(registry.METRICS, name, Metric(measure=len, better=better))

    def measuring(value: float) -> Chain:
        number = Measurement(value=value, n=0, low=None, high=None, scores=(), misses=())
        return chain(having(checkpoint(2), "size", number))

    low, high = measuring(4.0), measuring(5.0)
    found = of("size", low, high)
    assert (found.kind, found.change, found.direction) == ("relative", 0.25, direction)
    assert judge_regression(low, high, "size", 0.2).outcome == outcomes[0]
    assert judge_regression(high, low, "size", 0.19).outcome == outcomes[1]
    assert judge_regression(low, high, "size", 0.26).outcome == "passed"

    few, many = (chain(having(checkpoint(20), "slips", share(score, 20))) for score in (0.0, 1.0))
    assert of("slips", few, many).direction == direction
    verdict = judge_regression(few, many, "slips", 0.5)
    assert verdict.outcome == outcomes[0]
    assert ("edit 1 (" in verdict.message) == (outcomes[0] == "failed")


# regressions


def fifty(lost: int, gained: int = 0) -> tuple[Chain, Chain]:
    """Fifty edits of which 10 failed; so many of the others are lost, so many of them gained."""
    old = [0.0] * 10 + [1.0] * 40
    new = [1.0] * gained + [0.0] * (10 - gained) + [0.0] * lost + [1.0] * (40 - lost)
    return local(*old), local(*new)


def test_a_fall_of_ten_points_on_fifty_edits_fails_and_names_the_edits() -> None:
    verdict = judge_regression(*fifty(5), "locality", 0.02)
    assert verdict.outcome == "failed"
    assert verdict.observed == pytest.approx(-0.1)
    first, *rest = verdict.message.splitlines()
    assert first.startswith(
        "locality of rome-s0 against the baseline: 0.700, was 0.800: down by 0.100 (n=50 edits, "
    )
    assert first.endswith(", p=0.062), tolerated a fall of 0.02")
    assert rest[0] == "  edit 11 (facts.yaml:20): 'prompt 10' scores 0, was 1"
    assert len(rest) == 5


def test_edits_that_are_not_shown_are_counted() -> None:
    verdict = judge_regression(*fifty(9), "locality", 0.02)
    assert verdict.message.splitlines()[-1] == "  and 4 more"


def test_a_fall_within_the_tolerance_passes() -> None:
    old, new = fifty(5)
    assert judge_regression(old, new, "locality", 0.1 + 1e-9).outcome == "passed"
    assert judge_regression(old, new, "locality", 0.0999).outcome == "failed"


def test_a_fall_that_may_be_chance_is_undecided() -> None:
    verdict = judge_regression(*fifty(6, gained=2), "locality", 0.02)
    assert verdict.outcome == "undecided"
    assert "undecided: that could be chance" in verdict.message


def test_a_rise_passes_and_is_better() -> None:
    old, new = fifty(0, gained=6)
    assert judge_regression(old, new, "locality", 0.0).outcome == "passed"
    assert of("locality", old, new).direction == "better"
    assert of("locality", new, old).direction == "worse"


@pytest.mark.parametrize(
    ("relative", "tolerance", "outcome"),
    [(0.101, 0.02, "passed"), (0.103, 0.02, "failed"), (0.05, 0.0, "passed")],
)
def test_the_deviation_fails_by_its_number(relative: float, tolerance: float, outcome: str) -> None:
    old, new = local(1, 1, relative=0.1), local(1, 1, relative=relative)
    assert judge_regression(old, new, "deviation", tolerance).outcome == outcome


def test_what_was_not_measured_is_undecided() -> None:
    verdict = judge_regression(local(1), local(1), "nli", 0.02)
    assert verdict.outcome == "undecided"
    assert "not measured in both" in verdict.message
