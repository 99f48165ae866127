from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.judging.checks import judge, judge_one
from pytest_eac.judging.hypotheses import of_ability
from pytest_eac.records.run import Measurement
from pytest_eac.spec.schema.checks import Checks, NumberBounds, Stats
from pytest_eac.stats.means import p_above
from pytest_eac.stats.power import needed_above
from tests.judging.hand_made_chains import ABILITY, NOTHING, able, chain, checkpoint

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain, Verdict


def hits(right: int, n: int) -> Measurement:
    scores = (1.0,) * right + (0.0,) * (n - right)
    return Measurement(value=right / n, n=n, low=0.1, high=1.0, scores=scores, misses=())


def of(n: int, **measured: int) -> Chain:
    """A chain of ``n`` edits; each metric by how many are right."""
    counts: dict[str, Any] = {name: hits(right, n) for name, right in measured.items()}
    return chain(checkpoint(n, hits(n, n), **counts))


def judged(found: Chain, checks: dict[str, Any], correction: str = "holm") -> list[Verdict]:
    stats = Stats.model_validate({"correction": correction})
    return list(judge(found, Checks.model_validate(checks), stats))


def sure(low: float, confidence: float = 0.95) -> dict[str, float]:
    return {"min": low, "confidence": confidence}


@pytest.mark.parametrize(
    ("right", "outcome"), [(28, "failed"), (29, "undecided"), (31, "undecided"), (32, "passed")]
)
def test_a_check_with_confidence_passes_only_when_chance_would_not_do(
    right: int, outcome: str
) -> None:
    """Of 32 edits 28.8 would be 90 %; 0.9 ** 32 is 0.034, and one miss makes it 0.156."""
    [found] = judged(of(32, efficacy=right), {"efficacy": sure(0.9)})
    assert found.outcome == outcome
    assert found.p == pytest.approx(p_above([1.0] * right + [0.0] * (32 - right), 0.9))


def test_without_confidence_the_number_alone_counts_and_has_no_p_value() -> None:
    [found] = judged(of(10, efficacy=9), {"efficacy": {"min": 0.9}})
    assert (found.outcome, found.p, found.needs) == ("passed", None, None)
    assert (found.n, found.low, found.high) == (10, 0.1, 1.0)


def test_an_undecided_check_says_how_many_edits_it_needs() -> None:
    [found] = judged(of(20, efficacy=20), {"efficacy": sure(0.9)})
    needs = needed_above([1.0] * 20, 0.9, level=0.05)
    assert (found.outcome, found.needs) == ("undecided", needs)
    assert found.message == (
        f"efficacy of rome-s0: undecided: needs about {needs} edits (at the least 29); 1.000 "
        "(n=20 edits, 95% interval 0.10"
        " to 1.00) after 20 of 20 edits, required at least 0.9 with confidence 0.95 (p=0.12)"
    )


def test_no_number_of_edits_decides_what_is_at_its_limit() -> None:
    [found] = judged(of(10, efficacy=9), {"efficacy": sure(0.9)})
    assert (found.outcome, found.needs) == ("undecided", None)
    assert (
        "undecided: too close to the limit to say how many edits would decide (at the least 29); "
    ) in found.message


@given(right=st.integers(0, 40), low=st.floats(0.05, 0.95))
def test_an_upper_limit_is_the_mirror_image_of_a_lower_one(right: int, low: float) -> None:
    [one] = judged(of(40, locality=right), {"locality": sure(low)})
    two, *_ = judged(
        of(40, locality=40 - right), {"locality": {"max": 1 - low, "confidence": 0.95}}
    )
    assert one.p == pytest.approx(two.p)


def test_both_limits_and_every_checkpoint_must_hold_and_the_weakest_counts() -> None:
    two = chain(checkpoint(20, hits(20, 20)), checkpoint(100, hits(99, 100)))
    [found] = judged(two, {"efficacy": {**sure(0.9), "at": "every"}})
    assert (found.outcome, found.n) == ("undecided", 20)
    [found] = judged(two, {"efficacy": sure(0.9)})
    assert (found.outcome, found.n) == ("passed", 100)
    [found] = judged(two, {"efficacy": {"min": 0.5, "max": 0.995, "confidence": 0.95}})
    assert found.p == pytest.approx(p_above([0.0] * 99 + [1.0], 0.005))


def test_holm_makes_a_check_undecided_that_would_pass_alone() -> None:
    checks = {"efficacy": sure(0.9), "locality": sure(0.9), "retention": {"min": 0.5}}
    measured = of(30, efficacy=30, locality=30)
    alone = judge_one(measured, "efficacy", Checks.model_validate(checks)["efficacy"])
    assert alone.outcome == "passed"
    found = judged(measured, checks)
    assert [each.outcome for each in found] == ["undecided", "undecided", "passed"]
    assert [each.corrected_over for each in found] == [2, 2, None]
    assert found[0].p_adjusted == pytest.approx(2 * 0.9**30)
    assert found[0].needs == needed_above([1.0] * 30, 0.9, level=0.025)
    assert "(at the least 36)" in found[0].message  # 0.9 ** 36 < 0.05 / 2
    assert "(p=0.042, 0.085 corrected over 2 checks by Holm)" in found[0].message


@pytest.mark.parametrize(("correction", "outcome"), [("bh", "passed"), ("none", "passed")])
def test_a_milder_correction_or_none_can_be_asked_for(correction: str, outcome: str) -> None:
    checks = {"efficacy": sure(0.9), "locality": sure(0.9)}
    found = judged(of(30, efficacy=30, locality=30), checks, correction)
    assert [each.outcome for each in found] == [outcome, outcome]
    assert ("Benjamini-Hochberg" in found[0].message) == (correction == "bh")


