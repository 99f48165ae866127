"""Verdicts on how a chain's deviation grows."""

import math
from dataclasses import replace

from pytest_eac.judging.growth import Growth
from pytest_eac.judging.hypotheses import Correction, GrowthClaim, rest
from pytest_eac.judging.limits import Case, Limit, undecided, verdict
from pytest_eac.records.run import Chain, Verdict
from pytest_eac.spec.schema.deviation import DeviationBounds, GrowthBounds
from pytest_eac.stats.growth import FEWEST_STEPS, p_reaches
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.trends import SHORTEST_REGIME, onset

COLLAPSE_FACTOR = 2.0
"""Once a collapse has begun, an edit moves the weights at least this many times as much."""
_ALARM = 0.05
"""The level of an alarm without a confidence."""
_ALIKE = 2.0


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
    if name == "deviation-acceleration":
        return _acceleration(chain, name, found, alarm)
    if name == "deviation-collapse":
        return _collapse(chain, name, found, limits.no_collapse_before or 1, alarm)
    case = _exponent(found, limits) if name == "deviation-exponent" else _slope(found, limits)
    if case.value is None:
        return undecided(name, f"{name} of {chain.name}: {_no_fit(found)}", str(case.limit))
    judged = verdict(chain, name, [case], confidence=limits.confidence, correction=correction)
    shapes = [_shapes(found)] if name == "deviation-exponent" else []
    return replace(judged, message="\n".join([judged.message, *shapes, *_doubts(found)]))


def _exponent(found: Growth, limits: GrowthBounds) -> Case:
    limit = Limit(low=None, high=limits.max_exponent)
    power = found.power
    if power is None:
        return Case(at=0, value=None, shown="", limit=limit)
    number = Interval(value=power.parameter, low=power.low, high=power.high)
    p = p_reaches(found.series, power, limits.max_exponent or 0.0)
    return _case(found, number, limit, p, power.freedom)


def _slope(found: Growth, limits: GrowthBounds) -> Case:
    limit = Limit(low=None, high=limits.max_slope, unit=f" of ||W_0|| per edit ({found.norm})")
    slope = found.slope
    if slope is None:
        return Case(at=0, value=None, shown="", limit=limit)
    return _case(found, slope, limit, slope.p_reaches(limits.max_slope or 0.0), slope.freedom)


def _case(found: Growth, number: Interval, limit: Limit, p: float, freedom: int) -> Case:
    edits = found.series.at[-1]
    batches = f", {found.updates} updates" if found.updates != edits else ""
    return Case(
        at=edits,
        value=number.value,
        shown=f"{limit.digits(number.value, 'g', 3)} ({_interval(found, number)}{batches})",
        limit=limit,
        low=number.low,
        high=number.high,
        claims=(GrowthClaim(p=p, updates=found.updates, edits=edits, freedom=freedom),),
    )


def outlook(bounds: DeviationBounds, found: Growth) -> list[str]:
    """Say when a relative limit that still holds will be crossed, where that can be said."""
    if bounds.max_relative is None:
        return []
    crossing = found.crossing(bounds.max_relative)
    if crossing is None:
        return []
    high = f"to {crossing.high}" if crossing.high else f"to beyond {crossing.horizon}"
    return [
        f"if this continues, {bounds.max_relative:g} is crossed after about {crossing.at} edits "
        f"({_level(found)} interval {crossing.low} {high}; {_weights(found)})"
    ]


def _weights(found: Growth) -> str:
    return ", ".join(f"{one.shape} {one.weight:.0%}" for one in found.fits)


def _level(found: Growth) -> str:
    return f"{100 * found.confidence:.3g}%"


def _interval(found: Growth, number: Interval) -> str:
    low = "below the range tried" if number.low is None else f"{number.low:.3g}"
    high = "above the range tried" if number.high is None else f"{number.high:.3g}"
    return f"{_level(found)} interval {low} to {high}"


def _shapes(found: Growth) -> str:
    rate = found.exponential
    rates = f"; exponential rate {rate.parameter:.3g} per edit" if rate else ""
    if rate and rate.low is not None and rate.high is not None:
        rates += f" ({rate.low:.3g} to {rate.high:.3g})"
    return f"weights of the shapes (AICc): {_weights(found)}{rates}"


def _doubts(found: Growth) -> list[str]:
    if found.alike is None or found.alike < _ALIKE:
        return []
    return [
        "neighbouring edits move the weights by similar amounts, so these numbers are less "
        "certain than they look; shuffle the edits"
    ]


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
    required, head, trend = "no acceleration", f"{name} of {chain.name}: ", found.trend
    if trend is None or trend.smallest_p > alarm:
        updates = next(n for n in range(2, 20) if 1 / math.factorial(n) <= alarm)
        return undecided(name, f"{head}undecided: {_more(found, updates)}", required)
    failed = trend.p <= alarm
    seen = "an edit moves the weights more the later it comes" if failed else "none seen"
    text = (
        f"{head}{seen} (Mann-Kendall on {found.updates} increments: "
        f"tau {trend.tau:.2f}, one-sided p={trend.p:.2g}, level {alarm:.3g})"
    )
    return _alarm(name, found, text, required, failed=failed, observed=trend.tau)


def _collapse(chain: Chain, name: str, found: Growth, before: int, alarm: float) -> Verdict:
    required, head = f"no collapse before edit {before}", f"{name} of {chain.name}: "
    seen = found.onset
    if seen is not None and seen.p <= alarm and seen.factor >= COLLAPSE_FACTOR:
        first = found.first_of(seen.index)
        text = (
            f"{head}from edit {first} on, each moves the weights {seen.factor:.1f} times as much "
            f"as before (p={seen.p:.2g}, level {alarm:.3g}), required {required}"
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
        message="\n".join([text, *_doubts(found)]),
    )


def _updates_for(found: Growth, before: int) -> int:
    """Return how many updates it takes to see even the latest collapse before an edit."""
    each = found.series.at[-1] / found.updates if found.updates else 1.0
    return max(1, math.ceil((before - 1) / each)) + SHORTEST_REGIME - 1


def _regimes(alarm: float) -> int:
    """Return how many updates it takes for two regimes that do not overlap to be noticed."""
    for count in range(2 * SHORTEST_REGIME, 200):
        found = onset(list(range(count)))
        if found is not None and found.smallest_p <= alarm:
            return count
    return 200
