"""What must hold under every order of a chain's edits, tried on one order after another."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_eac.judging.checks import cases_of, judge_one
from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.paired_edits import final_number
from pytest_eac.records.run import Chain, Verdict
from pytest_eac.spec.edits import question
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.spec.orders import Order, show_order
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.schema.orderings import Property


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


@dataclass(kw_only=True)
class OrderTrial:
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
    _verdicts: dict[Order, Verdict] = field(default_factory=dict)

    @property
    def written(self) -> Order:
        """The order in which the spec has the edits."""
        return tuple(range(1, len(self.chain.edits) + 1))

    @property
    def required(self) -> str:
        """What must hold, in words."""
        return f"at most {self.wanted.tolerance:g} from the written order"

    def orders(self, order: Order) -> Sequence[Order]:
        """Return the orders to run for this one; none if it says nothing."""
        back = (-number for number in order if number < 0)
        if order == self.written or any(self.chain.edits[k - 1].texts.truth is None for k in back):
            return ()
        return (order,)

    def breaks(self, order: Order) -> bool:
        """Try an order, and say whether it breaks what must hold."""
        raise NotImplementedError

    def observed(self, order: Order) -> float | None:
        """Return what was observed under an order, if anything."""
        return self.values.get(order)

    def badness(self, order: Order) -> float | None:
        """Return how far beyond its limit an order is (within it, less than 0), if measured."""
        found = self.values.get(order)
        return None if found is None else found - self.wanted.tolerance

    def worst(self) -> float:
        """Return what was observed nearest to the limit."""
        return self.values[max(self.values, key=lambda order: self.badness(order) or 0.0)]

    def range(self) -> str:
        """Write what was observed under all orders."""
        return f"at most {self.worst():.4g} from the written order"

    def counterpart(self, order: Order) -> Order:
        """Return the order to compare this one with: the same edits as written, each once."""
        return tuple(sorted({abs(number) for number in order}))

    def extremes(self, drawn: Sequence[Order]) -> tuple[Order, Order] | None:  # noqa: ARG002
        """Return two orders that break together what neither breaks alone, if there are any."""
        return None

    def result(self, order: Order) -> str:
        """Write the metrics of an order in a line."""
        return _result(self.chain_of(order), order)

    def evidence(self, pair: tuple[Order, Order]) -> list[str]:
        """Return the results of two orders, and what their edits are, a line each.

        Of an order that has every edit once, only those edits that changed places with another.
        """
        lines = [self.result(order) for order in dict.fromkeys(pair)]
        for number in sorted({abs(number) for number in _displaced(pair[0]) or pair[0]}):
            edit = self.chain.edits[number - 1]
            fact = f"{edit.texts.prompt!r} -> {edit.texts.target!r}"
            lines.append(f"  edit {number} ({edit.origin}): {fact}")
        return lines

    def chain_of(self, order: Order) -> Chain:
        """Return the record of the edits in an order."""
        return self.chain if order == self.written else self.runner.run(order)


class _Hold(OrderTrial):
    """A check of the spec holds."""

    @property
    def required(self) -> str:
        return self.verdict(self.written).required

    def breaks(self, order: Order) -> bool:
        verdict = self.verdict(order)
        if verdict.observed is not None:
            self.values[order] = verdict.observed
        if verdict.outcome == "undecided":
            self.open[order] = verdict.message
        return verdict.outcome == "failed"

    def verdict(self, order: Order) -> Verdict:
        if order not in self._verdicts:
            name = self.wanted.name
            self._verdicts[order] = judge_one(self.chain_of(order), name, self.checks[name])
        return self._verdicts[order]

    def badness(self, order: Order) -> float | None:
        found = self.values.get(order)
        if found is None:
            return None
        name, chain = self.wanted.name, self.chain_of(order)
        limits = [case.limit for case in cases_of(chain, name, self.checks[name])]
        return max((limit.beyond(found) for limit in limits), default=found)  # growth has none

    def range(self) -> str:
        ends = dict.fromkeys(f"{end(self.values.values()):.4g}" for end in (min, max))
        return " to ".join(ends)

    def counterpart(self, order: Order) -> Order:
        same = super().counterpart(order)
        return self.written if same == order else same

    def evidence(self, pair: tuple[Order, Order]) -> list[str]:
        return [
            *self._left_out(pair[0]),
            *super().evidence(pair),
            *(f"  {line}" for line in self.verdict(pair[0]).message.split("\n")),
        ]

    def _left_out(self, order: Order) -> list[str]:
        """Say, of an order without some edits, whether its edits hold in their written order."""
        same = super().counterpart(order)
        of = len(self.written)
        if len(same) == of:
            return []
        text = f"  {of - len(same)} of {of} edits are left out, so the check asks about {len(same)}"
        if self.verdict(same).outcome == "failed":
            return [f"{text}: it fails in their written order, too, so order has no part in it"]
        return [f"{text}: it holds in their written order"]


class _Spread(OrderTrial):
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


class _StateTrial(OrderTrial):
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

    def evidence(self, pair: tuple[Order, Order]) -> list[str]:
        apart = f"  final weights: {self.values[pair[0]]:.4g} of the edits' change apart"
        return [*super().evidence(pair), apart]


TRIALS = {"hold": _Hold, "spread": _Spread, "state": _StateTrial}


def _displaced(order: Order) -> list[int]:
    """Return the edits that have changed places with another, compared with the written order."""
    pairs = [(a, b) for k, a in enumerate(order) for b in order[k + 1 :] if a > b]
    return [number for each in pairs for number in each]


def _result(chain: Chain, order: Order) -> str:
    names = (*chain.checkpoints[-1].metrics, DEVIATION)
    found = {name: final_number(chain, name) for name in names}
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if value is not None)
    return f"  order {show_order(order)}: {numbers}"
