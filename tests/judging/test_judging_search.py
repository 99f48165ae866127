"""The search for the simplest breaking order: budgets, counts, errors."""

from __future__ import annotations

from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.judging.order_search import OrderSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.spec.orders import Order


def never(_: Order) -> bool:
    return False


def search(breaks: Callable[[Order], bool] = never, count: int = 8, **how: Any) -> OrderSearch:
    draws: dict[str, Any] = {
        "count": count,
        "kinds": ("permutation",),
        "batch": 1,
        "examples": 10,
        "pace": 40,
        "edits": None,
        "seconds": None,
        "shares": True,
        "seed": 0,
        "key": "a test",
    }
    written = tuple(range(1, count + 1))
    return OrderSearch(
        **(draws | how),
        orders=lambda order: () if order == written else (order,),
        breaks=breaks,
    )


def prefixes(orders: list[Order], batch: int) -> set[Order]:
    """The slow twin: every update with all that comes before it."""
    return {order[:k] for order in orders for k in range(1, len(order) + 1) if k % batch == 0} | {
        order for order in orders if len(order) % batch
    }


@pytest.mark.parametrize("seed", range(2))
def test_ten_orders_of_eight_edits_take_at_most_half_the_edits(seed: int) -> None:
    tried = search(seed=seed)
    assert tried.simplest() is None
    assert len(set(tried.drawn)) == 10
    assert tried.spent <= 40
    assert tried.spent == len(prefixes(tried.drawn, 1) - prefixes([tuple(range(1, 9))], 1))


def test_in_batches_whole_updates_are_shared() -> None:
    tried = search(batch=2)
    tried.simplest()
    new = prefixes(tried.drawn, 2) - prefixes([tuple(range(1, 9))], 2)
    assert tried.spent == 2 * len(new)


def test_nothing_is_shared_by_a_method_that_shares_nothing() -> None:
    tried = search(shares=False, pace=80)
    tried.simplest()
    assert tried.spent == sum(map(len, tried.drawn)) == 80


@pytest.mark.parametrize("edits", [0, 1, 8, 13, 29, 60])
def test_a_budget_is_never_overdrawn(edits: int) -> None:
    tried = search(pace=edits, edits=edits)
    tried.simplest()
    assert tried.spent <= edits
    assert tried.stopped or len(tried.drawn) == 10


def test_time_that_is_up_ends_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()  # the search has begun by this clock

    def breaks(_: Order) -> bool:
        nonlocal now
        now += 2000.0
        return False

    tried = search(breaks, seconds=5000.0)
    monkeypatch.setattr("pytest_eac.judging.order_search.monotonic", lambda: now)
    assert tried.simplest() is None
    assert len(tried.drawn) == 3
    assert tried.stopped == "the budget of 5000 seconds is spent"


def test_simplifying_has_a_budget_of_its_own() -> None:
    run: set[Order] = set()

    def breaks(order: Order) -> bool:
        run.add(order)
        return any(a > b for a, b in pairwise(order))

    tried = search(breaks, kinds=("permutation", "subsequence"), edits=40)
    found = tried.simplest()
    assert found is not None
    assert len(found) == 2
    most = 40 + tried.spent
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
