"""Methods over several sets of edits: which mean, which interval, and what is undecided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.judging.compare_checks import compare
from pytest_eac.judging.compare_samples import compare_over_samples
from pytest_eac.judging.samples import judge_samples
from pytest_eac.spec.schema.checks import Checks, CompareCheck, Stats
from pytest_eac.stats.samples import mean_of_samples, p_over_samples
from tests.judging.hand_made_chains import (
    ABILITY,
    NOTHING,
    able,
    chain,
    checkpoint,
    rewritten,
    share,
)

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain, Comparison, Measurement, Pooled

EDITS = 10


def scores(*right: float) -> Measurement:
    value = sum(right) / len(right)
    return replace(share(value, len(right)), scores=right)


def made(
    right: int, sample: int, *, method: str = "rome", seed: int = 0, relative: float = 0.1
) -> Chain:
    """A chain of ten edits with so many right ones, which are no other chain's edits."""
    measured = scores(*[1.0] * right, *[0.0] * (EDITS - right))
    of = chain(checkpoint(EDITS, measured, relative), method=method, seed=seed)
    edits = tuple(rewritten(each, subject=f"{sample} {k}") for k, each in enumerate(of.edits))
    return replace(of, sample=sample, edits=edits)


def over(*right: int, **checks: Any) -> Pooled:
    """The verdict on a method that has so many edits right in each set."""
    [found] = judge_samples(
        [made(each, sample) for sample, each in enumerate(right)], Checks.model_validate(checks)
    )
    return found


def test_the_mean_over_the_sets_is_held_against_the_limit() -> None:
    found = over(10, 5, 9, efficacy={"min": 0.8})
    assert (found.outcome, found.n) == ("passed", 3)
    assert found.observed == pytest.approx(0.8)
    assert found.means == (1.0, 0.5, 0.9)
    assert (found.spec, found.method, found.seeds) == ("specs/hand.eac.yaml", "rome", 1)
    assert over(10, 5, 8, efficacy={"min": 0.8}).outcome == "failed"
    assert over(10, 5, 9, efficacy={"max": 0.7}).outcome == "failed"


def test_interval_and_p_value_are_those_of_samples() -> None:
    found = over(10, 9, 9, 10, 10, efficacy={"min": 0.5, "confidence": 0.95})
    means, counts = (1.0, 0.9, 0.9, 1.0, 1.0), [EDITS] * 5
    wanted = mean_of_samples(means, counts=counts)
    assert (found.low, found.high) == (wanted.low, wanted.high)
    assert found.p == p_over_samples(means, 0.5, counts=counts)
    assert (found.outcome, found.inference) == ("passed", "Student's t and Korn-Graubard")
    assert found.message == (
        "efficacy of rome over 5 samples: 0.960 after 10 of 10 edits (n=5 samples of 10 edits, 95% "
        f"interval {found.low:.3g} to 1 by Student's t and Korn-Graubard), required at least 0.5 "
        f"with confidence 0.95 (p={found.p:.2g})\n  by sample: 1, 0.9, 0.9, 1, 1"
    )


def test_too_few_samples_are_undecided_and_say_how_many_it_takes() -> None:
    found = over(10, 10, efficacy={"min": 0.8, "confidence": 0.95})
    assert found.outcome == "undecided"
    assert found.needs is not None
    assert found.needs > 2
    assert f"undecided: needs about {found.needs} samples; 1.000" in found.message


def test_an_upper_limit_is_the_mirror_image_of_a_lower_one() -> None:
    low = over(9, 8, 9, 10, efficacy={"min": 0.6, "confidence": 0.9})
    high = over(1, 2, 1, 0, efficacy={"max": 0.4, "confidence": 0.9})
    assert high.p == pytest.approx(low.p)
    assert high.outcome == low.outcome
    both = over(9, 8, 9, 10, efficacy={"min": 0.6, "max": 0.99, "confidence": 0.9})
    assert both.p is not None
    assert low.p is not None
    assert both.p > low.p  # the weaker of two


def test_seeds_are_averaged_within_their_set() -> None:
    one = [made(each, k, seed=0) for k, each in enumerate((10, 6, 8))]
    two = [made(each, k, seed=1) for k, each in enumerate((8, 8, 8))]
    [found] = judge_samples([*one, *two], Checks.model_validate({"efficacy": {"min": 0.5}}))
    assert found.means == pytest.approx((0.9, 0.7, 0.8))
    assert (found.n, found.seeds) == (3, 2)
    assert "3 samples of 10 edits and 2 seeds" in found.message
    [alone] = judge_samples(one, Checks.model_validate({"efficacy": {"min": 0.5}}))
    assert alone.low is not None
    assert found.low is not None
    assert found.low > alone.low  # the means of sets lie closer; seeds are no more edits


