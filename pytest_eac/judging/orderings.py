"""What must hold under every order of a spec's edits, judged by the orders that are tried."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_eac.judging.limits import undecided
from pytest_eac.judging.order_budget import OrderBudget
from pytest_eac.judging.order_search import OrderSearch
from pytest_eac.judging.order_trials import TRIALS, OrderTrial, Runner
from pytest_eac.judging.tried_orders import how_many, in_words, tried_orders
from pytest_eac.records.run import Chain, Verdict
from pytest_eac.spec.orders import Order, show_order
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.schema.orderings import REARRANGING, Orderings, Property


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
    broken = trial.written if not given and trial.breaks(trial.written) else None
    if given:
        search.searched = [order for order in given if trial.orders(order)]
        broken = next((order for order in search.searched if trial.breaks(order)), None)
    elif broken is None:
        broken = search.simplest()
    pair = (broken, trial.counterpart(broken)) if broken else trial.extremes(search.drawn)
    tried = None if given else tried_orders(search, trial, broken)
    head = f"{wanted.id} of {chain.name}: "
    known = in_words(tried, chain.confidence) if tried else ""
    counted = how_many(search)
    if given:
        counted = f"{_orders(search.drawn)} given, none drawn"
    elif broken == trial.written:
        counted = "no orders drawn: the written one breaks it"
    if pair:
        line = f"{head}broken by the order {show_order(pair[0])}, required {trial.required}"
        lines = [f"{line}; {known}" if known and broken else line, *trial.evidence(pair)]
        if tried and tried.worst and tried.worst not in pair:
            lines.append(f"the worst order found:\n{trial.result(tried.worst)}")
        lines.append(f"to replay: {replay(pair[:1] if broken else pair)}")
        observed, outcome = trial.observed(pair[0]), "failed"
    elif not search.drawn:
        found = undecided(wanted.id, f"{head}undecided: {counted}", trial.required)
        return replace(found, orders=tried)
    elif trial.open:
        text = f"{head}undecided under the order {show_order(next(iter(trial.open)))}: "
        found = undecided(wanted.id, text + next(iter(trial.open.values())), trial.required)
        return replace(found, orders=tried)
    elif not trial.values:
        found = undecided(wanted.id, f"{head}undecided: nothing to measure it on", trial.required)
        return replace(found, orders=tried)
    else:
        line = f"{head}{trial.range()} under {_orders(search.drawn)}, required {trial.required}"
        lines = [f"{line}; {known}" if known else line]
        if tried and tried.worst:
            lines.append(f"the worst order found:\n{trial.result(tried.worst)}")
        observed, outcome = trial.worst(), "passed"
    return Verdict(
        check=wanted.id,
        outcome=outcome,
        observed=observed,
        required=trial.required,
        message="\n".join([*lines, counted]),
        orders=tried,
    )


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
