"""Which orders a verdict rests on, and what those drawn uniformly say of all others."""

from math import ceil

from pytest_eac.judging.order_search import OrderSearch
from pytest_eac.judging.order_trials import OrderTrial
from pytest_eac.records.run import Chain, TriedOrders
from pytest_eac.spec.orders import Order
from pytest_eac.stats.intervals import share_at_most


def tried_orders(search: OrderSearch, trial: OrderTrial, simplest: Order | None) -> TriedOrders:
    """Return what was tried, for the record.

    Args:
        search: has tried them.
        trial: knows what came of them.
        simplest: the simplest order that breaks what must hold, if one was found.
    """
    count, broke = len(search.uniform), sum(search.tried[order] for order in search.uniform)
    decided = all(order in trial.values and order not in trial.open for order in search.uniform)
    bound = None
    if count and decided:
        level = trial.chain.confidence
        bound = broke / count if search.every else share_at_most(broke, count, confidence=level)
    return TriedOrders(
        uniform=count,
        every=search.every,
        broke=broke,
        searched=len(search.searched),
        simplifying=len(search.tried) - len(search.drawn),
        at_most=bound,
        simplest=simplest,
        worst=search.worst,
    )


def in_words(tried: TriedOrders, level: float) -> str:
    """Say what the orders drawn uniformly say of all others; nothing where there are none.

    Args:
        tried: what was tried.
        level: the confidence of its bound.
    """
    if not tried.uniform:
        return ""
    count, orders = tried.uniform, f"order{'s' * (tried.uniform != 1)}"
    broke = f"{tried.broke} of {count}"
    if tried.every:
        if tried.broke:
            return f"{broke} other {orders}, which are all that there are, broke the limit"
        return f"all {count} other {orders} tried, none broke the limit"
    text = f"{count} uniformly drawn {orders}, none broke the limit"
    if tried.broke:
        text = f"{broke} uniformly drawn {orders} broke the limit"
    if tried.at_most is None or tried.at_most == 1:
        return text
    return f"{text}: at most {percent(tried.at_most)} of all orders break it, at {100 * level:g}%"


def percent(share: float) -> str:
    """Write an upper bound as a percentage, rounded up."""
    return f"{ceil(100 * share - 1e-9)}%"


def how_many(search: OrderSearch) -> str:
    """Say how many orders were tried, and what they took."""
    asked = sum(map(len, search.drawn))
    count = len(search.drawn)
    budget = search.budget
    text = f"{count} order{'s' * (count != 1)} drawn"
    if search.searched and search.uniform:
        text += f" ({len(search.uniform)} uniformly, {len(search.searched)} by the search)"
    text += f": {budget.spent} of {asked} edits to solve"
    if budget.shares:
        text += ", common beginnings counted once"
    if more := len(search.tried) - count:
        text += f"; {more} more were run to simplify what broke"
    elif budget.stopped:
        text += f" ({budget.stopped})"
    return text


def of_chain(chain: Chain) -> list[str]:
    """Say of each check of a chain that was held under other orders what these say, in a line."""
    texts = ((each.check, each.orders) for each in chain.verdicts)
    found = ((check, in_words(tried, chain.confidence)) for check, tried in texts if tried)
    return [f"{check} of {chain.name}: {text}" for check, text in found if text]