def test_a_deviation_is_judged_by_the_spread_of_the_sets() -> None:
    chains = [made(10, k, relative=each) for k, each in enumerate((0.1, 0.2, 0.3))]
    checks = Checks.model_validate({"deviation": {"max_relative": 0.25}})
    [found] = judge_samples(chains, checks)
    wanted = mean_of_samples((0.1, 0.2, 0.3))
    assert (found.outcome, found.low, found.high) == ("passed", wanted.low, wanted.high)
    assert found.inference == "Student's t"


def test_growth_is_judged_chain_by_chain_only() -> None:
    growth = {"max_exponent": 1.0, "no_acceleration": True}
    checks = Checks.model_validate({"deviation": {"max_relative": 0.5, "growth": growth}})
    assert [name for name, _ in checks.pooled()] == ["deviation"]
    assert len(checks.named()) == 3


def test_p_values_are_corrected_over_the_checks_of_a_method() -> None:
    chains = [made(each, k) for k, each in enumerate((9, 9, 10, 9, 9))]
    sure = {"min": 0.7, "confidence": 0.95}
    checks = Checks.model_validate({"efficacy": sure, "locality": sure, "retention": {"min": 0}})
    found = judge_samples(chains, checks, Stats(correction="holm"))
    assert [each.corrected_over for each in found] == [2, 2, None]
    assert found[0].p_adjusted == pytest.approx(2 * (found[0].p or 0))
    plain = judge_samples(chains, checks, Stats(correction="none"))
    assert plain[0].p_adjusted == found[0].p


def test_the_worst_checkpoint_counts() -> None:
    def of(sample: int) -> Chain:
        points = (checkpoint(1, scores(0.0)), checkpoint(EDITS, scores(*[1.0] * EDITS)))
        return replace(chain(*points), sample=sample)

    chains = [of(0), of(1)]
    every = Checks.model_validate({"efficacy": {"min": 0.5, "at": "every"}})
    [found] = judge_samples(chains, every)
    assert (found.outcome, found.observed) == ("failed", 0.0)
    assert "after 1 of 10 edits" in found.message


def test_a_set_with_nothing_to_measure_is_left_out_and_named() -> None:
    empty = replace(made(5, 2), checkpoints=(checkpoint(EDITS, NOTHING),))
    chains = [made(8, 0), made(6, 1), empty]
    [found] = judge_samples(chains, Checks.model_validate({"efficacy": {"min": 0.5}}))
    assert found.means == (0.8, 0.6, None)
    assert found.n == 2
    assert found.message.endswith("by sample: 0.8, 0.6, nothing to measure")
    [none] = judge_samples([empty], Checks.model_validate({"efficacy": {"min": 0.5}}))
    assert (none.outcome, none.observed) == ("undecided", None)
    assert "nothing to measure it on" in none.message


def test_abilities_are_judged_over_sets_and_need_a_signal() -> None:
    def of(sample: int, kept: float, *, signal: bool = True) -> Chain:
        base = replace(ABILITY, signal=signal)
        last = able(EDITS, nli=replace(ABILITY, kept=kept, signal=signal))
        return replace(chain(last), sample=sample, abilities={"nli": base})

    checks = Checks.model_validate({"abilities": {"nli": 0.8}})
    [found] = judge_samples([of(0, 0.9), of(1, 0.8), of(2, 1.0)], checks)
    assert found.outcome == "passed"
    assert found.observed == pytest.approx(0.9)
    assert found.inference == "Student's t"  # the items are the same in all sets
    [none] = judge_samples([of(0, 0.9, signal=False), of(1, 0.8, signal=False)], checks)
    assert none.outcome == "undecided"
    assert "no signal" in none.message


def test_equal_numbers_that_are_no_shares_are_undecided() -> None:
    def of(sample: int) -> Chain:
        base = replace(ABILITY, scores=(1.0,) * 60, n=60)
        last = able(EDITS, nli=replace(base, kept=0.9))
        return replace(chain(last), sample=sample, abilities={"nli": base})

    sure = {"nli": {"keep": 0.5, "confidence": 0.9}}
    [found] = judge_samples([of(0), of(1)], Checks.model_validate({"abilities": sure}))
    assert (found.outcome, found.p, found.low) == ("undecided", None, None)
    assert "all samples give the same number, which does not show how others" in found.message


def test_two_limits_of_the_same_size_are_judged_apart() -> None:
    """The score itself misses the limit of .6 that the share kept of it is within."""

    def of(sample: int) -> Chain:
        last = able(EDITS, nli=replace(ABILITY, value=0.4, kept=0.8))
        return replace(chain(last), sample=sample, abilities={"nli": ABILITY})

    both = Checks.model_validate({"abilities": {"nli": {"keep": 0.6, "min": 0.6}}})
    [found] = judge_samples([of(0), of(1)], both)
    assert (found.outcome, found.observed) == ("failed", 0.4)
    assert found.means == (0.4, 0.4)
    assert "required at least 0.6\n" in found.message


# Comparisons


def held(metric: str, subject: list[Chain], other: list[Chain], **more: Any) -> Comparison:
    asked = {"metric": metric, "less": "eac", "than": "rome"} | more
    asked = {key: value for key, value in asked.items() if value is not None}
    return compare_over_samples("its-name", CompareCheck.model_validate(asked), subject, other)


