"""What must hold under every order of a spec's edits, judged by the orders that are tried."""

from collections.abc import Callable, Sequence

from pytest_eac.judging.limits import undecided
from pytest_eac.judging.order_search import OrderSearch
from pytest_eac.judging.order_trials import TRIALS, OrderTrial, Runner
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
    if given:
        search.drawn = [order for order in given if trial.orders(order)]
        broken = next((order for order in search.drawn if trial.breaks(order)), None)
    elif trial.breaks(trial.written):
        broken = trial.written
    else:
        broken = search.simplest()
    pair = (broken, trial.counterpart(broken)) if broken else trial.extremes(search.drawn)
    head = f"{wanted.id} of {chain.name}: "
    counted = _counted(search, given=bool(given), broken=broken is not None)
    if pair:
        lines = [f"{head}broken by the order {show_order(pair[0])}, required {trial.required}"]
        again = replay(pair[:1] if broken else pair)
        lines += [*trial.evidence(pair), f"to replay: {again}"]
        observed, outcome = trial.observed(pair[0]), "failed"
    elif not search.drawn:
        return undecided(wanted.id, f"{head}undecided: {counted}", trial.required)
    elif trial.open:
        text = f"{head}undecided under the order {show_order(next(iter(trial.open)))}: "
        return undecided(wanted.id, text + next(iter(trial.open.values())), trial.required)
    elif not trial.values:
        return undecided(wanted.id, f"{head}undecided: nothing to measure it on", trial.required)
    else:
        lines = [f"{head}{trial.range()} under {_orders(search.drawn)}, required {trial.required}"]
        observed, outcome = trial.worst(), "passed"
    return Verdict(
        check=wanted.id,
        outcome=outcome,
        observed=observed,
        required=trial.required,
        message="\n".join([*lines, counted]),
    )


def _search(trial: OrderTrial, orderings: Orderings) -> OrderSearch:
    chain, wanted, runner, budget = trial.chain, trial.wanted, trial.runner, orderings.budget
    kinds = orderings.kinds
    if wanted.kind != "hold":
        kinds = tuple(kind for kind in kinds if kind in REARRANGING) or ("permutation",)
    all_ = orderings.examples * len(chain.edits)
    return OrderSearch(
        count=len(chain.edits),
        kinds=kinds,
        batch=runner.batch,
        examples=orderings.examples,
        pace=budget.edits or (all_ // 2 if runner.shares else all_),
        edits=budget.edits,
        seconds=budget.seconds,
        shares=runner.shares,
        seed=chain.seed,
        key=f"pytest-eac {chain.spec} {chain.name} {wanted.id}",
        orders=trial.orders,
        breaks=trial.breaks,
    )


def _counted(search: OrderSearch, *, given: bool, broken: bool) -> str:
    if given:
        return f"{_orders(search.drawn)} given, none drawn"
    if broken and not search.drawn:
        return "no orders drawn: the written one breaks it"
    asked = sum(map(len, search.drawn))
    text = f"{_orders(search.drawn)} drawn: {search.spent} of {asked} edits to solve"
    if search.shares:
        text += ", common beginnings counted once"
    if broken:
        return f"{text}; further orders were run to simplify the last"
    if len(search.drawn) < search.examples and search.stopped:
        text += f" ({search.stopped})"
    return text


def _orders(orders: Sequence[Order]) -> str:
    return f"{len(orders)} order{'s' * (len(orders) != 1)}"
