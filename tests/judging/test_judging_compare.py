from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import TYPE_CHECKING

import pytest

from pytest_eac.judging.compare_checks import compare
from pytest_eac.judging.paired_edits import pair
from pytest_eac.spec.schema.checks import CompareCheck
from pytest_eac.stats.intervals import newcombe
from tests.judging.hand_made_chains import (
    ABILITY,
    NOTHING,
    able,
    chain,
    checkpoint,
    edit,
    having,
    share,
)

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain, Checkpoint
    from pytest_eac.records.run import Comparison as Found


def asked(metric: str, direction: str = "less", **more: float) -> CompareCheck:
    methods = {direction: "rome-eac", "than": "rome"}
    return CompareCheck.model_validate({"metric": metric, **methods, **more})


def moved(method: str, relative: float, seed: int = 0) -> Chain:
    return chain(checkpoint(8, relative=relative), method=method, seed=seed)


def scored(method: str, metric: str, value: float | None) -> Chain:
    measured = NOTHING if value is None else share(value, 8)
    last = having(checkpoint(8, share(0.5, 8)), metric, measured)
    return chain(checkpoint(1, share(0.5)), last, method=method)


def held(
    comparison: CompareCheck, subject: Chain | list[Chain], other: Chain | list[Chain]
) -> Found:
    return compare(
        "its-name",
        comparison,
        subject if isinstance(subject, list) else [subject],
        other if isinstance(other, list) else [other],
    )


@pytest.mark.parametrize(
    ("direction", "one", "two", "outcome"),
    [
        ("less", 0.1, 0.2, "passed"),
        ("less", 0.2, 0.1, "failed"),
        ("less", 0.2, 0.2, "failed"),
        ("more", 0.2, 0.1, "passed"),
        ("more", 0.1, 0.2, "failed"),
        ("more", 0.2, 0.2, "failed"),
    ],
)
def test_deviation_must_be_truly_less_or_more(
    direction: str, one: float, two: float, outcome: str
) -> None:
    found = held(asked("deviation", direction), moved("rome-eac", one), moved("rome", two))
    assert found.outcome == outcome
    assert found.observed == one
    assert found.check == "its-name"
    assert found.spec == "specs/hand.eac.yaml"


@pytest.mark.parametrize("metric", ["efficacy", "generalization", "locality", "retention"])
def test_any_metric_is_compared_at_the_end_of_the_sequence(metric: str) -> None:
    better, worse = scored("rome-eac", metric, 0.9), scored("rome", metric, 0.7)
    assert held(asked(metric, "more"), better, worse).outcome == "passed"
    assert held(asked(metric, "less"), better, worse).outcome == "failed"


def test_what_was_measured_before_the_end_does_not_count() -> None:
    one = chain(checkpoint(1, relative=0.9), checkpoint(8, relative=0.1), method="rome-eac")
    two = chain(checkpoint(1, relative=0.1), checkpoint(8, relative=0.9))
    assert held(asked("deviation"), one, two).outcome == "passed"


def test_a_comparison_says_what_it_saw_and_what_it_required() -> None:
    found = held(asked("deviation"), moved("rome-eac", 0.125), moved("rome", 0.1))
    assert found.required == "rome-eac < rome"
    assert found.message == (
        "deviation (L1, relative) after 8 edits: rome-eac-s0 0.125, rome-s0 0.1; "
        "required rome-eac < rome\n"
        "  one number a side: a difference without interval or p-value"
    )
    equal = (scored(method, "efficacy", 1.0) for method in ("rome-eac", "rome"))
    assert held(asked("efficacy", "more"), *equal).required == ("rome-eac > rome")


@pytest.mark.parametrize(
    ("pairs", "outcome"),
    [
        ([(0.1, 0.2), (0.3, 0.4)], "passed"),
        ([(0.1, 0.2), (0.4, 0.3)], "failed"),
        ([(0.2, 0.1), (0.3, 0.4)], "failed"),
        ([(0.4, 0.5), (0.1, 0.2), (0.3, 0.3)], "failed"),
    ],
)
def test_a_comparison_must_hold_for_every_seed(
    pairs: list[tuple[float, float]], outcome: str
) -> None:
    subject = [moved("rome-eac", one, seed) for seed, (one, _) in enumerate(pairs)]
    other = [moved("rome", two, seed) for seed, (_, two) in enumerate(pairs)]
    found = held(asked("deviation"), subject, other)
    assert found.outcome == outcome
    assert found.observed is None
    lines = found.message.splitlines()
    assert len(lines) == len(pairs) + 1
    for seed, (one, two) in enumerate(pairs):
        assert f"rome-eac-s{seed} {one:g}, rome-s{seed} {two:g}" in lines[seed]