def moved(method: str, *relative: float, seeds: int = 1) -> list[Chain]:
    return [
        made(10, sample, method=method, seed=seed, relative=each)
        for sample, each in enumerate(relative)
        for seed in range(seeds)
    ]


def test_deviations_are_compared_set_by_set() -> None:
    found = held(
        "deviation",
        moved("eac", 0.1, 0.2, 0.3, seeds=2),
        moved("rome", 0.5, 0.5, 0.8, seeds=2),
        confidence=0.9,
    )
    p = p_over_samples([0.4, 0.3, 0.5], 0.0)
    assert found.tests == {"Student's t over samples": pytest.approx(p)}
    assert (found.outcome, found.n, found.samples) == ("passed", 3, 3)
    assert found.effect == pytest.approx(-0.4)
    assert found.message.splitlines()[:3] == [
        "deviation (L1, relative) after 10 edits, mean of 3 samples: eac 0.2, rome 0.6; required "
        "eac < rome with confidence 0.9",
        "  eac by sample: 0.1, 0.2, 0.3",
        "  rome by sample: 0.5, 0.5, 0.8",
    ]


def test_it_is_the_mean_that_must_lie_as_required() -> None:
    one, two = moved("eac", 0.1, 0.6), moved("rome", 0.5, 0.5)
    assert held("deviation", one, two).outcome == "passed"
    assert held("deviation", two, one, less="rome", than="eac").outcome == "failed"
    assert held("deviation", one, two, by=0.2).outcome == "failed"


def test_five_seeds_of_one_set_say_nothing_about_other_edits() -> None:
    """What passed at p = 1/32 is about these edits; a second set can turn it round."""
    asked = CompareCheck(metric="deviation", less="eac", than="rome", confidence=0.95)
    one = [made(10, 0, method="eac", seed=k, relative=0.1 + k / 1000) for k in range(5)]
    two = [made(10, 0, seed=k, relative=0.11 + k / 500) for k in range(5)]
    single = compare("its-name", asked, one, two)
    assert single.p == pytest.approx(1 / 32)
    assert single.message.endswith("; for these edits, given these chains")
    more = [made(10, 1, method="eac", seed=k, relative=0.2) for k in range(5)]
    other = [made(10, 1, seed=k, relative=0.19) for k in range(5)]
    found = compare_over_samples("its-name", asked, [*one, *more], [*two, *other])
    assert found.outcome == "undecided"
    assert found.needs is not None
    assert f"needs about {found.needs:,} samples" in found.message


def test_scores_of_edits_must_show_it_too() -> None:
    one = [made(9, k, method="eac") for k in range(3)]
    two = [made(7, k) for k in range(3)]
    found = held("retention", one, two, less=None, more="eac", confidence=0.9)
    assert list(found.tests) == ["McNemar over edits"]  # all sets differ by 0.2
    assert (found.gained, found.lost, found.samples) == (6, 0, 3)
    assert found.p == pytest.approx(1 / 64)
    varied = [made(each, k) for k, each in enumerate((8, 5, 8))]
    found = held("retention", one, varied, less=None, more="eac", confidence=0.99)
    assert list(found.tests) == ["Student's t over samples", "McNemar over edits"]
    assert found.p == max(found.tests.values())
    assert found.outcome == "undecided"


def test_equal_deviations_of_all_sets_show_nothing() -> None:
    one, two = moved("eac", 0.1, 0.1, 0.1), moved("rome", 0.2, 0.2, 0.2)
    found = held("deviation", one, two, confidence=0.9)
    assert (found.outcome, found.p, found.tests) == ("undecided", None, {})
    assert "all samples give the same difference" in found.message


def test_other_matrices_are_not_compared() -> None:
    from tests.judging.hand_made_chains import writing

    one = [writing(each, "a") for each in moved("eac", 0.1, 0.2)]
    two = [writing(each, "b") for each in moved("rome", 0.2, 0.3)]
    found = held("deviation", one, two)
    assert (found.outcome, found.samples) == ("undecided", 2)
    assert "edit different matrices" in found.message


# Prompts of several edits


def test_the_message_says_which_prompts_several_edits_ask() -> None:
    from pytest_eac.judging.checks import judge
    from pytest_eac.records.run import ProbePrompt

    of = made(8, 0)
    near = {"locality": (ProbePrompt(prompt="near", answer=None),) * 2}
    asked = tuple(rewritten(each, probes=near) for each in of.edits[:2])
    for edits, repeated in ((asked, True), (asked[:1], False)):
        shared = replace(of, edits=(*edits, *of.edits[len(edits) :]))
        checks = Checks.model_validate({"locality": {"min": 0.5}, "efficacy": {"min": 0.5}})
        efficacy, locality = (each.message for each in judge(shared, checks))
        words = "1 prompt is asked by several edits, which the interval takes as independent"
        assert (words in locality) == repeated
        assert "several edits" not in efficacy
