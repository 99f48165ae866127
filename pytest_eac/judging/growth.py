"""How a chain's deviation grows from edit to edit."""

from dataclasses import dataclass
from typing import Literal

from pytest_eac.records.run import Chain
from pytest_eac.stats.forecast import Crossing, forecast
from pytest_eac.stats.growth import Fit, fits
from pytest_eac.stats.series import Series
from pytest_eac.stats.trends import (
    Onset,
    Slope,
    Trend,
    mann_kendall,
    neighbours,
    onset,
    theil_sen,
)

Norm = Literal["l1", "frobenius"]


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
    slope: Slope | None
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
    found = [chain.per_edit[k - 1].deviation for k in at]
    plain = [float(getattr(each, norm)) for each in found]
    shares = [float(getattr(each, f"{norm}_relative")) for each in found]
    bases = [total / share for total, share in zip(plain, shares, strict=True) if share]
    return Series(at=tuple(at), total=tuple(total / bases[-1] if bases else 0.0 for total in plain))


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
