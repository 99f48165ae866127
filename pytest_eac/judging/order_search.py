"""The search for orders of edits that break something, and for the simplest of them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from hypothesis import HealthCheck, Phase, Verbosity, find, reject, settings
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis.strategies import SearchStrategy

from pytest_eac.judging.order_budget import OrderBudget
from pytest_eac.judging.uniform_orders import all_others, drawn_others, number_of_others
from pytest_eac.spec.orders import Order
from pytest_eac.spec.schema.orderings import UNIFORM, OrderKind
from pytest_eac.strategies import orderings, orderings_near

# Draws in a row that give nothing new or affordable, before the search gives up.
_MOST_VAIN = 300
# After this many, an order may cost as much more as is due to one order.
_PATIENCE = 50
# How many edits go elsewhere, at most, in the orders around the worst one.
_MOVES = 2


class _Enough(BaseException):
    """Ends a search at once: any other exception means a broken order to Hypothesis."""


class _Worse(_Enough):
    """Ends a search to go on around the order that has just been tried."""


@dataclass(kw_only=True)
class OrderSearch:
    """Draws orders uniformly, searches around the worst of them, and simplifies what breaks.

    Attributes:
        count: edits in the written order.
        kinds: of orders to draw.
        batch: edits in an update.
        examples: orders to draw uniformly, all different; the search tries as many again at most.
            If there are no more than twice as many, all are tried instead.
        budget: the edits and the time that orders may take.
        seed: of the search.
        key: names the search, for Hypothesis's database of what broke earlier.
        orders: returns the orders that a drawn one needs run; none if it is of no use.
        breaks: says whether a drawn order breaks what must hold.
        badness: how near a tried order came to breaking it, or how far it went beyond: higher is
            worse; ``None`` where nothing was measured.
        uniform: the orders that were drawn uniformly, or all that there are.
        every: whether they are all that there are.
        searched: the orders that were tried by the search.
        tried: whether an order broke something, for all that were tried.
    """

    count: int
    kinds: tuple[OrderKind, ...]
    batch: int
    examples: int
    budget: OrderBudget
    seed: int
    key: str
    orders: Callable[[Order], Sequence[Order]]
    breaks: Callable[[Order], bool]
    badness: Callable[[Order], float | None]
    uniform: list[Order] = field(default_factory=list)
    every: bool = False
    searched: list[Order] = field(default_factory=list)
    tried: dict[Order, bool] = field(default_factory=dict)
    _random: Random = field(default_factory=Random)
    _vain: int = 0
    _trouble: Exception | None = None

    def simplest(self) -> Order | None:
        """Return the simplest order that breaks something, if one was found.

        Raises:
            Exception: what running an order has raised; nothing more is drawn then.
        """
        self._random.seed(self.seed)
        self.budget.solve([self._written])  # the chain itself has run
        self._draw_uniformly()
        broken = [order for order in self.uniform if self.tried[order]]
        if broken:
            return self._simplify(min(broken, key=_inversions))
        if self.every and set(self.kinds) <= set(UNIFORM):
            return None
        return self._search()

    @property
    def drawn(self) -> list[Order]:
        """The orders that were tried, simplifying excluded."""
        return [*self.uniform, *self.searched]

    @property
    def worst(self) -> Order | None:
        """The order that breaks it most, or comes nearest to it; the first of several."""
        return self._worst_of(self.tried)

    def _worst_of(self, orders: Iterable[Order]) -> Order | None:
        found = {
            order: (self.tried[order], bad)
            for order in orders
            if (bad := self.badness(order)) is not None
        }
        return max(found, key=found.__getitem__, default=None)

    @property
    def _written(self) -> Order:
        return tuple(range(1, self.count + 1))

    def _draw_uniformly(self) -> None:
        """Try orders that are each as likely as any other: their number is settled beforehand."""
        if not set(self.kinds) & set(UNIFORM):
            return
        batch = self._uniform_batch
        there_are = number_of_others(self.count, batch)
        self.every = there_are <= 2 * self.examples
        orders = all_others(self.count, batch) if self.every else ()
        if self.every and not self.budget.allows(orders):
            self.every = False
        if not self.every:
            number = self.budget.whole(min(self.examples, there_are), self.count)
            orders = drawn_others(self.count, batch, number=number, seed=self.seed)
        for order in orders:
            needed = self.orders(order)
            if self.budget.late():
                self.every = False
                return
            if needed:
                self.uniform.append(order)
                self.budget.spend(needed)
                self.tried[order] = self.breaks(order)

    def _search(self) -> Order | None:
        """Search around the worst order so far, again around each that is worse still.

        Where none is worse than others, there is nothing to search around; only the kinds of orders
        that cannot be drawn uniformly are still tried then.
        """
        self.budget.search(self.examples, self.count)
        while not (self.flat and set(self.kinds) <= set(UNIFORM)):
            try:
                return self._find(
                    orderings(self.count, kinds=self.kinds, batch=self.batch)
                    if self.flat or self._start is None
                    else self._near(self._start, self.kinds, moves=_MOVES)
                )
            except _Worse:
                continue
        return None

    def _simplify(self, order: Order) -> Order:
        """Simplify an order that has every edit once and breaks something."""
        kinds = tuple(each for each in self.kinds if each in ("permutation", "subsequence"))
        return self._find(self._near(order, kinds or self.kinds, moves=0)) or order

    def _near(
        self, order: Order, kinds: tuple[OrderKind, ...], *, moves: int
    ) -> SearchStrategy[Order]:
        return orderings_near(order, kinds=kinds, batch=self.batch, moves=moves)

    @property
    def _uniform_batch(self) -> int:
        return 1 if "permutation" in self.kinds else self.batch

    @property
    def _start(self) -> Order | None:
        """The worst order that has every edit once."""
        return self._worst_of(each for each in self.tried if sorted(each) == list(self._written))

    @property
    def flat(self) -> bool:
        """Whether no order is worse than another."""
        return len({self.badness(order) for order in self.tried}) < 2

    def _find(self, strategy: SearchStrategy[Order]) -> Order | None:
        found: Order | None = None
        try:
            with suppress(NoSuchExample, Unsatisfiable):
                found = find(
                    strategy,
                    self._try,
                    settings=_settings(self.examples),
                    random=self._random,
                    database_key=self.key.encode(),
                )
        except _Worse:
            raise
        except _Enough:
            pass
        if self._trouble is not None:
            raise self._trouble
        return found

    def _try(self, order: Order) -> bool:
        """Say whether an order breaks something.

        Before anything is broken, an order that was tried or is too dear is drawn in vain, and
        another is drawn for it. Afterwards orders come from simplifying; what is too dear then
        counts as unbroken.
        """
        if any(self.tried.values()):
            return self._simpler(order)
        if self.budget.late() or self._vain > _MOST_VAIN or len(self.searched) >= self.examples:
            raise _Enough
        needed = self.orders(order)
        due = len(self.searched) + self._vain / _PATIENCE
        if not needed or order in self.tried or self.budget.too_dear(needed, due):
            self._vain += 1
            reject()
        self._vain = 0
        worst = self.worst
        self.searched.append(order)
        self.budget.spend(needed)
        broken = self._judge(order)
        if not broken and worst is not None and self.worst != worst:
            raise _Worse
        return broken

    def _simpler(self, order: Order) -> bool:
        if order in self.tried:
            return self.tried[order]
        needed = self.orders(order)
        if not needed or self.budget.late() or not self.budget.simplify(needed):
            return False
        return self._judge(order)

    def _judge(self, order: Order) -> bool:
        try:
            self.tried[order] = self.breaks(order)
        except Exception as error:
            self._trouble = error
            raise _Enough from error
        return self.tried[order]


def _inversions(order: Order) -> int:
    """Count the pairs of edits that do not stand as written."""
    return sum(a > b for k, a in enumerate(order) for b in order[k + 1 :])


def _settings(examples: int) -> settings:
    """Return the profile in force (Hypothesis has one for CI, without a database), bounded."""
    return settings(
        settings.default,
        max_examples=max(1, examples),
        deadline=None,
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
