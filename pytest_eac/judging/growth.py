"""How a chain's deviation grows from edit to edit, and the verdicts on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_eac.judging.limits import Limit, undecided
from pytest_eac.record import Chain, Verdict
from pytest_eac.stats.forecast import Crossing, forecast
from pytest_eac.stats.growth import FEWEST_STEPS, Fit, fits
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.series import Series
from pytest_eac.stats.trends import (
    SHORTEST_REGIME,
    Onset,
    Trend,
    mann_kendall,
    neighbours,
    onset,
    theil_sen,
)

if TYPE_CHECKING:
    from pytest_eac.spec.checks import DeviationBounds
    from pytest_eac.spec.growth import GrowthBounds

Norm = Literal["l1", "frobenius"]

COLLAPSE_FACTOR = 2.0
"""An edit moves the weights at least so many times as much, once a collapse has begun."""
_USUAL_CONFIDENCE = 0.95
_ALIKE = 2.0
_MOST_NEEDED = 100
"""Times the edits that ran; beyond that, an estimate of how many are needed says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a chain's series of relative deviations says about its growth.

    Attributes:
        norm: of the deviation.
        series: the relative deviation after each update: after each edit, or each batch.
        fits: the shapes that were fitted, the likeliest first; empty where none could be.
        slope: Theil-Sen slope per edit with its interval; ``None`` without a fit.
        trend: of the increments per edit; ``None`` for a single update.
        onset: where the increments rise to a new level; ``None`` for too few updates.
        alike: how much the increments of neighbouring updates resemble one another once the
            likeliest shape is taken out, in units of chance; ``None`` without a fit.
        confidence: the level of the intervals.
    """

    norm: Norm
    series: Series
    fits: tuple[Fit, ...]
    slope: Interval | None
    trend: Trend | None
    onset: Onset | None
    alike: float | None
    confidence: float

    @property
    def power(self) -> Fit | None:
        """The power law, if it could be fitted; its parameter is the exponent."""
        return next((one for one in self.fits if one.shape == "power"), None)

    @property
    def exponential(self) -> Fit | None:
        """The exponential, if it could be fitted; its parameter is the rate per edit."""
        return next((one for one in self.fits if one.shape == "exponential"), None)

    def crossing(self, limit: float) -> Crossing | None:
        """Forecast the edit count at which a relative deviation will be crossed, if that can be."""
        return forecast(self.series, self.fits, limit, confidence=self.confidence)

    def first_of(self, index: int) -> int:
        """Return the first edit of an update, both counted as users do: edits from 1."""
        return (0, *self.series.at)[index] + 1


def series_of(chain: Chain, norm: Norm) -> Series:
    """Return a chain's relative deviations, one per update.

    Edits of a batch share their deviation and the size of their change. An edit that changes
    nothing is an update of its own.
    """
    at: list[int] = []
    for count, cost in enumerate(chain.per_edit, start=1):
        before = chain.per_edit[count - 2] if at else None
        shared = before is not None and (before.deviation, before.delta_norm) == (
            cost.deviation,
            cost.delta_norm,
        )
        if shared and cost.delta_norm:
            at[-1] = count
        else:
            at.append(count)
    totals = (float(getattr(chain.per_edit[k - 1].deviation, f"{norm}_relative")) for k in at)
    return Series(at=tuple(at), total=tuple(totals))


def growth(chain: Chain, norm: Norm = "l1", *, confidence: float = _USUAL_CONFIDENCE) -> Growth:
    """Describe how a recorded chain's deviation grows; needs no model.

    Args:
        chain: the record.
        norm: of the deviation.
        confidence: the level of the intervals, in (0, 1).
    """
    series = series_of(chain, norm)
    fitted = fits(series, confidence=confidence)
    pace = series.pace.tolist()
    return Growth(
        norm=norm,
        series=series,
        fits=fitted,
        slope=theil_sen(series, fitted[0], confidence=confidence) if fitted else None,
        trend=mann_kendall(pace),
        onset=onset(pace),
        alike=neighbours(fitted[0].residuals) if fitted else None,
        confidence=confidence,
    )


def judge_growth(chain: Chain, name: str, bounds: DeviationBounds, limits: GrowthBounds) -> Verdict:
    """Judge one of the checks of ``growth``.

    With a confidence, an exponent or a slope passes when its one-sided bound does. The ends of an
    interval of level ``2 confidence - 1`` are these bounds.
    """
    level = limits.confidence
    found = growth(chain, bounds.norm, confidence=2 * level - 1 if level else _USUAL_CONFIDENCE)
    if name == "deviation-exponent":
        power = found.power
        number = power and Interval(value=power.parameter, low=power.low, high=power.high)
        limit = Limit(low=None, high=limits.max_exponent)
        return _number(chain, name, found, number, limit, level)
    if name == "deviation-slope":
        unit = f" of ||W_0|| per edit ({bounds.norm})"
        limit = Limit(low=None, high=limits.max_slope, unit=unit)
        return _number(chain, name, found, found.slope, limit, level)
    alarm = 1 - (level or _USUAL_CONFIDENCE)
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
    number: Interval | None,
    limit: Limit,
    confidence: float | None,
) -> Verdict:
    """Hold an exponent or a slope against its limit."""
    if number is None:
        return undecided(name, f"{name} of {chain.name}: {_no_fit(found)}", str(limit))
    seen = (
        f"{limit.digits(number.value, 'g', 3)} ({_interval(found, number)}, "
        f"{len(found.series.at)} updates)"
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
    return f"{found.confidence:.3g} interval {low} to {high}"


def _needed(found: Growth, number: Interval, limit: Limit) -> str:
    """Say about how many edits would do: intervals shrink with the square root of their count."""
    room = (limit.high or 0.0) - number.value
    if number.high is not None and room > 0:
        times = ((number.high - number.value) / room) ** 2
        if times <= _MOST_NEEDED:
            return f"needs about {math.ceil(times * found.series.at[-1])} edits"
    return "too near to the limit for any number of edits to tell"


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
    if len(found.series.at) < FEWEST_STEPS:
        return f"undecided: {_more(found, FEWEST_STEPS)}"
    return "undecided: the deviation follows neither a power law nor an exponential"


def _more(found: Growth, updates: int) -> str:
    """Say about how many edits make so many updates."""
    done = len(found.series.at)
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
        f"{name} of {chain.name}: {seen} (Mann-Kendall on {len(found.series.at)} increments: "
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
    heading, done = f"{name} of {chain.name}: ", len(found.series.at)
    seen = found.onset
    clear = seen is not None and seen.p <= alarm and seen.factor >= COLLAPSE_FACTOR
    first = found.first_of(seen.index) if seen else None
    late = sum(found.first_of(index) >= before - 1 for index in range(done))
    if seen is not None and clear:
        text = (
            f"from edit {first} on, each moves the weights {seen.factor:.1f} times as much as "
            f"before (p={seen.p:.2g}, level {alarm:.3g}), required {required}"
        )
    elif seen is None or seen.smallest_p > alarm:
        return undecided(name, f"{heading}undecided: {_more(found, _regimes(alarm))}", required)
    elif late < SHORTEST_REGIME:
        short = done + SHORTEST_REGIME - late
        why = f"undecided: a collapse shows {SHORTEST_REGIME} updates after it begins"
        return undecided(name, f"{heading}{why}: {_more(found, short)}", required)
    else:
        text = (
            f"none seen in {len(chain.per_edit)} edits (clearest rise at edit {first}, "
            f"{seen.factor:.1f} times, p={seen.p:.2g}, level {alarm:.3g}), required {required}"
        )
    failed = clear and first is not None and first < before
    return Verdict(
        check=name,
        outcome="failed" if failed else "passed",
        observed=float(first) if clear and first is not None else None,
        required=required,
        message="\n".join([heading + text, *_doubts(found)]),
    )


def _regimes(alarm: float) -> int:
    """Return how many updates it takes for two regimes that do not overlap to be noticed."""
    for count in range(2 * SHORTEST_REGIME, 200):
        found = onset(list(range(count)))
        if found is not None and found.smallest_p <= alarm:
            return count
    return 200
