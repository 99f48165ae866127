"""Limits, the numbers that must be within them, and the verdict on these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from pytest_eac.judging.hypotheses import Claim, Correction, corrected_fields, rest
from pytest_eac.records.run import Chain, Checkpoint, Verdict
from pytest_eac.stats.foreseen import Foreseen, most_of

GIVEN = "for these edits, given this chain"
"""What a p-value of one chain is about: what moves all of its edits alike is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One bound: a value passes when it is finite and on the right side."""

    low: float | None
    high: float | None
    unit: str = ""

    def allows(self, value: float) -> bool:
        """Say whether a value passes."""
        above = self.low is None or value >= self.low
        below = self.high is None or value <= self.high
        return above and below

    def beyond(self, value: float) -> float:
        """Return how far a value is outside; one that is inside is below 0."""
        low = [self.low - value] if self.low is not None else []
        high = [value - self.high] if self.high is not None else []
        return max(*low, *high, -inf)

    def __str__(self) -> str:
        parts = [f"at least {self.low:g}"] if self.low is not None else []
        parts += [f"at most {self.high:g}"] if self.high is not None else []
        return " and ".join(parts) + self.unit

    def digits(self, value: float, kind: str, least: int) -> str:
        """Write a value with as many digits as it takes to see on which side of the limit it is."""
        texts = (f"{value:.{digits}{kind}}" for digits in range(least, 18))
        allowed = self.allows(value)
        return next((text for text in texts if self.allows(float(text)) == allowed), f"{value!r}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A number that a check looks at, and the limit for it.

    Attributes:
        at: after how many edits.
        value: the number; ``None`` where there is nothing to measure.
        shown: the number in words.
        limit: that it must be within.
        more: lines for a message that it fails with.
        n: how many edits or items it is the mean of; ``None`` where it is no mean.
        low: lower end of its interval.
        high: its upper end.
        claims: what a confidence would be in; none where there is nothing to be confident by.
        unit: what is counted.
    """

    at: int
    value: float | None
    shown: str
    limit: Limit
    more: Sequence[str] = ()
    n: int | None = None
    low: float | None = None
    high: float | None = None
    claims: tuple[Claim, ...] = ()
    unit: str = "edits"

    @cached_property
    def p(self) -> float | None:
        """The p-value: all claims must hold, so the weakest counts and needs no correction."""
        return max((claim.p for claim in self.claims), default=None)

    def needs(self, level: float) -> Foreseen | None:
        """Return about how many edits or items it takes; ``None`` where no number would do."""
        return most_of(claim.needs(level) for claim in self.claims)


def chosen(chain: Chain, at: int | str) -> Sequence[Checkpoint]:
    """Return the checkpoints that a check looks at."""
    if at == "final":
        return chain.checkpoints[-1:]
    if at == "every":
        return chain.checkpoints
    return [checkpoint for checkpoint in chain.checkpoints if checkpoint.at == at]


def interval(low: float | None, high: float | None, level: float) -> str:
    """Write an interval and its level in words."""
    if low is None or high is None:
        return "no interval"
    return f"{100 * level:g}% interval {low:.2f} to {high:.2f}"


def undecided(name: str, message: str, required: str) -> Verdict:
    """Return the verdict on a check that the record cannot decide."""
    return Verdict(
        check=name, outcome="undecided", observed=None, required=required, message=message
    )


def verdict(
    chain: Chain,
    name: str,
    cases: Sequence[Case],
    *,
    confidence: float | None = None,
    correction: Correction | None = None,
) -> Verdict:
    """Turn what was observed at one or more checkpoints into one verdict: the worst one counts.

    Args:
        chain: what was measured.
        name: the check.
        cases: its numbers.
        confidence: with which it must hold; by default the numbers alone are judged.
        correction: of its p-value, for the other checks of the chain; by default, none.
    """
    measured = [case for case in cases if case.value is not None]
    if not measured:
        reason = "no such checkpoint in this run" if not cases else "nothing to measure it on"
        required = str(cases[0].limit) if cases else ""
        return undecided(name, f"{name}: undecided: {reason}", required)
    failed = [case for case in measured if not case.limit.allows(case.value or 0.0)]
    case = (failed or measured)[0 if failed else -1]
    bare = [each for each in measured if each.p is None]
    p = None
    if confidence is not None and not failed:  # the one that is least sure
        case = bare[0] if bare else max(measured, key=lambda each: each.p or 0.0)
    if confidence is not None and not bare:
        p = max(each.p or 0.0 for each in measured)
    decision = _decide(case, p, confidence, correction)
    outcome, reason = ("failed", "") if failed else (decision.outcome, decision.reason)
    required = str(case.limit) + (f" with confidence {confidence:g}" if confidence else "")
    place = f"after {case.at} of {len(chain.edits)} edits" if case.at else "before the first edit"
    given = f"; {GIVEN}" if case.at else ""
    tested = f" (p={p:.2g}{correction or ''}{given})" if p is not None else ""
    lines = [f"{name} of {chain.name}: {reason}{case.shown} {place}, required {required}{tested}"]
    missed, places = ({case.at for case in cases} for cases in (failed, measured))
    if failed and len(places) > 1:
        lines.append(f"missed at {len(missed)} of {len(places)} checkpoints; the first is shown")
    if failed:
        lines += case.more
    return Verdict(
        check=name,
        outcome=outcome,
        observed=case.value,
        required=required,
        message="\n".join(lines),
        n=case.n,
        low=case.low,
        high=case.high,
        p=p,
        needs=None if failed else decision.needs,
        **corrected_fields(correction, p),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An outcome, what to say first of it, and how many edits or items it takes to decide."""

    outcome: str
    reason: str = ""
    needs: int | None = None

    @classmethod
    def undecided(cls, needs: Foreseen | None, unit: str, *, otherwise: str) -> Decision:
        """Leave it undecided and say how many edits or items it takes, or ``otherwise``."""
        reason = needs.text(unit) if needs else otherwise
        count = needs.count if needs else None
        return cls(outcome="undecided", reason=f"undecided: {reason}; ", needs=count)


def decide_by_p(
    p: float,
    level: float,
    correction: Correction | None,
    needs: Callable[[float], Foreseen | None],
    unit: str,
) -> Decision:
    """Decide by a p-value.

    Args:
        p: the p-value, not corrected.
        level: what the corrected one must not exceed.
        correction: of the p-value; by default, none.
        needs: how many edits, items or samples would bring the p-value down to a level.
        unit: which of these.
    """
    if (correction.p if correction else p) <= level:
        return Decision(outcome="passed")
    found = needs(level / (correction.factor if correction else 1.0))
    never = f"too close to the limit for any number of {unit} to decide"
    return Decision.undecided(found, unit, otherwise=never)


def _decide(
    case: Case, p: float | None, confidence: float | None, correction: Correction | None
) -> Decision:
    """Decide whether a number that is within its limit passes, by its confidence."""
    if confidence is None:
        return Decision(outcome="passed")
    if p is None:
        reason = "undecided: a confidence needs scores between 0 and 1; "
        return Decision(outcome="undecided", reason=reason)
    return decide_by_p(p, rest(confidence), correction, case.needs, case.unit)
