"""Verdicts on how a chain's deviation grows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_eac.judging.growth import USUAL_CONFIDENCE, Growth, growth
from pytest_eac.judging.limits import Limit, undecided
from pytest_eac.record import Chain, Verdict
from pytest_eac.stats.growth import FEWEST_STEPS
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.trends import SHORTEST_REGIME, onset

if TYPE_CHECKING:
    from pytest_eac.spec.checks import DeviationBounds
    from pytest_eac.spec.growth import GrowthBounds

COLLAPSE_FACTOR = 2.0
"""An edit moves the weights at least so many times as much, once a collapse has begun."""
_ALIKE = 2.0
_MOST_NEEDED = 100
"""Times the edits that ran; beyond that, an estimate of how many are needed says nothing."""


def judge_growth(chain: Chain, name: str, bounds: DeviationBounds, limits: GrowthBounds) -> Verdict:
    """Judge one of the checks of ``growth``.

    With a confidence, an exponent or a slope passes when its one-sided bound does. The ends of an
    interval of level ``2 confidence - 1`` are these bounds.
    """
    level = limits.confidence
    found = growth(chain, bounds.norm, confidence=2 * level - 1 if level else USUAL_CONFIDENCE)
    if name == "deviation-exponent":
        power = found.power
        number = Interval(value=power.parameter, low=power.low, high=power.high) if power else None
        limit = Limit(low=None, high=limits.max_exponent)
        return _number(chain, name, found, number=number, limit=limit, confidence=level)
    if name == "deviation-slope":
        unit = f" of ||W_0|| per edit ({bounds.norm})"
        limit = Limit(low=None, high=limits.max_slope, unit=unit)
        return _number(chain, name, found, number=found.slope, limit=limit, confidence=level)
    alarm = 1 - (level or USUAL_CONFIDENCE)
    if name == "deviation-acceleration":
        return _acceleration(chain, name, found, alarm)
    return _collapse(chain, name, found, limits.no_collapse_before or 1, alarm)


def outlook(chain: Chain, bounds: DeviationBounds) -> list[str]:
    """Say when a relative limit that still holds will be crossed, where that can be said."""
    if bounds.max_relative is None:
        return []
    found = growth(chain, bounds.norm)
    crossing = found.crossing(bounds.max_relative)
    if crossing is None:
        return []
    high = f"to {crossing.high}" if crossing.high else f"to beyond {crossing.horizon}"
    return [
        f"if it goes on so, {bounds.max_relative:g} is crossed after about {crossing.at} edits "
        f"(95% interval {crossing.low} {high}; {_weights(found)})"
    ]


def _weights(found: Growth) -> str:
    return ", ".join(f"{one.shape} {one.weight:.0%}" for one in found.fits)


def _number(
    chain: Chain,
    name: str,
    found: Growth,
    *,
    number: Interval | None,
    limit: Limit,
    confidence: float | None,
) -> Verdict:
    """Hold an exponent or a slope against its limit."""
    if number is None:
        return undecided(name, f"{name} of {chain.name}: {_no_fit(found)}", str(limit))
    seen = (
        f"{limit.digits(number.value, 'g', 3)} ({_interval(found, number)}, "
        f"{found.updates} updates)"
    )
    outcome, why = "passed" if limit.allows(number.value) else "failed", ""
    if outcome == "passed" and confidence is not None:
        sure = number.high is not None and limit.allows(number.high)
        outcome = "passed" if sure else "undecided"
        why = "" if sure else f"undecided: {_needed(found, number, limit)}; "
    lines = [f"{name} of {chain.name}: {why}{seen}, required {limit}{_at(confidence)}"]
    if name == "deviation-exponent":
        lines.append(_shapes(found))
    return Verdict(
        check=name,
        outcome=outcome,
        observed=number.value if outcome != "undecided" else None,
        required=str(limit),
        message="\n".join([*lines, *_doubts(found)]),
    )


def _at(confidence: float | None) -> str:
    return f" with {confidence:g} confidence" if confidence else ""


def _interval(found: Growth, number: Interval) -> str:
    low = "below what is tried" if number.low is None else f"{number.low:.3g}"
    high = "above what is tried" if number.high is None else f"{number.high:.3g}"
    return f"{100 * found.confidence:.3g}% interval {low} to {high}"


def _needed(found: Growth, number: Interval, limit: Limit) -> str:
    """Say about how many edits would do: intervals shrink with the square root of their count."""
    room = (limit.high or 0.0) - number.value
    if number.high is not None and room > 0:
        times = ((number.high - number.value) / room) ** 2
        if times <= _MOST_NEEDED:
            return f"needs about {math.ceil(times * found.series.at[-1])} edits"
    return "needs many more edits"


def _shapes(found: Growth) -> str:
    rate = found.exponential
    told = f"; exponential rate {rate.parameter:.3g} per edit" if rate else ""
    if rate and rate.low is not None and rate.high is not None:
        told += f" ({rate.low:.3g} to {rate.high:.3g})"
    return f"weights of the shapes (AICc): {_weights(found)}{told}"


def _doubts(found: Growth) -> list[str]:
    if found.alike is None or found.alike < _ALIKE:
        return []
    return [
        "edits next to one another move the weights alike, so that all of this is less certain "
        "than it looks; shuffle the edits"
    ]


def _no_fit(found: Growth) -> str:
    if not found.series.total or found.series.total[-1] <= 0:
        return "undecided: the weights have not moved"
    if found.updates < FEWEST_STEPS:
        return f"undecided: {_more(found, FEWEST_STEPS)}"
    return "undecided: the deviation follows neither a power law nor an exponential"


def _more(found: Growth, updates: int) -> str:
    """Say about how many edits make so many updates."""
    done = found.updates
    each = found.series.at[-1] / done if done else 1
    return f"needs about {math.ceil(updates * each)} edits"


def _acceleration(chain: Chain, name: str, found: Growth, alarm: float) -> Verdict:
    required = "no acceleration"
    trend = found.trend
    if trend is None or trend.smallest_p > alarm:
        updates = next(n for n in range(2, 20) if 1 / math.factorial(n) <= alarm)
        text = f"{name} of {chain.name}: undecided: {_more(found, updates)}"
        return undecided(name, text, required)
    failed = trend.p <= alarm
    seen = "an edit moves the weights more the later it comes" if failed else "none seen"
    text = (
        f"{name} of {chain.name}: {seen} (Mann-Kendall on {found.updates} increments: "
        f"tau {trend.tau:.2f}, one-sided p={trend.p:.2g}, level {alarm:.3g})"
    )
    return Verdict(
        check=name,
        outcome="failed" if failed else "passed",
        observed=trend.tau,
        required=required,
        message="\n".join([text, *_doubts(found)]),
    )


def _collapse(chain: Chain, name: str, found: Growth, before: int, alarm: float) -> Verdict:
    required = f"no collapse before edit {before}"
    heading, done = f"{name} of {chain.name}: ", found.updates
    seen = found.onset
    clear = seen is not None and seen.p <= alarm and seen.factor >= COLLAPSE_FACTOR
    first = found.first_of(seen.index) if seen else None
    needed = _updates_for(found, before)
    if seen is not None and clear:
        text = (
            f"from edit {first} on, each moves the weights {seen.factor:.1f} times as much as "
            f"before (p={seen.p:.2g}, level {alarm:.3g}), required {required}"
        )
    elif seen is None or seen.smallest_p > alarm:
        return undecided(name, f"{heading}undecided: {_more(found, _regimes(alarm))}", required)
    elif done < needed:
        why = f"undecided: a collapse shows {SHORTEST_REGIME} updates after it begins"
        return undecided(name, f"{heading}{why}: {_more(found, needed)}", required)
    else:
        text = (
            f"none seen in {len(chain.per_edit)} edits (p={seen.p:.2g} for the clearest rise, "
            f"level {alarm:.3g}), required {required}"
        )
    failed = clear and first is not None and first < before
    return Verdict(
        check=name,
        outcome="failed" if failed else "passed",
        observed=float(first) if clear and first is not None else None,
        required=required,
        message="\n".join([heading + text, *_doubts(found)]),
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
