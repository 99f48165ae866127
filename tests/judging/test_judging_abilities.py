from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.judging.checks import judge_one
from pytest_eac.spec.schema.abilities import AbilityBounds
from tests.judging.hand_made_chains import ABILITY, able, chain, checkpoint

if TYPE_CHECKING:
    from pytest_eac.records.run import Ability, Chain, Verdict

BASE = replace(ABILITY, value=0.75, kept=1.0, kept_low=1.0, kept_high=1.0)


def of(*measured: Ability, base: Ability = BASE) -> Chain:
    """A chain of 2 edits a checkpoint, whose abilities were these."""
    points = [able(2 * index, nli=each) for index, each in enumerate(measured, start=1)]
    return replace(chain(*points), abilities={"nli": base})


def judged(measured: Chain, **limits: Any) -> Verdict:
    return judge_one(measured, "nli", AbilityBounds(**limits))


def test_what_is_kept_is_told_with_interval_base_and_number_of_items() -> None:
    assert judged(of(ABILITY), keep=0.7).message == (
        "nli of rome-s0: kept 0.73 (95% interval 0.62 to 0.85) of 0.75 (n=120 items) after 2 of 2 "
        "edits, required at least 0.7 kept"
    )


def test_a_failure_has_all_its_numbers() -> None:
    worse = replace(ABILITY, unparsable=4, about={"loose": 0.625})
    found = judged(of(worse), keep=0.8)
    assert found.outcome == "failed"
    assert found.observed == worse.kept
    assert found.required == "at least 0.8 kept"
    assert found.message.splitlines()[1] == (
        "  edited 0.55 (95% interval 0.46 to 0.63), unedited 0.75, chance 0.500 and majority 0.250"
        ", unparsable 4 of 120, loose 0.625"
    )


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        ({"keep": 0.73}, "passed"),
        ({"keep": 0.74}, "failed"),
        ({"min": 0.55}, "passed"),
        ({"min": 0.56}, "failed"),
        ({"above_chance": 0.2}, "passed"),  # 0.05 of 0.25 is left above chance
        ({"above_chance": 0.21}, "failed"),
        ({"keep": 0.1, "above_chance": 0.21}, "failed"),
        ({"keep": 0.74, "min": 0.1}, "failed"),
    ],
)
def test_every_limit_counts(limits: dict[str, float], outcome: str) -> None:
    exact = replace(ABILITY, value=0.55, base=0.75, chance=0.5)
    found = judged(of(exact), **limits)
    assert found.outcome == outcome


def test_the_margin_is_above_the_higher_of_chance_and_majority() -> None:
    lopsided = replace(ABILITY, majority=0.6, value=0.675)
    found = judged(of(lopsided), above_chance=0.6)
    assert found.outcome == "failed"
    assert found.observed == pytest.approx(0.5)
    assert "kept 0.50 of 0.150 above chance (n=120 items)" in found.message


@pytest.mark.parametrize("limits", [{"keep": 0.1}, {"min": 0.1}, {"above_chance": 0.1}])
def test_an_ability_without_a_signal_never_passes(limits: dict[str, float]) -> None:
    base = replace(BASE, value=0.52, signal=False)
    found = judged(of(BASE, base=base), **limits)
    assert found.outcome == "undecided"
    assert found.message.startswith(
        "nli of rome-s0: no signal: the unedited model scores 0.520 (n=120 items), not above "
        "chance 0.500 and majority 0.250 at 95%"
    )


@pytest.mark.parametrize(("confidence", "signal"), [(0.9, True), (0.99, False)])
def test_a_signal_is_one_at_the_confidence_that_is_asked(confidence: float, signal: bool) -> None:
    scores = (1.0,) * 17 + (0.0,) * 7
    base = replace(BASE, value=17 / 24, n=24, chance=0.5, majority=0.5, scores=scores)
    found = judged(of(base, base=base), keep=0.7, confidence=confidence)
    assert ("no signal" not in found.message) == signal
    assert (f"at {100 * confidence:g}%, so there" in found.message) != signal


def test_an_ability_that_was_not_measured_is_undecided() -> None:
    assert judged(chain(checkpoint(2)), keep=0.5).outcome == "undecided"
    assert judged(of(ABILITY), keep=0.5, at=9).message == (
        "nli: undecided: no such checkpoint in this run"
    )


