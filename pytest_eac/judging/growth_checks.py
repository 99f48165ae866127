"""Verdicts on how a chain's deviation grows."""

import math
from dataclasses import replace

from pytest_eac.judging.growth import Growth
from pytest_eac.judging.growth_texts import MISSING, doubts, interval, reading, shapes
from pytest_eac.judging.hypotheses import Correction, GrowthClaim, rest
from pytest_eac.judging.limits import Case, Limit, undecided, verdict
from pytest_eac.records.run import Chain, Verdict
from pytest_eac.spec.schema.deviation import GrowthBounds
from pytest_eac.stats.dependence import SHORTEST_REGIME
from pytest_eac.stats.growth import FEWEST_STEPS, p_reaches
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.trends import FEWEST_VALUES, onset, trend

COLLAPSE_FACTOR = 2.0
"""Once a collapse has begun, steps are at least this many times as large."""
_ALARM = 0.05
"""The level of an alarm without a confidence."""


def judge_growth(
    chain: Chain,
    name: str,
    limits: GrowthBounds,
    found: Growth,
    correction: Correction | None = None,
) -> Verdict:
    """Judge one of the checks of ``growth``.

    A confidence in an exponent or a slope is a claim like that of other checks. The other two are
    alarms: they are never corrected, for that would silence them the more the more is checked.

    Args:
        chain: what was measured.
        name: the check.
        limits: what must hold.
        found: how the chain's deviation grows.
        correction: of its p-value, for the other checks of the chain.
    """
    alarm = _ALARM if limits.confidence is None else rest(limits.confidence)
    alarms = {
        "deviation-acceleration": "no acceleration",
        "deviation-collapse": f"no collapse before edit {limits.no_collapse_before}",
    }
    if name in alarms and found.sizes is None:
        return undecided(name, f"{name} of {chain.name}: undecided: {MISSING}", alarms[name])
    if name == "deviation-acceleration":
        return _acceleration(chain, name, found, alarm)
    if name == "deviation-collapse":
        return _collapse(chain, name, found, limits.no_collapse_before or 1, alarm)
    case = _exponent(found, limits) if name == "deviation-exponent" else _slope(found, limits)
    if case.value is None:
        return undecided(name, f"{name} of {chain.name}: {_no_fit(found)}", str(case.limit))
    judged = verdict(chain, name, [case], confidence=limits.confidence, correction=correction)
    more = [*reading(found), shapes(found)] if name == "deviation-exponent" else []
    return replace(judged, message="\n".join([judged.message, *more, *doubts(found)]))


def _exponent(found: Growth, limits: GrowthBounds) -> Case:
    limit = Limit(low=None, high=limits.max_exponent)
    power = found.power
    if power is None:
        return Case(at=0, value=None, shown="", limit=limit)
    number = Interval(value=power.parameter, low=power.low, high=power.high)
    p = p_reaches(found.series, power, limits.max_exponent or 0.0)
    return _case(found, number, limit, p, power.dependence.mean_freedom)


def _slope(found: Growth, limits: GrowthBounds) -> Case:
    limit = Limit(low=None, high=limits.max_slope, unit=f" of ||W_0|| per edit ({found.norm})")
    slope = found.slope
    if slope is None:
        return Case(at=0, value=None, shown="", limit=limit)
    return _case(found, slope, limit, slope.p_reaches(limits.max_slope or 0.0), slope.freedom)


def _case(found: Growth, number: Interval, limit: Limit, p: float, freedom: float) -> Case:
    edits = found.series.at[-1]
    batches = f", {found.updates} updates" if found.updates != edits else ""
    return Case(
        at=edits,
        value=number.value,
        shown=f"{limit.digits(number.value, 'g', 3)} ({interval(found, number)}{batches})",
        limit=limit,
        low=number.low,
        high=number.high,
        claims=(GrowthClaim(p=p, updates=found.updates, edits=edits, freedom=freedom),),
    )


def _no_fit(found: Growth) -> str:
    if not found.series.total or found.series.total[-1] <= 0:
        return "undecided: the weights have not moved"
    if found.updates < FEWEST_STEPS:
        return f"undecided: {_more(found, FEWEST_STEPS)}"
    return "undecided: the deviation follows neither a power law nor an exponential"


def _more(found: Growth, updates: int) -> str:
    """Say about how many edits make this many updates."""
    done = found.updates
    each = found.series.at[-1] / done if done else 1
    return f"needs about {math.ceil(updates * each)} edits"


def _acceleration(chain: Chain, name: str, found: Growth, alarm: float) -> Verdict:
    required, head, seen = "no acceleration", f"{name} of {chain.name}: ", found.trend
    if seen is None or seen.smallest_p > alarm:
        return undecided(name, f"{head}undecided: {_more(found, _rising(alarm))}", required)
    failed = seen.p <= alarm
    says = "later edits make larger steps" if failed else "none seen"
    text = (
        f"{head}{says} (sizes of {found.updates} steps: correlation with time "
        f"{seen.correlation:.2f}, one-sided p={seen.p:.2g}, level {alarm:.3g})"
    )
    return _alarm(name, found, text, required, failed=failed, observed=seen.correlation)


def _collapse(chain: Chain, name: str, found: Growth, before: int, alarm: float) -> Verdict:
    required, head = f"no collapse before edit {before}", f"{name} of {chain.name}: "
    seen = found.onset
    if seen is not None and seen.p <= alarm and seen.factor >= COLLAPSE_FACTOR:
        first = found.first_of(seen.index)
        text = (
            f"{head}from edit {first} on, steps are {seen.factor:.1f} times as large as before "
            f"(p={seen.p:.2g}, level {alarm:.3g}), required {required}"
        )
        return _alarm(name, found, text, required, failed=first < before, observed=float(first))
    if seen is None or seen.smallest_p > alarm:
        return undecided(name, f"{head}undecided: {_more(found, _regimes(alarm))}", required)
    needed = _updates_for(found, before)
    if found.updates < needed:
        why = f"undecided: a collapse shows {SHORTEST_REGIME} updates after it begins"
        return undecided(name, f"{head}{why}: {_more(found, needed)}", required)
    text = (
        f"{head}none seen in {len(chain.per_edit)} edits (p={seen.p:.2g} for the clearest rise, "
        f"level {alarm:.3g}), required {required}"
    )
    return _alarm(name, found, text, required, failed=False, observed=None)


def _alarm(
    name: str, found: Growth, text: str, required: str, *, failed: bool, observed: float | None
) -> Verdict:
    return Verdict(
        check=name,
        outcome="failed" if failed else "passed",
        observed=observed,
        required=required,
        message="\n".join([text, *doubts(found)]),
    )


def _updates_for(found: Growth, before: int) -> int:
    """Return how many updates it takes to see even the latest collapse before an edit."""
    each = found.series.at[-1] / found.updates if found.updates else 1.0
    return max(1, math.ceil((before - 1) / each)) + SHORTEST_REGIME - 1


def _rising(alarm: float) -> int:
    """Return how many updates it takes for a steady rise to be noticed."""
    for count in range(FEWEST_VALUES, 200):
        found = trend(range(count))
        if found is not None and found.smallest_p <= alarm:
            return count
    return 200


def _regimes(alarm: float) -> int:
    """Return how many updates it takes for two regimes that do not overlap to be noticed."""
    for count in range(2 * SHORTEST_REGIME, 200):
        found = onset(range(count))
        if found is not None and found.smallest_p <= alarm:
            return count
    return 200
