"""How many edits, and how much time, other orders of edits may take."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from pytest_eac.spec.orders import Order

# What the cheapest new order costs: the last two edits, swapped.
_LEAST = 2


@dataclass(kw_only=True)
class OrderBudget:
    """Counts the edits to solve, where orders with a common beginning may share its edits.

    Attributes:
        batch: edits in an update.
        shares: whether orders with a common beginning share its edits.
        edits: the most edits to solve for drawing and searching, if there is a limit.
        seconds: when to stop, if ever.
        simplifying: edits that may be solved to simplify an order that breaks something.
        pace: edits that the search may solve: orders that cost more than their share of these are
            passed over, unless no others come up.
        spent: edits that had to be solved for drawing and searching.
        stopped: what ended them before there were enough orders.
    """

    batch: int
    shares: bool
    edits: int | None
    seconds: float | None
    simplifying: int
    pace: int
    spent: int = 0
    stopped: str = ""
    _known: set[Order] = field(default_factory=set)
    _start: float = field(default_factory=monotonic)
    _before: int = 0
    _first: int = 0
    _step: float = 0.0

    def late(self) -> bool:
        """Say whether the time is up."""
        if self.seconds is None or monotonic() - self._start < self.seconds:
            return False
        self.stopped = f"the budget of {self.seconds:g} seconds is spent"
        return True

    def whole(self, number: int, count: int) -> int:
        """Return how many whole orders the budget allows.

        Edits that they share are not counted as saved: a number that depends on which orders were
        drawn would make them a biased sample.

        Args:
            number: how many orders are wanted.
            count: how many edits each has.
        """
        if self.edits is None or self.edits >= number * count:
            return number
        self.stopped = f"the budget of {self.edits} edits leaves no more"
        return self.edits // count

    def allows(self, orders: Sequence[Order]) -> bool:
        """Say whether there are edits for all of these."""
        return self.edits is None or self.spent + self.cost(orders) <= self.edits

    def beyond(self, orders: Sequence[Order]) -> bool:
        """Say whether orders cost more than the edits that are left."""
        if self.allows(orders):
            return False
        self.stopped = f"the budget of {self.edits} edits leaves no more"
        return True

    def spend(self, orders: Sequence[Order]) -> None:
        """Count the edits of orders that are about to be run."""
        self.spent += self.cost(orders)
        self.solve(orders)

    def search(self, examples: int, count: int) -> None:
        """Begin to search: the edits are handed out evenly, beginning with one whole order."""
        self._before, self._first = self.spent, count
        self._step = max(_LEAST, (self.pace - count) / max(1, examples - 1))

    def too_dear(self, orders: Sequence[Order], done: float) -> bool:
        """Return whether orders cost more than their share, after ``done`` others."""
        spent = self.spent - self._before + self.cost(orders)
        return self.beyond(orders) or spent > self._first + self._step * done

    def simplify(self, orders: Sequence[Order]) -> bool:
        """Say whether orders may be run to simplify another one, and count their edits."""
        cost = self.cost(orders)
        if cost > self.simplifying:
            return False
        self.simplifying -= cost
        self.solve(orders)
        return True

    def cost(self, orders: Iterable[Order]) -> int:
        """Return how many edits of these are still to be solved."""
        parts = self._parts(orders)
        return sum(size for part, size in parts.items() if part not in self._known)

    def solve(self, orders: Iterable[Order]) -> None:
        """Note that these are run."""
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
