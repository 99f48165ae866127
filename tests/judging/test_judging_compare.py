from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_eac.judging.compare import compare
from pytest_eac.spec.checks import Comparison
from tests.judging.hand_made_chains import NOTHING, chain, checkpoint, having, share

if TYPE_CHECKING:
    from pytest_eac.record import Chain
    from pytest_eac.record import Comparison as Found


def asked(metric: str, direction: str = "less") -> Comparison:
    return Comparison.model_validate({"metric": metric, direction: "rome-eac", "than": "rome"})


def moved(method: str, relative: float, seed: int = 0) -> Chain:
    return chain(checkpoint(8, relative=relative), method=method, seed=seed)


def scored(method: str, metric: str, value: float | None) -> Chain:
    measured = NOTHING if value is None else share(value, 8)
    last = having(checkpoint(8, share(0.5, 8)), metric, measured)
    return chain(checkpoint(1, share(0.5)), last, method=method)


def held(comparison: Comparison, subject: Chain | list[Chain], other: Chain | list[Chain]) -> Found:
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