@pytest.mark.parametrize(("one", "two"), [(None, 0.5), (0.5, None), (None, None)])
def test_a_comparison_with_nothing_measured_is_undecided(
    one: float | None, two: float | None
) -> None:
    found = held(
        asked("locality", "more"),
        scored("rome-eac", "locality", one),
        scored("rome", "locality", two),
    )
    assert found.outcome == "undecided"
    assert found.observed is None
    assert found.message == "its-name: undecided: no edit has anything to measure locality on"


def test_one_undecided_seed_leaves_the_comparison_undecided() -> None:
    subject = [scored("rome-eac", "locality", 0.9), scored("rome-eac", "locality", None)]
    other = [scored("rome", "locality", 0.1), scored("rome", "locality", 0.1)]
    assert held(asked("locality", "more"), subject, other).outcome == "undecided"


def test_sides_with_different_numbers_of_seeds_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        held(asked("deviation"), [moved("rome-eac", 0.1)], [])


# Pair by pair


def passing(method: str, scores: list[float], seed: int = 0) -> Chain:
    """A chain whose edits are retained like this."""
    mean = sum(scores) / len(scores)
    kept = replace(share(mean, len(scores)), scores=tuple(scores))
    return chain(checkpoint(len(scores), retention=kept), method=method, seed=seed)


def test_pass_and_fail_are_compared_edit_by_edit() -> None:
    better = passing("rome-eac", [1.0] * 9 + [0.0])
    found = held(asked("retention", "more"), better, passing("rome", [0.0] * 6 + [1.0] * 4))
    assert (found.gained, found.lost, found.n) == (6, 1, 10)
    assert found.effect == pytest.approx(0.5)
    assert found.tests == {"McNemar": pytest.approx(8 / 2**7)}
    assert found.p == found.tests["McNemar"]
    assert found.message.splitlines()[-1].startswith("  rome-eac - rome: +0.5 (n=10 edits, 95% ")
    assert found.message.endswith(
        "McNemar p=0.062; right with rome-eac alone 6, with rome alone 1; for these edits, given "
        "these chains"
    )


def test_less_is_more_the_other_way_round() -> None:
    one, two = passing("rome-eac", [0.0] * 8 + [1.0] * 4), passing("rome", [1.0] * 9 + [0.0] * 3)
    less = held(asked("retention"), one, two)
    more = held(asked("retention", "more"), replace(two, method="rome-eac"), one)
    assert less.p == more.p
    assert less.effect == -(more.effect or 0)
    assert (less.gained, less.lost) == (more.lost, more.gained)
    assert (less.low, less.high) == (-(more.high or 0), -(more.low or 0))


def test_methods_that_are_alike_on_every_edit_differ_by_0_with_an_interval_around_it() -> None:
    sides = [passing(method, [1.0] * 9 + [0.0] * 3) for method in ("rome-eac", "rome")]
    found = held(asked("retention"), *sides)
    low, high = newcombe(9, 0, 0, 3)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.outcome == "failed"
    told = (
        f"  rome-eac - rome: +0 (n=12 edits, 95% interval {low:.2f} to {high:.2f}); McNemar p=1; "
    )
    assert told in found.message
    halves = [passing(method, [0.5, 0.25, 0.5]) for method in ("rome-eac", "rome")]
    assert "+0 (n=3 edits, no interval)" in held(asked("retention"), *halves).message


