"""Strategies for orders and edits: what they draw, and what they shrink to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from pytest_eac.spec.orders import taken_back
from pytest_eac.strategies import edits, orderings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.orders import Order

WHOLE: Any = ("permutation",)


def inversions(order: Order) -> int:
    """How far an order is from the written one."""
    return sum(a > b for k, a in enumerate(order) for b in order[k + 1 :])


def drawn(count: int, number: int, seed: int = 0, **how: Any) -> list[Order]:
    found: list[Order] = []

    def never(order: Order) -> bool:
        found.append(order)
        return False

    only = settings(max_examples=number, phases=[Phase.generate])
    with pytest.raises(NoSuchExample):
        find(orderings(count, **how), never, settings=only, random=Random(seed))
    return found


def simplest(count: int, breaks: Callable[[Order], bool], **how: Any) -> Order:
    search = settings(max_examples=300)
    return find(orderings(count, **how), breaks, settings=search, random=Random(0))


@settings(max_examples=25)
@given(orderings(6, kinds=WHOLE))
def test_a_permutation_has_every_edit_once(order: Order) -> None:
    assert sorted(order) == [1, 2, 3, 4, 5, 6]


@settings(max_examples=25)
@given(orderings(6, kinds=("subsequence",)))
def test_a_subsequence_keeps_the_written_order(order: Order) -> None:
    assert order
    assert list(order) == sorted(set(order))


@settings(max_examples=25)
@given(orderings(7, kinds=("interleaving",), batch=3))
def test_an_interleaving_keeps_the_order_within_each_batch(order: Order) -> None:
    assert sorted(order) == list(range(1, 8))
    for batch in ({1, 2, 3}, {4, 5, 6}, {7}):
        assert [k for k in order if k in batch] == sorted(batch)


@settings(max_examples=25)
@given(orderings(5, kinds=("permutation", "duplicate")))
def test_a_duplicate_comes_after_what_it_repeats(order: Order) -> None:
    assert 1 <= len(order) - 5 <= 2
    assert set(order) == {1, 2, 3, 4, 5}


@settings(max_examples=25)
@given(orderings(5, kinds=("subsequence", "conflict")))
def test_an_edit_is_taken_back_only_after_it_was_made(order: Order) -> None:
    back = [k for k in order if k < 0]
    assert 1 <= len(back) <= 2
    assert all(order.index(-k) < order.index(k) for k in back)


def test_edits_are_drawn_in_the_orders_of_their_numbers(world: tuple[Edit, ...]) -> None:
    found = find(orderings(world[:3], kinds=WHOLE), lambda order: order[0] == world[2])
    assert found == (world[2], world[0], world[1])


def test_only_an_edit_with_a_truth_is_taken_back(world: tuple[Edit, ...]) -> None:
    some = (replace(world[0], truth=None), world[1])
    strategy = orderings(some, kinds=("conflict",))
    assert find(strategy, lambda _: True) == (*some, taken_back(world[1]))


def test_the_same_seed_draws_the_same_orders() -> None:
    assert drawn(8, 20, seed=3) == drawn(8, 20, seed=3)
    assert drawn(8, 20, seed=3) != drawn(8, 20, seed=4)


def test_orders_share_long_beginnings_and_still_vary() -> None:
    orders = drawn(8, 200, kinds=WHOLE)
    first = Counter(order[0] for order in orders)
    assert first[1] > 50
    assert first[8] > 50
    assert len(first) >= 6, "every now and then an order is shuffled whole"
    assert len({frozenset(order[:4]) for order in orders}) > 10


PRECEDES: list[Callable[[Order], bool]] = [
    lambda order: 1 in order and 2 in order and order.index(2) < order.index(1),
    lambda order: 5 in order and 3 in order and order.index(5) < order.index(3),
    lambda order: order[0] == 4,
    lambda order: len(order) > 1 and order[-1] == 1,
    lambda order: inversions(order) >= 3,
]


@pytest.mark.parametrize("breaks", PRECEDES)
def test_what_breaks_shrinks_to_as_few_edits_as_can_be(breaks: Callable[[Order], bool]) -> None:
    every = [order for size in range(1, 6) for order in permutations(range(1, 6), size)]
    least = min(len(order) for order in every if breaks(order))
    found = simplest(5, breaks)
    assert breaks(found)
    assert len(found) == least


@pytest.mark.parametrize("breaks", PRECEDES)
def test_a_permutation_shrinks_towards_the_written_order(breaks: Callable[[Order], bool]) -> None:
    least = min(inversions(order) for order in permutations(range(1, 6)) if breaks(order))
    found = simplest(5, breaks, kinds=WHOLE)
    assert breaks(found)
    assert inversions(found) == least


def test_an_order_of_which_any_breaks_shrinks_to_a_single_edit() -> None:
    assert len(simplest(4, lambda _: True)) == 1


@pytest.mark.parametrize("how", [(0, WHOLE), (3, ())])
def test_nothing_to_order_is_refused(how: tuple[int, Any]) -> None:
    with pytest.raises(ValueError, match="expected one or more"):
        orderings(how[0], kinds=how[1])


@pytest.mark.parametrize("kinds", [("permutaton",), "permutation"])
def test_an_unknown_kind_is_refused_with_those_that_there_are(kinds: Any) -> None:
    with pytest.raises(ValueError, match="expected a list of permutation, subsequence, "):
        orderings(3, kinds=kinds)


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="found a batch of 0 edits"):
        orderings(3, kinds=("interleaving",), batch=0)


def test_edits_are_drawn_from_facts_and_shrink_to_the_first(world: tuple[Edit, ...]) -> None:
    assert find(edits(world), lambda _: True) == world[0]
    assert find(edits(world), lambda edit: edit == world[5]) == world[5]


def test_edits_are_drawn_from_templates() -> None:
    some = edits(subjects=["Oslo", "Bergen"], prompts=["{} lies in"], targets=["Peru", "Chad"])
    found = find(some, lambda edit: edit.subject == "Bergen" and edit.target == "Chad")
    assert found.prompt == "Bergen lies in"


def test_facts_may_get_other_targets(world: tuple[Edit, ...]) -> None:
    found = find(edits(world, targets=["Peru", "Chad"]), lambda edit: edit.target == "Chad")
    assert (found.subject, found.prompt) == (world[0].subject, world[0].prompt)


def test_edits_from_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="expected facts, or subjects, prompts and targets"):
        edits(subjects=["Oslo"])


def test_facts_and_templates_together_are_refused(world: tuple[Edit, ...]) -> None:
    with pytest.raises(ValueError, match="1 subjects, 0 prompts"):
        edits(world, subjects=["Oslo"])


def test_a_prompt_without_a_place_for_its_subject_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(ValueError, match="'Oslo' does not occur in the prompt 'It lies in'"):
        edits(subjects=["Oslo"], prompts=["It lies in"], targets=["Peru"])
