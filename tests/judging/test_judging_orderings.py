"""What an order breaks, told of records written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.judging.orderings import judge_ordering
from pytest_eac.spec.orders import show_order
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.schema.orderings import Orderings
from tests.judging.hand_made_chains import chain, checkpoint, rewritten, share, writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.records.run import Chain, Verdict
    from pytest_eac.spec.orders import Order

COUNT = 5
WRITTEN = tuple(range(1, COUNT + 1))


def before(order: Order, one: int, other: int) -> bool:
    return one in order and other in order and order.index(one) < order.index(other)


def reversed_pair(order: Order) -> float:
    """Edit 4 is lost if edit 5 comes before it."""
    return 0.5 if before(order, 5, 4) else 1.0


@dataclass(kw_only=True)
class HandMade:
    """A runner whose results are a function of the order."""

    value: Callable[[Order], float]
    batch: int = 1
    shares: bool = True
    asked: list[Order] = field(default_factory=list)

    def run(self, order: Order) -> Chain:
        self.asked.append(order)
        point = checkpoint(len(order), share(self.value(order), len(order)))
        return replace(chain(point), edits=chain(checkpoint(COUNT)).edits)

    def apart(self, one: Order, other: Order) -> float:
        return abs(self.value(one) - self.value(other))


def of_edits(of: Chain, count: int) -> Chain:
    return replace(of, edits=of.edits[:count])


def verdict(
    value: Callable[[Order], float],
    given: tuple[Order, ...] = (),
    confidence: float | None = None,
    count: int = COUNT,
    **how: Any,
) -> Verdict:
    orderings = Orderings.model_validate({"hold": (), **how})
    checks = Checks.model_validate({"efficacy": {"min": 0.8, "confidence": confidence}})
    runner = HandMade(value=value)
    (wanted,) = orderings.properties(checks)
    return judge_ordering(
        of_edits(runner.run(WRITTEN[:count]), count),
        wanted,
        orderings=orderings,
        checks=checks,
        runner=runner,
        replay=lambda orders: "again " + " ".join(map(show_order, orders)),
        given=given,
    )


PROPERTIES: list[dict[str, Any]] = [
    {"hold": ("efficacy",)},
    {"spread": {"efficacy": 0.1}},
    {"state": 0.1},
]


@pytest.mark.parametrize("how", PROPERTIES)
def test_an_order_that_breaks_is_told_in_its_simplest_form(how: dict[str, Any]) -> None:
    found = verdict(reversed_pair, **how)
    assert found.outcome == "failed"
    lines = found.message.split("\n")
    assert "broken by the order 1,2,3,5,4, required at " in lines[0]
    assert lines[1].startswith("  order 1,2,3,5,4: efficacy 0.5,")
    assert lines[2].startswith("  order 1,2,3,4,5: efficacy 1,")
    assert "to replay: again 1,2,3,5,4" in lines
    edits = [line for line in lines if line.startswith("  edit ")]
    assert edits == [
        "  edit 4 (facts.yaml:13): 'prompt 3' -> 'Paris'",
        "  edit 5 (facts.yaml:14): 'prompt 4' -> 'Paris'",
    ]


@pytest.mark.parametrize("how", PROPERTIES)
def test_where_edits_may_be_left_out_what_breaks_is_told_with_two(how: dict[str, Any]) -> None:
    found = verdict(reversed_pair, **how, kinds=("permutation", "subsequence"))
    assert "broken by the order 5,4, required at " in found.message
    if "hold" in how:
        left_out = "3 of 5 edits are left out, so the check asks about 2"
        assert f"{left_out}: it holds in their written order" in found.message


def test_a_missed_edit_is_no_effect_of_order_unless_others_are_left_out() -> None:
    """16 edits, one always missed: at least 0.93 holds in every order, and not for every subset."""

    def missed(order: Order) -> float:
        return 1 - 0.15 * (5 in order) * COUNT / len(order)

    assert verdict(missed, hold=("efficacy",)).outcome == "passed"
    found = verdict(missed, hold=("efficacy",), kinds=("subsequence",))
    assert found.outcome == "failed"
    assert (
        "4 of 5 edits are left out, so the check asks about 1: it fails in their written order, too"
        in found.message
    )


def test_the_worst_order_stands_beside_the_simplest() -> None:
    def value(order: Order) -> float:
        return 0.5 - 0.1 * before(order, 5, 1) if before(order, 5, 4) else 1.0

    found = verdict(value, hold=("efficacy",))
    assert found.orders is not None
    assert found.orders.simplest == (1, 2, 3, 5, 4)
    worst = found.orders.worst
    assert worst is not None
    assert before(worst, 5, 1)
    assert f"worst order found: order {show_order(worst)}: efficacy 0.4," in found.message


def test_what_passes_says_how_many_orders_may_still_break_it() -> None:
    found = verdict(lambda _: 0.9, hold=("efficacy",))
    assert (
        "; 10 uniformly drawn orders, none broke the limit: at most 26% of all orders break it, "
        "at 95%\n"
    ) in found.message
    tried = found.orders
    assert tried is not None
    assert (tried.uniform, tried.every, tried.broke) == (10, False, 0)
    assert tried.at_most == pytest.approx(1 - 0.05**0.1)


def test_of_what_breaks_often_the_uniform_orders_say_how_often() -> None:
    found = verdict(reversed_pair, hold=("efficacy",))
    tried = found.orders
    assert tried is not None
    assert 2 <= tried.broke <= 8
    assert f"{tried.broke} of 10 uniformly drawn orders broke the limit: at most " in found.message


def test_of_few_edits_every_order_is_tried() -> None:
    found = verdict(lambda _: 0.9, count=3, hold=("efficacy",))
    assert "; all 5 other orders tried, none broke the limit\n" in found.message
    assert found.orders is not None
    assert (found.orders.every, found.orders.uniform, found.orders.at_most) == (True, 5, 0.0)
    assert found.orders.searched == 0


def test_orders_that_leave_something_undecided_bound_nothing() -> None:
    found = verdict(lambda _: 0.9, confidence=0.999, hold=("efficacy",))
    assert "at most" not in found.message.partition("\n")[0].partition("required")[0]


@pytest.mark.parametrize("how", PROPERTIES)
def test_what_no_order_breaks_passes(how: dict[str, Any]) -> None:
    found = verdict(lambda _: 0.9, **how)
    assert found.outcome == "passed"
    assert "10 uniformly drawn orders, none broke the limit" in found.message


def test_what_an_order_leaves_undecided_does_not_pass() -> None:
    found = verdict(lambda _: 0.9, confidence=0.999, hold=("efficacy",))
    assert found.outcome == "undecided"
    assert "undecided under the order 1,2,3,4,5: efficacy of " in found.message
    broken = verdict(reversed_pair, confidence=0.999, hold=("efficacy",))
    assert broken.outcome == "failed"


@pytest.mark.parametrize("how", PROPERTIES)
def test_a_given_order_is_tried_and_nothing_drawn(how: dict[str, Any]) -> None:
    assert verdict(reversed_pair, given=((5, 4),), **how).outcome == "failed"
    assert verdict(reversed_pair, given=((4, 3),), **how).outcome == "passed"


def test_orders_that_spread_too_far_only_among_each_other_are_told_together() -> None:
    values: dict[Order, float] = {(2, 1): 0.42, (1, 2): 0.5}

    def value(order: Order) -> float:
        if len(order) == COUNT and order != WRITTEN:
            return 0.42 if before(order, 5, 1) else 0.58
        return values.get(order, 0.5)

    found = verdict(value, kinds=("permutation",), spread={"efficacy": 0.1})
    assert found.outcome == "failed"
    (replay,) = (line for line in found.message.split("\n") if line.startswith("to replay"))
    assert len(replay.removeprefix("to replay: again ").split()) == 2


def test_the_worst_order_is_what_was_observed() -> None:
    found = verdict(lambda order: 0.85 if before(order, 2, 1) else 0.95, hold=("efficacy",))
    assert found.observed == 0.85
    assert "0.85 to 0.95" in found.message


def test_deviations_over_different_matrices_have_no_spread() -> None:
    class Elsewhere(HandMade):
        def run(self, order: Order) -> Chain:
            return writing(super().run(order), "a" if order == tuple(sorted(order)) else "b")

    orderings = Orderings.model_validate({"hold": (), "spread": {"deviation": 0.0}})
    (wanted,) = orderings.properties(Checks())
    runner = Elsewhere(value=lambda _: 1.0)
    found = judge_ordering(
        runner.run(WRITTEN),
        wanted,
        orderings=orderings,
        checks=Checks(),
        runner=runner,
        replay=lambda _: "",
    )
    assert found.outcome == "undecided"
    assert "the chains edit different matrices: " in found.message


def test_an_edit_of_the_same_subject_takes_no_part_in_the_state() -> None:
    runner = HandMade(value=reversed_pair)
    written = runner.run(WRITTEN)
    same = tuple(rewritten(edit, subject="one and the same") for edit in written.edits)
    orderings = Orderings.model_validate({"hold": (), "state": 0.1})
    found = judge_ordering(
        replace(written, edits=same),
        orderings.properties(Checks())[0],
        orderings=orderings,
        checks=Checks(),
        runner=runner,
        replay=lambda _: "",
    )
    assert found.outcome == "undecided"


def test_orders_that_are_all_alike_have_no_worst_one() -> None:
    found = verdict(lambda _: 0.9, hold=("efficacy",))
    assert "efficacy of rome-s0: 0.9 under 10 orders" in found.message.splitlines()[0]
    assert "worst" not in found.message
