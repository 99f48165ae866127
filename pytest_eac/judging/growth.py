"""How a chain's deviation grows from edit to edit."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from pytest_eac.records.run import Chain
from pytest_eac.stats.forecast import Crossing, forecast
from pytest_eac.stats.growth import Fit, fit, fits
from pytest_eac.stats.series import Series
from pytest_eac.stats.slopes import Slope, theil_sen
from pytest_eac.stats.trends import Onset, Trend, neighbours, onset, trend

Norm = Literal["l1", "frobenius"]

_UNRELATED = 0.1
"""Steps are unrelated if the squared deviation is their sum of squares, up to this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a chain's series of relative deviations, and of step sizes, says about its growth.

    Attributes:
        norm: of the deviation.
        series: the relative deviation after each update: after each edit, or each batch.
        fits: the shapes that were fitted, the likeliest first; empty where none could be.
        exponent: the power law of the Frobenius norm, whatever ``norm`` is; ``None`` without one.
        slope: Theil-Sen slope per edit with its interval; ``None`` without a fit.
        sizes: the size of each update's step: the Frobenius norm of its change of the weights, over
            the square root of its number of edits; ``None`` where the record lacks some.
        alignment: the last deviation over that of unrelated steps of these sizes (Frobenius): about
            1 if no step knows of the others, more if they point the same way; ``None`` without
            sizes.
        trend: of the sizes; ``None`` without them, or for too few updates.
        onset: where the sizes rise to a new level; likewise.
        alike: how much neighbouring updates resemble one another once the likeliest shape is taken
            out, in units of chance; ``None`` without a fit.
        confidence: the level of the intervals.
    """

    norm: Norm
    series: Series
    fits: tuple[Fit, ...]
    exponent: Fit | None
    slope: Slope | None
    sizes: tuple[float, ...] | None
    alignment: float | None
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

    @property
    def unrelated(self) -> bool:
        """Whether the steps point in unrelated directions."""
        return _are_unrelated(self.alignment)

    @property
    def updates(self) -> int:
        """How many updates there were."""
        return len(self.series.at)

    def crossing(self, limit: float) -> Crossing | None:
        """Forecast the edit count at which a relative deviation will be crossed, if that can be."""
        return forecast(self.series, self.fits, limit, confidence=self.confidence)

    def first_of(self, index: int) -> int:
        """Return the first edit of an update, both counted as users do: edits from 1."""
        return (0, *self.series.at)[index] + 1


def series_of(chain: Chain, norm: Norm) -> Series:
    """Return a chain's relative deviations, one per update.

    All are divided by one norm, that of the matrices edited by the end: divided by the norm of
    those edited so far, they would seem to fall when an update edits a further matrix.

    The squares of the Frobenius norm add up where steps are unrelated; otherwise, and in the L1
    norm, the totals are taken to add up themselves, which gives wider intervals.
    """
    at = _updates(chain)
    found = [chain.per_edit[k - 1].deviation for k in at]
    plain = [float(getattr(each, norm)) for each in found]
    shares = [float(getattr(each, f"{norm}_relative")) for each in found]
    bases = [total / share for total, share in zip(plain, shares, strict=True) if share]
    total = tuple(total / bases[-1] if bases else 0.0 for total in plain)
    squares_add_up = norm == "frobenius" and _are_unrelated(alignment(chain))
    return Series(at=at, total=total, order=2 if squares_add_up else 1)


def _are_unrelated(along: float | None) -> bool:
    return along is not None and abs(along**2 - 1) <= _UNRELATED


def _updates(chain: Chain) -> tuple[int, ...]:
    """Return after how many edits each update was complete.

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
    return tuple(at)


def step_sizes(chain: Chain) -> tuple[float, ...] | None:
    """Return the Frobenius norm of each update's change of the weights.

    Returns:
        ``None`` where the record lacks some: an update without size after which the weights are
        elsewhere, as a method makes it that does not only return deltas.
    """
    costs = [chain.per_edit[k - 1] for k in _updates(chain)]
    places = [0.0, *(cost.deviation.frobenius for cost in costs)]
    moved = [after != before for before, after in pairwise(places)]
    if any(change and not cost.delta_norm for change, cost in zip(moved, costs, strict=True)):
        return None
    return tuple(float(cost.delta_norm) for cost in costs)


def alignment(chain: Chain) -> float | None:
    """Return the last deviation over that of unrelated steps: the root of their sum of squares.

    Returns:
        ``None`` where sizes are missing, or nothing has moved.
    """
    sizes = step_sizes(chain)
    if not sizes or not any(sizes):
        return None
    return float(chain.per_edit[-1].deviation.frobenius) / math.hypot(*sizes)


def growth(chain: Chain, norm: Norm = "l1", *, confidence: float | None = None) -> Growth:
    """Describe how a recorded chain's deviation grows; needs no model.

    Args:
        chain: the record.
        norm: of the deviation.
        confidence: the level of the intervals, in (0, 1); by default that of the chain's others.
    """
    confidence = chain.confidence if confidence is None else confidence
    series = series_of(chain, norm)
    fitted = fits(series, confidence=confidence)
    found = Growth(
        norm=norm,
        series=series,
        fits=fitted,
        exponent=fit(series_of(chain, "frobenius"), "power", confidence=confidence),
        slope=theil_sen(series, fitted[0], confidence=confidence) if fitted else None,
        sizes=None,
        alignment=alignment(chain),
        trend=None,
        onset=None,
        alike=neighbours(fitted[0].residuals) if fitted else None,
        confidence=confidence,
    )
    sizes = step_sizes(chain)
    if sizes is None:
        return found
    # Unrelated edits of a batch add up in squares: a last batch of fewer edits is no fall.
    edits = [after - before for before, after in pairwise((0, *series.at))]
    scaled = tuple(size / math.sqrt(n) for size, n in zip(sizes, edits, strict=True))
    return replace(found, sizes=scaled, trend=trend(scaled), onset=onset(scaled))
