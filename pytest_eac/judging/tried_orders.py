"""What orders that were drawn uniformly say of all others, in words."""

from math import ceil

from pytest_eac.records.run import Chain, TriedOrders


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


def of_chain(chain: Chain) -> list[str]:
    """Say of each check of a chain that was held under other orders what these say, in a line."""
    texts = ((each.check, each.orders) for each in chain.verdicts)
    found = ((check, in_words(tried, chain.confidence)) for check, tried in texts if tried)
    return [f"{check} of {chain.name}: {text}" for check, text in found if text]
