"""How a chain's deviation grows, in words."""

from pytest_eac.judging.growth import Growth
from pytest_eac.spec.schema.deviation import DeviationBounds
from pytest_eac.stats.paired import Interval

MISSING = (
    "the record has no size for some updates after which the weights have changed: a method must "
    "return all its changes as deltas"
)
_ALIKE = 2.0


def reading(found: Growth) -> list[str]:
    """Say what an exponent means, and in which directions the steps point."""
    fitted = found.exponent
    if fitted is None:
        return []
    means = (
        "0.5 means equal steps in unrelated directions; above 0.5, steps grow or point the same way"
    )
    if found.norm == "frobenius":
        lines = [f"an exponent of {means}"]
    else:
        ends = interval(found, Interval(value=fitted.parameter, low=fitted.low, high=fitted.high))
        lines = [f"exponent of the Frobenius norm: {fitted.parameter:.3g} ({ends}); {means}"]
    return [*lines, *directions(found)]


def directions(found: Growth) -> list[str]:
    """Say how far steps point the same way; nothing without their sizes."""
    if found.alignment is None:
        return []
    if found.unrelated:
        says = "the steps point in unrelated directions"
    elif found.alignment > 1:
        says = "the steps partly point the same way"
    else:
        says = "the steps partly undo one another"
    return [f"{says}: deviation {found.alignment:.3g} times that of unrelated steps of these sizes"]


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


def interval(found: Growth, number: Interval) -> str:
    """Write an interval, whose ends may be open, with its level."""
    low = "below the range tried" if number.low is None else f"{number.low:.3g}"
    high = "above the range tried" if number.high is None else f"{number.high:.3g}"
    return f"{_level(found)} interval {low} to {high}"


def shapes(found: Growth) -> str:
    """Say how likely each shape is, and the rate of the exponential."""
    rate = found.exponential
    rates = f"; exponential rate {rate.parameter:.3g} per edit" if rate else ""
    if rate and rate.low is not None and rate.high is not None:
        rates += f" ({rate.low:.3g} to {rate.high:.3g})"
    return f"weights of the shapes (AICc): {_weights(found)}{rates}"


def doubts(found: Growth) -> list[str]:
    """Say that neighbouring edits resemble one another, where they clearly do."""
    if found.alike is None or found.alike < _ALIKE:
        return []
    return [
        "neighbouring edits move the weights by similar amounts; the numbers allow for this, and "
        "are less certain for it: shuffle the edits"
    ]
