"""After how many edits a running total will cross a limit, if it goes on as it has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_eac.stats.growth import parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.stats.growth import Fit
    from pytest_eac.stats.series import Floats, Series

FEWEST_STEPS = 8
HORIZON = 10
"""How far a forecast looks, in multiples of the edits that ran."""
_PATHS = 1000
_POINTS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """The edit count at which a limit is crossed, with its interval.

    Attributes:
        at: the median.
        low: lower end of the interval.
        high: its upper end; ``None`` where that lies beyond the horizon.
        horizon: the edit count up to which was looked.
    """

    at: int
    low: int
    high: int | None
    horizon: int


def forecast(
    series: Series,
    fitted: Sequence[Fit],
    limit: float,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Crossing | None:
    """Return when a total that is still below ``limit`` will have crossed it.

    Futures are drawn: a shape by its weight, its parameter and scale from what the steps so far
    leave open, and steps that scatter as they have so far. The interval holds the share
    ``confidence`` of the futures, equal shares being left out on either side.

    Args:
        series: the totals so far.
        fitted: the shapes that were fitted to it, with their weights.
        limit: what is crossed.
        confidence: the level, in (0, 1).
        seed: of the futures.

    Returns:
        ``None`` where the steps cannot support a forecast: fewer than ``FEWEST_STEPS`` of them, a
        total beyond the limit already, or half of the futures not there after ``HORIZON`` times the
        edits so far.

    Source: Burnham and Anderson (2002), chapter 4, for averaging over models.
    """
    if len(series.at) < FEWEST_STEPS or not fitted or series.total[-1] > limit:
        return None
    generator = np.random.default_rng(seed)
    last, horizon = series.at[-1], HORIZON * series.at[-1]
    count = min(_POINTS, horizon - last) + 1
    ahead = np.linspace(last, horizon, count).round()
    counts = generator.multinomial(_PATHS, [one.weight for one in fitted])
    left = limit - series.total[-1]
    crossed = np.concatenate(
        [
            _first_beyond(ahead, _futures(series, one, ahead, many, generator), left)
            for one, many in zip(fitted, counts, strict=True)
        ]
    )
    crossed.sort()
    tail = (1 - confidence) / 2
    low, middle, high = (_rank(crossed, share) for share in (tail, 0.5, 1 - tail))
    if low is None or middle is None:
        return None
    return Crossing(at=middle, low=low, high=high, horizon=horizon)


def _futures(
    series: Series, fitted: Fit, ahead: Floats, many: int, generator: np.random.Generator
) -> Floats:
    """Draw (many, len(ahead)) changes of the total from ``ahead[0]`` on to each count."""
    expected = parameters(series, fitted, ahead, many, generator)
    n, freedom = len(fitted.residuals), fitted.freedom
    spread = math.sqrt(fitted.dispersion)
    level = 1 + spread / math.sqrt(n) * generator.standard_t(freedom, (many, 1))
    residuals = np.array(fitted.residuals) - 1
    noise = generator.choice(residuals * math.sqrt(n / freedom), expected.shape)
    # A step ahead may span several updates, whose scatter averages out.
    updates = np.diff(ahead) * n / series.at[-1]
    steps = expected * np.maximum(level, 0) * (1 + noise / np.sqrt(np.maximum(updates, 1)))
    return np.hstack([np.zeros((many, 1)), steps.cumsum(axis=1)])


def _first_beyond(ahead: Floats, totals: Floats, limit: float) -> Floats:
    """Return the count at which each row first exceeds the limit, between two by straight lines."""
    beyond = totals > limit
    first = beyond.argmax(axis=1)
    rows = np.arange(len(totals))
    end = totals[rows, first]
    before = np.maximum(first, 1) - 1
    start = totals[rows, before]
    share = (limit - start) / np.where(end > start, end - start, 1.0)
    found = ahead[before] + share * (ahead[first] - ahead[before])
    return np.where(beyond.any(axis=1), np.maximum(np.ceil(found), ahead[0] + 1), np.inf)


def _rank(crossed: Floats, share: float) -> int | None:
    found = float(crossed[min(len(crossed) - 1, int(share * len(crossed)))])
    return int(found) if math.isfinite(found) else None
