"""Which orders of its edits a spec tries, and what must hold under all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pytest_eac.spec.metrics import metric_names
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.types import Count, NonNegative, Strict, Text

OrderKind = Literal["permutation", "subsequence", "interleaving", "duplicate", "conflict"]
# An edit that is made twice, or taken back, is no reordering of the same edits.
REARRANGING: tuple[OrderKind, ...] = ("permutation", "subsequence", "interleaving")
# All edits, each once: only of these can every order be as likely as any other.
UNIFORM: tuple[OrderKind, ...] = ("permutation", "interleaving")


class Budget(Strict):
    """When to stop trying orders before there are enough."""

    edits: Count | None = Field(
        None,
        description="The most edits to solve for all orders together, common beginnings counted "
        "once; as many again may be solved to simplify an order that breaks something.",
    )
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="How long to go on; what is found then depends on the machine."
    )


class Orderings(Strict):
    """Orders of the edits to try, and what must hold under them."""

    examples: Count = Field(
        10,
        le=10_000,
        description="How many orders to draw uniformly; a search around the worst of them tries as "
        "many again at most.",
    )
    hold: tuple[Text, ...] | None = Field(
        None,
        description="Checks that must hold under every order; by default those of the "
        "spec on metrics of the edited model.",
    )
    spread: dict[Text, NonNegative] = Field(
        {}, description="How far apart a metric may be under two orders of the same edits."
    )
    state: NonNegative | None = Field(
        None,
        description="How far apart the final weights may be under two orders of the same edits, as "
        "a share of the change that the edits make.",
    )
    kinds: Annotated[tuple[OrderKind, ...], Field(min_length=1)] = Field(
        ("permutation",),
        description="What orders to try. With `subsequence`, edits are left out, and what breaks "
        "need not be an effect of order.",
    )
    budget: Budget = Budget()

    def properties(self, checks: Checks) -> tuple[Property, ...]:
        """Return what must hold, in the order of the fields above."""
        there = [name for name, _ in checks.named() if name in metric_names()]
        hold = there if self.hold is None else self.hold
        found = [Property(kind="hold", name=name) for name in dict.fromkeys(hold)]
        found += [
            Property(kind="spread", name=metric, tolerance=most)
            for metric, most in self.spread.items()
        ]
        if self.state is not None:
            found.append(Property(kind="state", name="", tolerance=self.state))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """Something that must hold under every order.

    Attributes:
        kind: a check that must ``hold``, the ``spread`` of a metric, or the final ``state``.
        name: the check or metric; empty for the state.
        tolerance: for spread and state, the largest allowed distance.
    """

    kind: Literal["hold", "spread", "state"]
    name: str
    tolerance: float = 0.0

    @property
    def id(self) -> str:
        """Its name in node ids: ``orderings-efficacy``, ``orderings-spread-efficacy``."""
        parts = {"hold": (self.name,), "spread": ("spread", self.name), "state": ("state",)}
        return "-".join(("orderings", *parts[self.kind]))
