"""What must hold under every order of a spec's edits, judged by the orders that are tried."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_eac.judging.limits import undecided
from pytest_eac.judging.order_budget import OrderBudget
from pytest_eac.judging.order_search import OrderSearch
from pytest_eac.judging.order_trials import TRIALS, OrderTrial, Runner
from pytest_eac.judging.tried_orders import in_words
from pytest_eac.records.run import Chain, TriedOrders, Verdict
from pytest_eac.spec.orders import Order, show_order
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.schema.orderings import REARRANGING, Orderings, Property
from pytest_eac.stats.intervals import share_at_most


def judge_ordering(
    chain: Chain,
    wanted: Property,
    *,
    orderings: Orderings,
    checks: Checks,
    runner: Runner,
    replay: Callable[[Sequence[Order]], str],
    given: Sequence[Order] = (),
) -> Verdict:
    """Judge whether something holds under every order that is tried.

    Args:
        chain: the record of the written order.
        wanted: what must hold.
        orderings: what to draw.
        checks: the spec's, with the limits of what must hold.
        runner: runs other orders.
        replay: returns the command line that tries the given orders again.
        given: orders to try instead of drawing any.
    """
    trial = TRIALS[wanted.kind](chain=chain, wanted=wanted, checks=checks, runner=runner)
    search = _search(trial, orderings)
    broken = _broken(trial, search, given)
    pair = (broken, trial.counterpart(broken)) if broken else trial.extremes(search.drawn)
    tried = None if given else _tried(search, trial, broken)
    head, counted = f"{wanted.id} of {chain.name}: ", _how_many(search)
    if given:
        counted = f"{_orders(search.drawn)} given, none drawn"
    elif broken == trial.written:
        counted = "no orders drawn: the written one breaks it"
    if not pair and (reason := _undecided(trial, search, counted)):
        found = undecided(wanted.id, f"{head}undecided{reason}", trial.required)
        return replace(found, orders=tried)
    outcome = "failed" if pair else "passed"
    shown = f"broken by the order {show_order(pair[0])}" if pair else _held(trial, search)
    lines = [f"{head}{shown}, required {trial.required}"]
    if tried and (broken or not pair) and (known := in_words(tried, chain.confidence)):
        lines[0] += f"; {known}"
    lines += trial.evidence(pair) if pair else []
    if tried and tried.worst and tried.worst not in (pair or ()) and not search.flat:
        lines.append(f"worst order found: {trial.result(tried.worst).strip()}")
    if pair:
        lines.append(f"to replay: {replay(pair[:1] if broken else pair)}")
    return Verdict(
        check=wanted.id,
        outcome=outcome,
        observed=trial.observed(pair[0]) if pair else trial.worst(),
        required=trial.required,
        message="\n".join([*lines, counted]),
        orders=tried,
    )


def _broken(trial: OrderTrial, search: OrderSearch, given: Sequence[Order]) -> Order | None:
    """Try the orders, and return the simplest one that breaks what must hold."""
    if given:
        search.searched = [order for order in given if trial.orders(order)]
        return next((order for order in search.searched if trial.breaks(order)), None)
    return trial.written if trial.breaks(trial.written) else search.simplest()


def _undecided(trial: OrderTrial, search: OrderSearch, counted: str) -> str | None:
    """Return why orders that break nothing decide nothing either; ``None`` if they do."""
    if not search.drawn:
        return f": {counted}"
    for order, reason in trial.open.items():
        return f" under the order {show_order(order)}: {reason}"
    return None if trial.values else ": nothing to measure it on"


def _held(trial: OrderTrial, search: OrderSearch) -> str:
    return f"{trial.range()} under {_orders(search.drawn)}"


def _search(trial: OrderTrial, orderings: Orderings) -> OrderSearch:
    chain, wanted, runner, limits = trial.chain, trial.wanted, trial.runner, orderings.budget
    kinds = orderings.kinds
    if wanted.kind != "hold":
        kinds = tuple(kind for kind in kinds if kind in REARRANGING) or ("permutation",)
    all_ = orderings.examples * len(chain.edits)
    budget = OrderBudget(
        batch=runner.batch,
        shares=runner.shares,
        edits=limits.edits,
        seconds=limits.seconds,
        simplifying=limits.edits or 2 * all_,
        pace=limits.edits or (all_ // 2 if runner.shares else all_),
    )
    return OrderSearch(
        count=len(chain.edits),
        kinds=kinds,
        batch=runner.batch,
        examples=orderings.examples,
        budget=budget,
        seed=chain.seed,
        key=f"pytest-eac {chain.spec} {chain.name} {wanted.id}",
        orders=trial.orders,
        breaks=trial.breaks,
        badness=trial.badness,
    )


def _orders(orders: Sequence[Order]) -> str:
    return f"{len(orders)} order{'s' * (len(orders) != 1)}"


def _tried(search: OrderSearch, trial: OrderTrial, simplest: Order | None) -> TriedOrders:
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


def _how_many(search: OrderSearch) -> str:
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