@pytest.mark.parametrize(("gained", "outcome"), [(4, "undecided"), (5, "passed"), (0, "failed")])
def test_with_a_confidence_the_test_must_say_so_as_well(gained: int, outcome: str) -> None:
    """Five gained and none lost: 2 ** -5 is below 0.05."""
    comparison = asked("retention", "more", confidence=0.95)
    worse = passing("rome", [0.0] * gained + [1.0] * (40 - gained))
    found = held(comparison, passing("rome-eac", [1.0] * 40), worse)
    assert found.outcome == outcome
    assert (found.needs is not None) == (outcome == "undecided")
    if found.needs is not None:
        assert 40 < found.needs < 100
        needs = f"undecided: needs about {found.needs} edits to pass with a chance of 0.8; "
        assert found.message.startswith(needs)


@pytest.mark.parametrize(
    ("by", "outcome", "required"),
    [
        (0.1, "passed", "rome-eac > rome by 0.1 or more"),
        (0.2, "passed", "rome-eac > rome by 0.2 or more"),
        (0.21, "failed", "rome-eac > rome by 0.21 or more"),
        (-0.1, "passed", "rome-eac > rome, or below by 0.1 at most"),
    ],
)
def test_a_least_difference_must_be_reached(by: float, outcome: str, required: str) -> None:
    better, worse = passing("rome-eac", [0.9] * 8), passing("rome", [0.7] * 8)
    found = held(asked("retention", "more", by=by), better, worse)
    assert found.outcome == outcome
    assert found.required == required


def test_a_method_may_be_a_little_worse_where_by_is_below_0() -> None:
    worse, better = passing("rome-eac", [1.0] * 99 + [0.0]), passing("rome", [1.0] * 100)
    assert held(asked("retention", "more"), worse, better).outcome == "failed"
    little = asked("retention", "more", by=-0.05, confidence=0.95)
    assert held(little, worse, better).outcome == "passed"


def test_scores_of_several_seeds_are_averaged_edit_by_edit() -> None:
    subject = [passing("rome-eac", [1.0, 1.0, 0.5], 0), passing("rome-eac", [1.0, 0.5, 0.5], 1)]
    other = [passing("rome", [0.5, 0.5, 0.0], seed) for seed in (0, 1)]
    found = held(asked("retention", "more"), subject, other)
    assert found.n == 3
    assert list(found.tests) == ["mean of differences"]
    assert found.effect == pytest.approx((0.5 + 0.25 + 0.5) / 3)


def test_edits_are_matched_by_what_they_ask_and_not_by_their_place() -> None:
    one, two = passing("rome-eac", [1.0, 0.0, 0.5]), passing("rome", [0.5, 0.0, 1.0])
    turned = replace(two, edits=two.edits[::-1])
    assert pair([one], [turned], "retention").one == (1.0, 0.0, 0.5)
    assert pair([one], [turned], "retention").two == (1.0, 0.0, 0.5)
    assert pair([one], [replace(two, edits=(*two.edits[:2], edit(9)))], "retention").one == (1, 0)


def test_an_edit_that_is_made_twice_counts_twice() -> None:
    one = passing("rome-eac", [1.0, 0.0])
    twice = replace(one, edits=(edit(0), edit(0)))
    assert pair([twice], [twice], "retention").one == (1.0, 0.0)


@pytest.mark.parametrize(("seeds", "outcome"), [(1, "undecided"), (4, "undecided"), (5, "passed")])
def test_a_deviation_is_compared_seed_by_seed(seeds: int, outcome: str) -> None:
    subject = [moved("rome-eac", 0.1 + 0.01 * seed, seed) for seed in range(seeds)]
    other = [moved("rome", 0.3 + 0.02 * seed, seed) for seed in range(seeds)]
    found = held(asked("deviation", confidence=0.95), subject, other)
    assert found.outcome == outcome
    assert found.n == (seeds if seeds > 1 else None)
    if outcome == "undecided":
        assert "one number per chain; needs 5 seeds or more" in found.message
        assert found.needs == 5


def test_seeds_that_change_nothing_count_once() -> None:
    subject = [moved("rome-eac", 0.1, seed) for seed in range(6)]
    other = [moved("rome", 0.3, seed) for seed in range(6)]
    assert held(asked("deviation", confidence=0.95), subject, other).outcome == "undecided"


def able_chain(method: str, scores: list[float], name: str = "nli") -> Chain:
    ability = replace(ABILITY, value=sum(scores) / len(scores), scores=tuple(scores), n=len(scores))
    point = able(2, nli=ability) if name == "nli" else able(2, perplexity=ability)
    return replace(chain(point, method=method), abilities={name: ability})


