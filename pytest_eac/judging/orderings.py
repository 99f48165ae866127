"""What must hold under every order of a spec's edits, held against the orders that are tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pytest_eac.judging.checks import judge_one
from pytest_eac.judging.edited_matrices import different_matrices
from pytest_eac.judging.limits import undecided
from pytest_eac.judging.order_search import Draws, OrderSearch
from pytest_eac.judging.paired_edits import final_number
from pytest_eac.records.run import Chain, Verdict
from pytest_eac.spec.edits import question
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.spec.orders import Order, show_order
from pytest_eac.spec.schema.orderings import REARRANGING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_eac.spec.schema.checks import Checks
    from pytest_eac.spec.schema.orderings import Orderings, Property


class Runner(Protocol):
    """Runs a chain's edits in other orders, each order once."""

    @property
    def batch(self) -> int:
        """Edits in an update."""

    @property
    def shares(self) -> bool:
        """Whether orders with a common beginning share its edits."""

    def run(self, order: Order) -> Chain:
        """Return the record of the edits in this order."""

    def apart(self, one: Order, other: Order) -> float:
        """Return how far two orders' final weights are apart, over the change that ``other`` makes.

        In the Frobenius norm, ``||W_one - W_other|| / ||W_other - W_0||``.
        """


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
    trial = _TRIALS[wanted.kind](chain=chain, wanted=wanted, checks=checks, runner=runner)
    draws = _draws(chain, wanted, orderings, runner)
    search = OrderSearch(draws=draws, orders=trial.orders, breaks=trial.breaks)
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
        lines += [*trial.told(pair), f"to replay: {again}"]
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


