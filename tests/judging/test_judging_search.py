"""The search for the simplest breaking order: budgets, counts, errors."""

from __future__ import annotations

from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.judging.order_budget import OrderBudget
from pytest_eac.judging.order_search import OrderSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.spec.orders import Order


def never(_: Order) -> bool:
    return False


def search(
    breaks: Callable[[Order], bool] = never,
    count: int = 8,
    badness: Callable[[Order], float] = lambda _: 0.0,
    **how: Any,
) -> OrderSearch:
    draws: dict[str, Any] = {
        "count": count,
        "kinds": ("permutation",),
        "batch": 1,
        "examples": 10,
        "seed": 0,
        "key": "a test",
    }
    limits: dict[str, Any] = {
        "batch": 1,
        "shares": True,
        "edits": None,
        "seconds": None,
        "simplifying": 160,
        "pace": 40,
    }
    limits |= {name: how.pop(name) for name in limits.keys() & how.keys() if name != "batch"}
    limits["batch"] = how.get("batch", 1)
    written = tuple(range(1, count + 1))
    return OrderSearch(
        **(draws | how),
        budget=OrderBudget(**limits),
        orders=lambda order: () if order == written else (order,),
        breaks=breaks,
        badness=badness,
    )


def prefixes(orders: list[Order], batch: int) -> set[Order]:
    """The slow twin: every update with all that comes before it."""
    return {order[:k] for order in orders for k in range(1, len(order) + 1) if k % batch == 0} | {
        order for order in orders if len(order) % batch
    }


def late_first(order: Order) -> float:
    """Worse, the more of the first four edits are among the last four."""
    return sum(order.index(k) > 3 for k in (1, 2, 3, 4))


@pytest.mark.parametrize("seed", range(2))
def test_a_search_takes_half_as_many_edits_again_as_the_uniform_orders(seed: int) -> None:
    tried = search(badness=late_first, seed=seed)
    assert tried.simplest() is None
    assert len(set(tried.uniform)) == 10
    assert 5 <= len(tried.searched) <= 10
    assert len(set(tried.drawn)) == len(tried.drawn)
    assert tried.budget.spent <= 80 + 40
    written = prefixes([tuple(range(1, 9))], 1)
    assert tried.budget.spent == len(prefixes(tried.drawn, 1) - written)


def test_where_no_order_is_worse_than_another_there_is_nothing_to_search_around() -> None:
    tried = search()
    assert tried.simplest() is None
    assert (len(set(tried.uniform)), tried.searched) == (10, [])
    left_out = search(kinds=("permutation", "subsequence"))
    assert left_out.simplest() is None
    assert left_out.searched


def test_a_search_goes_on_around_what_is_worst() -> None:
    for seed in range(3):
        tried = search(badness=late_first, seed=seed)
        assert tried.simplest() is None
        start = max(tried.uniform, key=late_first)
        moved = [k for k, other in zip(start, tried.searched[0], strict=True) if k != other]
        assert len(moved) < 8
        found = [late_first(order) for order in tried.searched]
        assert max(found) >= late_first(start) - 1


def test_in_batches_whole_updates_are_shared() -> None:
    tried = search(batch=2)
    tried.simplest()
    new = prefixes(tried.drawn, 2) - prefixes([tuple(range(1, 9))], 2)
    assert tried.budget.spent == 2 * len(new)


def test_nothing_is_shared_by_a_method_that_shares_nothing() -> None:
    tried = search(shares=False, pace=80)
    tried.simplest()
    assert tried.budget.spent == sum(map(len, tried.drawn)) == 80


@pytest.mark.parametrize("edits", [0, 1, 8, 13, 29, 60])
def test_a_budget_is_never_overdrawn(edits: int) -> None:
    tried = search(pace=edits, edits=edits)
    tried.simplest()
    assert tried.budget.spent <= edits
    assert tried.budget.stopped or len(tried.drawn) == 10


def test_time_that_is_up_ends_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()  # the search has begun by this clock

    def breaks(_: Order) -> bool:
        nonlocal now
        now += 2000.0
        return False

    tried = search(breaks, seconds=5000.0)
    monkeypatch.setattr("pytest_eac.judging.order_budget.monotonic", lambda: now)
    assert tried.simplest() is None
    assert len(tried.drawn) == 3
    assert tried.budget.stopped == "the budget of 5000 seconds is spent"


def test_simplifying_has_a_budget_of_its_own() -> None:
    run: set[Order] = set()

    def breaks(order: Order) -> bool:
        run.add(order)
        return any(a > b for a, b in pairwise(order))

    tried = search(breaks, kinds=("permutation", "subsequence"), edits=40)
    found = tried.simplest()
    assert found is not None
    assert len(found) == 2
    most = 40 + tried.budget.spent
    assert len(prefixes(list(run), 1) - prefixes([tuple(range(1, 9))], 1)) <= most


def test_fewer_orders_than_asked_for_are_no_trouble() -> None:
    tried = search(count=3)
    assert tried.simplest() is None
    assert len(tried.drawn) == 5


def test_an_error_ends_the_search_at_once() -> None:
    calls = []

    def breaks(order: Order) -> bool:
        calls.append(order)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        search(breaks).simplest()
    assert len(calls) == 1


def test_a_search_is_the_same_every_time() -> None:
    one, two = search(seed=7), search(seed=7)
    one.simplest()
    two.simplest()
    assert one.drawn == two.drawn