def test_an_ability_is_compared_item_by_item() -> None:
    better, worse = able_chain("rome-eac", [1.0] * 6 + [0.0]), able_chain("rome", [0.0] * 7)
    found = held(asked("nli", "more", confidence=0.95), better, worse)
    assert (found.outcome, found.n, found.gained) == ("passed", 7, 6)
    assert "(n=7 items, 95% interval 0.46 to 0.63)" in found.message


@pytest.mark.parametrize("scores", [[0.0] * 6, [0.0] * 7])
def test_an_ability_that_was_asked_on_other_items_is_not_compared(scores: list[float]) -> None:
    one, two = able_chain("rome-eac", [1.0] * 7), able_chain("rome", scores)
    other = replace(two.abilities["nli"], sha256="cd" * 32)
    two = replace(two, checkpoints=(able(2, nli=other),))
    found = held(asked("nli", "more", confidence=0.95), one, two)
    assert found.outcome == "undecided"
    assert "the chains were asked different items of nli; run them all again" in found.message


def test_what_the_unedited_model_has_not_got_is_not_compared() -> None:
    better, worse = able_chain("rome-eac", [1.0] * 6 + [0.0]), able_chain("rome", [0.0] * 7)
    none = replace(better.abilities["nli"], signal=False)
    found = held(asked("nli", "more"), replace(better, abilities={"nli": none}), worse)
    assert found.outcome == "undecided"
    assert "no signal: the unedited model scores 0.857 (n=7 items) in nli" in found.message
    assert found.required == "rome-eac > rome"


def test_less_perplexity_is_more_log_likelihood() -> None:
    better = able_chain("rome-eac", [-2.0] * 6, "perplexity")
    better = replace(better, checkpoints=(_valued(better, 7.4),))
    worse = able_chain("rome", [-3.0, -3.1, -3.2, -3.3, -3.4, -3.5], "perplexity")
    worse = replace(worse, checkpoints=(_valued(worse, 20.1),))
    found = held(asked("perplexity"), better, worse)
    assert found.outcome == "passed"
    assert found.effect == pytest.approx(-1.25)
    assert found.p is None


@pytest.mark.parametrize(
    ("by", "outcome"),
    [(1.0, "undecided"), (1.2, "failed"), (-0.1, "undecided"), (3.0, "failed")],
)
def test_a_least_difference_of_perplexities_is_in_nats_and_has_no_confidence(
    by: float, outcome: str
) -> None:
    better, worse = (
        able_chain("rome-eac", [-2.0] * 9, "perplexity"),
        [-3.1 - k / 1e3 for k in range(9)],
    )
    better = replace(better, checkpoints=(_valued(better, exp(2.0)),))
    other = able_chain("rome", worse, "perplexity")
    other = replace(other, checkpoints=(_valued(other, exp(3.104)),))
    found = held(asked("perplexity", by=by, confidence=0.95), better, other)
    assert found.outcome == outcome
    assert found.p is None
    assert " nats " in found.required
    if outcome == "undecided":
        assert "differences in perplexity have no bound, so no test of their mean" in found.message


def _valued(of: Chain, value: float) -> Checkpoint:
    [point] = of.checkpoints
    ability = replace(point.abilities["perplexity"], value=value)
    return replace(point, abilities={"perplexity": ability})


def test_an_ability_that_was_not_measured_leaves_a_comparison_undecided() -> None:
    found = held(asked("nli", "more"), moved("rome-eac", 0.1), moved("rome", 0.1))
    assert found.outcome == "undecided"


def test_a_difference_that_rounding_puts_just_below_is_reached() -> None:
    assert 0.3 - 0.2 < 0.1
    better, worse = passing("rome-eac", [0.3] * 8), passing("rome", [0.2] * 8)
    assert held(asked("retention", "more", by=0.1), better, worse).outcome == "passed"
    assert held(asked("retention", "more", by=0.1 + 1e-6), better, worse).outcome == "failed"
    equal = passing("rome-eac", [0.2] * 8)
    assert held(asked("retention", "more"), equal, worse).outcome == "failed", "0 is to be exceeded"