def test_a_failed_check_still_counts_among_those_corrected_for() -> None:
    checks = {"efficacy": sure(0.9), "locality": sure(0.9)}
    found = judged(of(32, efficacy=32, locality=3), checks)
    assert [each.outcome for each in found] == ["undecided", "failed"]
    assert found[1].needs is None


def test_what_has_nothing_to_be_confident_by_is_undecided() -> None:
    point = replace(checkpoint(4), metrics={"size": replace(NOTHING, value=3.0)})
    checks = Checks.model_construct(
        metrics={"size": NumberBounds(max=9, confidence=0.95)}, abilities={}, compare=()
    )
    [found] = judge(chain(point), checks)
    assert (found.outcome, found.p) == ("undecided", None)
    assert "a confidence needs scores between 0 and 1" in found.message


def scored(base: list[float], edited: list[float]) -> Chain:
    means = [sum(scores) / len(scores) for scores in (base, edited)]
    before = replace(ABILITY, scores=tuple(base), value=means[0], base=means[0], n=len(base))
    after = replace(before, scores=tuple(edited), value=means[1], kept=means[1] / means[0])
    return replace(chain(able(2, nli=after)), abilities={"nli": before})


@pytest.mark.parametrize(
    ("bounds", "p"),
    [
        ({"min": 0.7}, p_above([1.0] * 80 + [0.0] * 20, 0.7)),
        # Of 90 that were right 80 are; those that were wrong and still are say nothing.
        ({"keep": 0.7}, p_above([1.0] * 80 + [0.0] * 10, 0.7)),
        ({"above_chance": 0.5}, p_above([0.5] * 80 + [-0.5] * 10 + [0.0] * 10, 0.25, low=-0.5)),
        ({"loses_at_most": 0.15}, p_above([0.0] * 90 + [-1.0] * 10, -0.15, low=-1.0)),
    ],
)
def test_an_ability_is_held_against_its_limit_item_by_item(
    bounds: dict[str, float], p: float
) -> None:
    measured = scored([1.0] * 90 + [0.0] * 10, [1.0] * 80 + [0.0] * 20)
    [found] = judged(measured, {"abilities": {"nli": {**bounds, "confidence": 0.9}}})
    assert found.p == pytest.approx(p)
    assert found.outcome == ("passed" if p <= 0.1 else "undecided")
    assert "n=100 items" in found.message


@given(
    rows=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)), min_size=1),
    limit=st.floats(0.05, 2.0),
    kind=st.sampled_from(["kept", "margin", "lost"]),
)
def test_a_claim_that_is_reached_means_that_so_much_of_an_ability_is_left(
    rows: list[tuple[float, float]], limit: float, kind: str
) -> None:
    """The claim's mean is at its limit or above only if the ability's number is."""
    base, edited = ([row[side] for row in rows] for side in (0, 1))
    before = replace(ABILITY, scores=tuple(base))
    [claim] = of_ability(before, replace(before, scores=tuple(edited)), kind, limit)
    assert all(claim.low <= score <= claim.high for score in claim.scores)
    floor = before.floor if kind == "margin" else 0.0
    means = [sum(scores) / len(scores) for scores in (base, edited)]
    reached = sum(claim.scores) / len(claim.scores) - claim.limit
    if kind == "lost":
        assert reached == pytest.approx(means[1] - means[0] + limit)
    elif reached > 1e-9:
        assert means[1] - floor > limit * (means[0] - floor) - 1e-9


def test_scores_that_are_no_shares_leave_an_ability_undecided() -> None:
    [found] = judged(
        scored([1.5, 2.0], [1.5, 2.0]), {"abilities": {"nli": {"keep": 0.1, "confidence": 0.9}}}
    )
    assert (found.outcome, found.p) == ("undecided", None)


@pytest.mark.parametrize(
    ("lost", "bound", "outcome"),
    [(0, 0.03, "passed"), (2, 0.03, "undecided"), (4, 0.03, "failed"), (2, 0.1, "passed")],
)
def test_a_bound_on_the_loss_passes_only_where_the_data_rule_out_a_larger_one(
    lost: int, bound: float, outcome: str
) -> None:
    """Of 100 items; .97 ** 100 is .048, and two losses where 10 % are allowed are p = .002."""
    measured = scored([1.0] * 90 + [0.0] * 10, [1.0] * (90 - lost) + [0.0] * (10 + lost))
    asked = {"nli": {"loses_at_most": bound, "confidence": 0.95}}
    [found] = judged(measured, {"abilities": asked})
    assert found.outcome == outcome
    assert found.p == pytest.approx(p_above([0.0] * (100 - lost) + [-1.0] * lost, -bound, low=-1.0))
    assert found.observed == pytest.approx(lost / 100)
    assert f"lost 0.0{lost}" in found.message
    assert f"required at most {bound:g} lost with confidence 0.95" in found.message
    assert ("(at the least 99); " in found.message) == (outcome == "undecided")


def test_a_loss_without_a_confidence_is_the_number_alone() -> None:
    measured = scored([1.0] * 10, [1.0] * 9 + [0.0])
    for bound, outcome in ((0.1, "passed"), (0.09, "failed")):
        [found] = judged(measured, {"abilities": {"nli": {"loses_at_most": bound}}})
        assert (found.outcome, found.p) == (outcome, None)
