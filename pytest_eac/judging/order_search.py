"""The search for the simplest order of edits that breaks something, within a budget."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import monotonic

from hypothesis import HealthCheck, Phase, Verbosity, find, reject, settings
from hypothesis.errors import NoSuchExample, Unsatisfiable

from pytest_eac.spec.orders import Order
from pytest_eac.spec.schema.orderings import OrderKind
from pytest_eac.strategies import orderings as any_ordering

# Draws in a row that give nothing new or affordable, before the search gives up.
_MOST_VAIN = 300
# After this many, an order may cost as much more as is due to one order.
_PATIENCE = 50
# What the cheapest new order costs: the last two edits, swapped.
_LEAST = 2
_SIMPLIFYING = 4


class _Enough(BaseException):
    """Ends a search at once: any other exception means a broken order to Hypothesis."""


@dataclass(kw_only=True)
class OrderSearch:
    """Draws orders until one breaks something, and simplifies that one.

    Attributes:
        count: edits in the written order.
        kinds: of orders to draw.
        batch: edits in an update.
        examples: orders to draw, all different.
        pace: edits that may be solved for them, common beginnings counted once: dearer orders are
            passed over, unless no others come up.
        edits: the most edits to solve for them, if there is a limit. As many again may be solved to
            simplify an order that breaks something; four times the pace, if there is none.
        seconds: when to stop, if ever.
        shares: whether orders with a common beginning share its edits.
        seed: of the self.
        key: names the search, for Hypothesis's database of what broke earlier.
        orders: returns the orders that a drawn one needs run; none if it is of no use.
        breaks: says whether a drawn order breaks what must hold.
        drawn: the orders that were tried, simplifying excluded.
        spent: edits that had to be solved for them.
        stopped: what ended the drawing before there were enough orders.
    """

    count: int
    kinds: tuple[OrderKind, ...]
    batch: int
    examples: int
    pace: int
    edits: int | None
    seconds: float | None
    shares: bool
    seed: int
    key: str
    orders: Callable[[Order], Sequence[Order]]
    breaks: Callable[[Order], bool]
    drawn: list[Order] = field(default_factory=list)
    spent: int = 0
    stopped: str = ""
    _known: set[Order] = field(default_factory=set)
    _left: int = 0
    _broken: bool = False
    _vain: int = 0
    _trouble: Exception | None = None
    _start: float = field(default_factory=monotonic)

    def simplest(self) -> Order | None:
        """Return the simplest order that breaks something, if one was found.

        Raises:
            Exception: what running an order has raised; nothing more is drawn then.
        """
        self._left = self.edits or _SIMPLIFYING * self.pace
        self._solve([tuple(range(1, self.count + 1))])  # the chain itself has run
        found: Order | None = None
        with suppress(NoSuchExample, Unsatisfiable, _Enough):
            found = find(
                any_ordering(self.count, kinds=self.kinds, batch=self.batch),
                self._try,
                settings=_settings(self.examples),
                random=Random(self.seed),  # noqa: S311
                database_key=self.key.encode(),
            )
        if self._trouble is not None:
            raise self._trouble
        return found

    def _try(self, order: Order) -> bool:
        """Say whether an order breaks something.

        Before anything is broken, an order that was tried or is too dear is drawn in vain, and
        another is drawn for it. Afterwards orders come from simplifying; what is too dear then
        counts as unbroken.
        """
        needed = self.orders(order)
        cost = self._cost(needed)
        if self._broken:
            if not needed or cost > self._left or self._late():
                return False
            self._left -= cost
        else:
            if self._late() or self._vain > _MOST_VAIN:
                raise _Enough
            if not needed or order in self.drawn or self._too_dear(cost):
                self._vain += 1
                reject()
            self._vain = 0
            self.drawn.append(order)
            self.spent += cost
        self._solve(needed)
        try:
            broken = self.breaks(order)
        except Exception as error:
            self._trouble = error
            raise _Enough from error
        self._broken = self._broken or broken
        return broken

    def _late(self) -> bool:
        if self.seconds is None or monotonic() - self._start < self.seconds:
            return False
        self.stopped = f"the budget of {self.seconds:g} seconds is spent"
        return True

    def _too_dear(self, cost: int) -> bool:
        """Hand out the edits evenly, beginning with one whole order; more after draws in vain."""
        spent = self.spent + cost
        if self.edits is not None and spent > self.edits:
            self.stopped = f"the budget of {self.edits} edits leaves no more"
            return True
        steps = max(1, self.examples - 1)
        done = len(self.drawn) + self._vain / _PATIENCE
        return spent > self.count + max(_LEAST, (self.pace - self.count) / steps) * done

    def _cost(self, orders: Iterable[Order]) -> int:
        parts = self._parts(orders)
        return sum(size for part, size in parts.items() if part not in self._known)

    def _solve(self, orders: Iterable[Order]) -> None:
        self._known.update(self._parts(orders))

    def _parts(self, orders: Iterable[Order]) -> dict[Order, int]:
        """Return the updates of orders by all that comes before them, with their edits."""
        if not self.shares:
            return {order: len(order) for order in orders}
        return {
            order[: start + self.batch]: len(order[start : start + self.batch])
            for order in orders
            for start in range(0, len(order), self.batch)
        }


def _settings(examples: int) -> settings:
    """Return the profile in force (Hypothesis has one for CI, without a database), bounded."""
    return settings(
        settings.default,
        max_examples=examples,
        deadline=None,
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
