"""A chain's record against the limits of its spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_eac.record import Chain, Checkpoint, Deviation, Measurement, Verdict
from pytest_eac.spec.schema import Bounds, Checks, DeviationBounds, Limits, NumberBounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN_MISSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    """A number that a check looks at; ``low`` and ``high`` are its interval where it has one."""

    at: int
    value: float | None
    n: int = 0
    interval: tuple[float | None, float | None] = (None, None)

    def shown(self, limit: _Limit) -> str:
        """Write the value with as many digits as it takes to see on which side of a limit it is."""
        if self.value is None:
            return "nothing to measure"
        low, high = self.interval
        kind, least = ("g", 4) if low is None or high is None else ("f", 3)
        texts = (f"{self.value:.{digits}{kind}}" for digits in range(least, 18))
        allowed = limit.allows(self.value)
        text = next(
            (text for text in texts if limit.allows(float(text)) == allowed), f"{self.value!r}"
        )
        if low is None or high is None:
            return text
        return f"{text} (n={self.n} edits, 95% interval {low:.2f} to {high:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """One bound: a value passes when it is finite and on the right side."""

    low: float | None
    high: float | None
    unit: str = ""

    def allows(self, value: float) -> bool:
        above = self.low is None or value >= self.low
        below = self.high is None or value <= self.high
        return above and below

    def __str__(self) -> str:
        parts = [f"at least {self.low:g}"] if self.low is not None else []
        parts += [f"at most {self.high:g}"] if self.high is not None else []
        return " and ".join(parts) + self.unit


def judge(chain: Chain, checks: Checks) -> tuple[Verdict, ...]:
    """Judge a recorded chain; needs no model.

    Returns:
        One verdict per check, in the order of the checks. ``undecided`` means that the record holds
        nothing that could pass or fail.
    """
    return tuple(judge_one(chain, name, bounds) for name, bounds in checks.named())


def judge_one(chain: Chain, name: str, bounds: Limits | DeviationBounds) -> Verdict:
    """Judge one check of a chain."""
    if isinstance(bounds, DeviationBounds):
        return _verdict(chain, name, _deviation_cases(chain, bounds))
    limit = _Limit(low=bounds.min, high=bounds.max)
    if not isinstance(bounds, Bounds | NumberBounds):
        return _verdict(chain, name, [(_observe(0, chain.known), limit, chain.known)])
    cases = []
    for checkpoint in _chosen(chain, bounds.at):
        measurement = (
            checkpoint.metrics[name]
            if isinstance(bounds, NumberBounds)
            else getattr(checkpoint, name)
        )
        cases.append((_observe(checkpoint.at, measurement), limit, measurement))
    return _verdict(chain, name, cases)


def _chosen(chain: Chain, at: int | str) -> Sequence[Checkpoint]:
    if at == "final":
        return chain.checkpoints[-1:]
    if at == "every":
        return chain.checkpoints
    return [checkpoint for checkpoint in chain.checkpoints if checkpoint.at == at]


def _observe(at: int, measured: Measurement) -> _Observed:
    return _Observed(
        at=at, value=measured.value, n=measured.n, interval=(measured.low, measured.high)
    )


Case = tuple[_Observed, _Limit, Measurement | None]


def _deviation_cases(chain: Chain, bounds: DeviationBounds) -> list[Case]:
    relative = _Limit(
        low=bounds.min_relative, high=bounds.max_relative, unit=f" of ||W_0|| ({bounds.norm})"
    )
    absolute = _Limit(low=bounds.min, high=bounds.max, unit=f" ({bounds.norm})")
    cases: list[Case] = []
    for checkpoint in _chosen(chain, bounds.at):
        deviation: Deviation = checkpoint.deviation
        for limit, field in ((relative, f"{bounds.norm}_relative"), (absolute, bounds.norm)):
            if limit.low is not None or limit.high is not None:
                value = float(getattr(deviation, field))
                cases.append((_Observed(at=checkpoint.at, value=value), limit, None))
    return cases


def _verdict(chain: Chain, name: str, cases: Iterable[Case]) -> Verdict:
    """Turn what was observed at one or more checkpoints into one verdict: the worst one counts."""
    cases = list(cases)
    measured = [case for case in cases if case[0].value is not None]
    if not measured:
        reason = "no such checkpoint in this run" if not cases else "nothing to measure it on"
        required = str(cases[0][1]) if cases else ""
        return Verdict(
            check=name,
            outcome="undecided",
            observed=None,
            required=required,
            message=f"{name}: undecided: {reason}",
        )
    failed = [case for case in measured if not case[1].allows(case[0].value or 0.0)]
    observed, limit, measurement = (failed or measured)[0 if failed else -1]
    shown = observed.shown(limit)
    lines = [f"{name} of {chain.name}: {shown}{_place(chain, observed)}, required {limit}"]
    missed, places = ({case[0].at for case in cases} for cases in (failed, measured))
    if failed and len(places) > 1:
        lines.append(f"missed at {len(missed)} of {len(places)} checkpoints; the first is shown")
    if failed and measurement is not None:
        lines += _explain_misses(chain, measurement, name)
    return Verdict(
        check=name,
        outcome="failed" if failed else "passed",
        observed=observed.value,
        required=str(limit),
        message="\n".join(lines),
    )


def _place(chain: Chain, observed: _Observed) -> str:
    if observed.at == 0:
        return " before the first edit"
    return f" after {observed.at} of {len(chain.edits)} edits"


def _explain_misses(chain: Chain, measurement: Measurement, name: str) -> list[str]:
    wanted = "before the edits" if name == "locality" else "expected"
    lines = []
    for miss in measurement.misses[:_SHOWN_MISSES]:
        edit = chain.edits[miss.edit]
        lines.append(
            f"  edit {miss.edit + 1} ({edit.origin}): {miss.prompt!r} -> {miss.got!r}, "
            f"{wanted} {miss.expected!r}"
        )
    more = len(measurement.misses) - _SHOWN_MISSES
    return [*lines, f"  and {more} more"] if more > 0 else lines
