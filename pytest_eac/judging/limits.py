"""Limits, what is held against them, and the verdict that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_eac.record import Chain, Checkpoint, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


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

    def __str__(self) -> str:
        parts = [f"at least {self.low:g}"] if self.low is not None else []
        parts += [f"at most {self.high:g}"] if self.high is not None else []
        return " and ".join(parts) + self.unit

    def digits(self, value: float, kind: str, least: int) -> str:
        """Write a value with as many digits as it takes to see on which side of the limit it is."""
        texts = (f"{value:.{digits}{kind}}" for digits in range(least, 18))
        allowed = self.allows(value)
        return next((text for text in texts if self.allows(float(text)) == allowed), f"{value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A number that a check looks at, and the limit for it.

    Attributes:
        at: after how many edits.
        value: the number; ``None`` where there is nothing to measure.
        shown: the number in words.
        limit: what it is held against.
        more: lines for a message that it fails with.
    """

    at: int
    value: float | None
    shown: str
    limit: Limit
    more: Sequence[str] = ()


def chosen(chain: Chain, at: int | str) -> Sequence[Checkpoint]:
    """Return the checkpoints that a check looks at."""
    if at == "final":
        return chain.checkpoints[-1:]
    if at == "every":
        return chain.checkpoints
    return [checkpoint for checkpoint in chain.checkpoints if checkpoint.at == at]


def undecided(name: str, message: str, required: str) -> Verdict:
    """Return the verdict on a check that the record cannot decide."""
    return Verdict(
        check=name, outcome="undecided", observed=None, required=required, message=message
    )


def verdict(chain: Chain, name: str, cases: Sequence[Case]) -> Verdict:
    """Turn what was observed at one or more checkpoints into one verdict: the worst one counts."""
    measured = [case for case in cases if case.value is not None]
    if not measured:
        reason = "no such checkpoint in this run" if not cases else "nothing to measure it on"
        required = str(cases[0].limit) if cases else ""
        return undecided(name, f"{name}: undecided: {reason}", required)
    failed = [case for case in measured if not case.limit.allows(case.value or 0.0)]
    case = (failed or measured)[0 if failed else -1]
    lines = [f"{name} of {chain.name}: {case.shown}{_place(chain, case)}, required {case.limit}"]
    missed, places = ({case.at for case in cases} for cases in (failed, measured))
    if failed and len(places) > 1:
        lines.append(f"missed at {len(missed)} of {len(places)} checkpoints; the first is shown")
    if failed:
        lines += case.more
    return Verdict(
        check=name,
        outcome="failed" if failed else "passed",
        observed=case.value,
        required=str(case.limit),
        message="\n".join(lines),
    )


def _place(chain: Chain, case: Case) -> str:
    if case.at == 0:
        return " before the first edit"
    return f" after {case.at} of {len(chain.edits)} edits"