def test_the_last_checkpoint_counts_unless_all_are_asked_for() -> None:
    bad = replace(ABILITY, kept=0.2)
    assert judged(of(bad, ABILITY), keep=0.7).outcome == "passed"
    found = judged(of(bad, ABILITY), keep=0.7, at="every")
    assert found.outcome == "failed"
    assert "missed at 1 of 2 checkpoints" in found.message


def test_a_share_without_an_interval_says_so() -> None:
    bare = replace(ABILITY, kept_low=None, kept_high=None)
    assert "kept 0.73 (no interval) of 0.75" in judged(of(bare), keep=0.1).message


def test_a_near_miss_does_not_read_like_a_hit() -> None:
    message = judged(of(replace(ABILITY, kept=0.69996)), keep=0.7).message
    assert "kept 0.69996 (" in message.replace("0.7000 ", "")


def test_where_nothing_is_above_chance_there_is_no_share_of_it() -> None:
    found = judged(of(replace(ABILITY, base=0.5)), above_chance=0.5)
    assert found.outcome == "undecided"


@pytest.mark.parametrize(
    ("perplexity", "limits", "outcome"),
    [
        (19.0, {"keep": 0.5}, "passed"),
        (21.0, {"keep": 0.5}, "failed"),
        (21.0, {"keep": 0.5, "max_perplexity": 11}, "passed"),
        (21.0, {"keep": 0.5, "confidence": 0.5}, "failed"),
        (2.0, {"keep": 0.5, "confidence": 0.5}, "passed"),
    ],
)
def test_varied_nonsense_is_no_generation(
    perplexity: float, limits: dict[str, Any], outcome: str
) -> None:
    base, edited = (
        replace(
            BASE,
            chance=None,
            majority=None,
            scores=(1.0,) * 120,
            about={"perplexity_unedited": each},
        )
        for each in (2.0, perplexity)
    )
    measured = replace(chain(able(2, generation=edited)), abilities={"generation": base})
    found = judge_one(measured, "generation", AbilityBounds(**limits))
    assert found.outcome == outcome
    strange = f"by the unedited model {perplexity / 2:.4g} times that of its own"
    assert (strange in found.message) == (outcome == "failed")


@pytest.mark.parametrize(
    ("lost", "gained", "confidence", "outcome"),
    [
        (2, 0, None, "passed"),
        (4, 0, None, "failed"),
        (4, 2, None, "passed"),
        (0, 0, 0.95, "passed"),
    ],
)
def test_a_loss_is_bounded_by_itself(
    lost: int, gained: int, confidence: float | None, outcome: str
) -> None:
    found = judged_loss(120, lost, gained, loses_at_most=0.03, confidence=confidence)
    assert found.outcome == outcome
    assert f"lost {(lost - gained) / 120:.3f} of 0.75" in found.message
    assert "at most 0.03 lost" in found.required


def test_no_loss_of_few_items_is_not_sure_and_how_many_are_needed_is_said() -> None:
    found = judged_loss(60, 0, 0, loses_at_most=0.03, confidence=0.95)
    assert (found.outcome, found.needs is not None) == ("undecided", True)
    assert found.p == pytest.approx(0.97**60)
    assert "items to pass with a chance of" in found.message


def judged_loss(n: int, lost: int, gained: int, **bounds: Any) -> Verdict:
    """An ability of n items, of which the unedited model has three of four right."""
    base = [1.0] * (3 * n // 4) + [0.0] * (n - 3 * n // 4)
    after = [0.0] * lost + base[lost : n - gained] + [1.0] * gained
    before = replace(ABILITY, scores=tuple(base), value=0.75, base=0.75, n=n)
    value = sum(after) / n
    edited = replace(before, scores=tuple(after), value=value)
    made = replace(chain(able(2, nli=edited)), abilities={"nli": before})
    return judged(made, **bounds)


def test_texts_that_are_nonsense_do_not_change_the_p_value_of_what_is_kept() -> None:
    found = []
    for perplexity in (2.0, 50.0):
        scores = (0.9,) * 60
        before, edited = (
            replace(BASE, scores=scores, value=0.9, n=60, about={"perplexity_unedited": each})
            for each in (2.0, perplexity)
        )
        made = replace(chain(able(2, generation=edited)), abilities={"generation": before})
        bounds = AbilityBounds(keep=0.9, confidence=0.95)
        found.append(judge_one(made, "generation", bounds))
    sense, nonsense = found
    assert (sense.outcome, nonsense.outcome) == ("passed", "failed")
    assert sense.p == nonsense.p is not None
