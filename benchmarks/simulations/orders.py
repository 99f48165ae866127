"""How often the search for an order that breaks a check finds one, and how often it errs.

    python -m benchmarks.simulations.orders [--searches N]

Sixteen edits, of which a rule says how many hold in a given order; `efficacy: {min: 0.93}` must
hold in every order. Each search has a seed of its own. Nothing is edited. docs/verdicts.md has the
results: the share of searches that find an order, also by uniformly drawn orders alone, and the
mean number of orders that were run.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import sqrt

from hypothesis import settings

from pytest_eac.judging.orderings import judge_ordering
from pytest_eac.records.run import Chain, Verdict
from pytest_eac.spec.orders import Order
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.schema.orderings import Orderings
from tests.judging.hand_made_chains import chain, checkpoint, share

COUNT = 16
LIMIT = 0.93
_BAD = 0.5


def always_missed(order: Order) -> float:
    """Edit 5 never holds, whatever the order."""
    return 1 - (5 in order) / len(order)


def first(order: Order) -> float:
    """Edit 8 first breaks half of the edits."""
    return _BAD if order[0] == 8 else 1.0


def last(order: Order) -> float:
    """Edit 8 last does."""
    return _BAD if order[-1] == 8 else 1.0


def directly(order: Order) -> float:
    """Edit 8 directly after edit 16 does."""
    return _BAD if (16, 8) in pairwise(order) else 1.0


def pair(order: Order) -> float:
    """Edit 12 before edit 3 does."""
    return _BAD if _in_turn(order, 12, 3) else 1.0


def three(order: Order) -> float:
    """Edit 12 before edit 8 before edit 3 does."""
    return _BAD if _in_turn(order, 12, 8) and _in_turn(order, 8, 3) else 1.0


def gradual(order: Order) -> float:
    """Of edits 1 to 5, each pair that is reversed costs a little; eight of the ten are too much."""
    pairs = [(b, a) for b in range(1, 6) for a in range(1, b)]
    return 1 - 0.0095 * sum(_in_turn(order, *each) for each in pairs)


def _in_turn(order: Order, one: int, other: int) -> bool:
    return one in order and other in order and order.index(one) < order.index(other)


SITUATIONS: dict[str, Callable[[Order], float]] = {
    "edit 5 always missed, nothing depends on the order": always_missed,
    "breaks if edit 8 is first": first,
    "breaks if edit 8 is last": last,
    "breaks if edit 8 follows edit 16 at once": directly,
    "breaks if edit 12 comes before edit 3": pair,
    "breaks if edits 12, 8, 3 come in this order": three,
    "worse with each reversed pair of edits 1 to 5, breaks at 8 of 10": gradual,
}


@dataclass(kw_only=True)
class Simulated:
    """A runner of orders whose results follow a rule.

    Attributes:
        rule: the share of the edits that hold in an order.
        runs: the orders that were run.
    """

    rule: Callable[[Order], float]
    batch: int = 1
    shares: bool = True
    runs: set[Order] = field(default_factory=set)

    def run(self, order: Order) -> Chain:
        """Return a record with the rule's efficacy."""
        self.runs.add(order)
        found = share(self.rule(order), len(order))
        return replace(chain(checkpoint(len(order), found)), edits=chain(checkpoint(COUNT)).edits)

    def apart(self, one: Order, other: Order) -> float:
        """Refuse: no weights are compared here."""
        raise NotImplementedError


def search(rule: Callable[[Order], float], seed: int) -> tuple[Verdict, int]:
    """Search once; return the verdict, and how many orders were run."""
    orderings = Orderings.model_validate({"hold": ("efficacy",)})
    checks = Checks.model_validate({"efficacy": {"min": LIMIT}})
    (wanted,) = orderings.properties(checks)
    runner = Simulated(rule=rule)
    written = replace(runner.run(tuple(range(1, COUNT + 1))), seed=seed)
    found = judge_ordering(
        written,
        wanted,
        orderings=orderings,
        checks=checks,
        runner=runner,
        replay=lambda _: "",
    )
    return found, len(runner.runs)


def rate(hits: int, of: int) -> str:
    """Write a share of searches and its standard error."""
    found = hits / of
    return f"{found:.3f} ± {sqrt(found * (1 - found) / of):.3f}"


def main() -> None:
    """Search in every situation, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=60, help="searches in each situation")
    count = parser.parse_args().searches
    settings.register_profile("simulations", database=None)
    settings.load_profile("simulations")  # what an earlier search has found is no help here
    print("| situation | found | uniform orders alone | orders run |")
    print("|---|---|---|---|")
    for name, rule in SITUATIONS.items():
        results = [search(rule, seed) for seed in range(count)]
        broken = sum(verdict.outcome == "failed" for verdict, _ in results)
        alone = sum(bool(verdict.orders and verdict.orders.broke) for verdict, _ in results)
        runs = sum(number for _, number in results) / count
        cells = (name, rate(broken, count), rate(alone, count), f"{runs:.1f}")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