def _draws(chain: Chain, wanted: Property, orderings: Orderings, runner: Runner) -> Draws:
    count = len(chain.edits)
    kinds = orderings.kinds
    if wanted.kind != "hold":
        kinds = tuple(kind for kind in kinds if kind in REARRANGING) or ("permutation",)
    all_ = orderings.examples * count
    return Draws(
        count=count,
        kinds=kinds,
        batch=runner.batch,
        examples=orderings.examples,
        pace=orderings.budget.edits or (all_ // 2 if runner.shares else all_),
        edits=orderings.budget.edits,
        seconds=orderings.budget.seconds,
        shares=runner.shares,
        seed=chain.seed,
        key=f"pytest-eac {chain.spec} {chain.name} {wanted.id}",
    )


def _counted(search: OrderSearch, *, given: bool, broken: bool) -> str:
    if given:
        return f"{_orders(search.drawn)} given, none drawn"
    asked = sum(map(len, search.drawn))
    text = f"{_orders(search.drawn)} drawn: {search.spent} of {asked} edits to solve"
    if search.draws.shares:
        text += ", common beginnings counted once"
    if broken:
        return f"{text}; further ones simplified the last"
    if len(search.drawn) < search.draws.examples and search.stopped:
        text += f" ({search.stopped})"
    return text


def _orders(orders: Sequence[Order]) -> str:
    return f"{len(orders)} order{'s' * (len(orders) != 1)}"


@dataclass(kw_only=True)
class _OrderTrial:
    """Something that must hold, tried on one order after another.

    Attributes:
        values: what was observed, by order.
        open: what an order leaves undecided, by order; in words.
    """

    chain: Chain
    wanted: Property
    checks: Checks
    runner: Runner
    values: dict[Order, float] = field(default_factory=dict)
    open: dict[Order, str] = field(default_factory=dict)

    @property
    def written(self) -> Order:
        return tuple(range(1, len(self.chain.edits) + 1))

    @property
    def required(self) -> str:
        return f"at most {self.wanted.tolerance:g} from the written order"

    def orders(self, order: Order) -> Sequence[Order]:
        """Return the orders to run for this one; none if it says nothing."""
        back = (-number for number in order if number < 0)
        if order == self.written or any(self.chain.edits[k - 1].texts.truth is None for k in back):
            return ()
        return (order,)

    def breaks(self, order: Order) -> bool:
        raise NotImplementedError

    def observed(self, order: Order) -> float | None:
        """Return what was observed under an order, if anything."""
        return self.values.get(order)

    def worst(self) -> float:
        return max(self.values.values())

    def range(self) -> str:
        return f"at most {self.worst():.4g} from the written order"

    def counterpart(self, order: Order) -> Order:
        """Return the order to hold this one against: the same edits as written, each once."""
        return tuple(sorted({abs(number) for number in order}))

    def extremes(self, drawn: Sequence[Order]) -> tuple[Order, Order] | None:  # noqa: ARG002
        """Return two orders that break together what neither breaks alone, if there are any."""
        return None

    def told(self, pair: tuple[Order, Order]) -> list[str]:
        """Return the results of two orders, and what their edits are."""
        lines = [_result(self.chain_of(order), order) for order in dict.fromkeys(pair)]
        for number in sorted({abs(number) for number in (*pair[0], *pair[1])}):
            edit = self.chain.edits[number - 1]
            fact = f"{edit.texts.prompt!r} -> {edit.texts.target!r}"
            lines.append(f"  edit {number} ({edit.origin}): {fact}")
        return lines

    def chain_of(self, order: Order) -> Chain:
        return self.chain if order == self.written else self.runner.run(order)


class _Hold(_OrderTrial):
    """A check of the spec holds."""

    @property
    def required(self) -> str:
        return judge_one(self.chain, self.wanted.name, self.checks[self.wanted.name]).required

    def breaks(self, order: Order) -> bool:
        verdict = self.verdict(order)
        if verdict.observed is not None:
            self.values[order] = verdict.observed
        if verdict.outcome == "undecided":
            self.open[order] = verdict.message
        return verdict.outcome == "failed"

    def verdict(self, order: Order) -> Verdict:
        return judge_one(self.chain_of(order), self.wanted.name, self.checks[self.wanted.name])

    def worst(self) -> float:
        lowest = "at least" in self.required
        return min(self.values.values()) if lowest else max(self.values.values())

    def range(self) -> str:
        return f"{min(self.values.values()):.4g} to {max(self.values.values()):.4g}"

    def counterpart(self, order: Order) -> Order:
        same = super().counterpart(order)
        return self.written if same == order else same

    def told(self, pair: tuple[Order, Order]) -> list[str]:
        return [
            *super().told(pair),
            *(f"  {line}" for line in self.verdict(pair[0]).message.split("\n")),
        ]


class _Spread(_OrderTrial):
    """A metric differs little between orders of the same edits."""

    def orders(self, order: Order) -> Sequence[Order]:
        same = self.counterpart(order)
        return (order, same) if order != same else ()

    def breaks(self, order: Order) -> bool:
        same = self.counterpart(order)
        there, here = self.metric(same), self.metric(order)
        if there is None or here is None:
            return False
        if reason := self.incomparable(order, same):
            self.open[order] = reason
            return False
        self.values[order] = abs(here - there)
        return self.values[order] > self.wanted.tolerance

    def metric(self, order: Order) -> float | None:
        return final_number(self.chain_of(order), self.wanted.name)

    def incomparable(self, *orders: Order) -> str | None:
        if self.wanted.name != DEVIATION:
            return None
        return different_matrices({show_order(each): self.chain_of(each) for each in orders})

    def extremes(self, drawn: Sequence[Order]) -> tuple[Order, Order] | None:
        for same in dict.fromkeys(map(self.counterpart, drawn)):
            group = [order for order in drawn if self.counterpart(order) == same]
            found = {order: value for order in group if (value := self.metric(order)) is not None}
            if found:
                low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
                if self.incomparable(low, high):
                    continue
                if found[high] - found[low] > self.wanted.tolerance:
                    return low, high
        return None


class _StateTrial(_OrderTrial):
    """The final weights differ little between orders of the same, disjoint edits."""

    def orders(self, order: Order) -> Sequence[Order]:
        subjects = [question(self.chain.edits[number - 1].texts.subject) for number in order]
        same = self.counterpart(order)
        return (order, same) if order != same and len(set(subjects)) == len(subjects) else ()

    def breaks(self, order: Order) -> bool:
        if not self.orders(order):
            return False
        self.values[order] = self.runner.apart(order, self.counterpart(order))
        return self.values[order] > self.wanted.tolerance

    def told(self, pair: tuple[Order, Order]) -> list[str]:
        apart = f"  final weights: {self.values[pair[0]]:.4g} of the edits' change apart"
        return [*super().told(pair), apart]


_TRIALS = {"hold": _Hold, "spread": _Spread, "state": _StateTrial}


def _result(chain: Chain, order: Order) -> str:
    names = (*chain.checkpoints[-1].metrics, DEVIATION)
    found = {name: final_number(chain, name) for name in names}
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if value is not None)
    return f"  order {show_order(order)}: {numbers}"
