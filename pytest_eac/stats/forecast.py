"""After how many edits a running total will cross a limit, if it goes on as it has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_eac.stats.dependence import RHO
from pytest_eac.stats.growth import Fit
from pytest_eac.stats.series import Floats, Series, batches
from pytest_eac.stats.shapes import log_steps, parameter_bounds, quasi_deviance

FEWEST_STEPS = 8
HORIZON = 10
"""How far a forecast looks, in multiples of the edits that ran."""
_PATHS = 1000
_POINTS = 150
_GRID = 400
_TAIL = 2.5
"""How many times as wide as its interval a parameter is drawn."""


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
    leave open, and steps that scatter, and resemble their neighbours, as they have so far. The
    interval holds the share
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
    left = limit**series.order - series.total[-1] ** series.order
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
    """Draw (many, len(ahead)) changes of the total from ``ahead[0]`` on to each count.

    In a series of order 2, of its square. Errors that neighbours share last: over many steps, their
    variance grows by ``(1 + rho) / (1 - rho)``.
    """
    expected = _expected(series, fitted, ahead, many, generator)
    n, dependence = len(fitted.residuals), fitted.dependence
    rho = generator.choice(RHO, (many, 1), p=dependence.weights)
    lasting = np.sqrt((1 + rho) / (1 - rho))
    spread = math.sqrt(fitted.dispersion / n) * lasting
    level = 1 + spread * generator.standard_t(fitted.freedom, (many, 1))
    residuals = np.array(fitted.residuals) - 1
    noise = generator.choice(residuals * math.sqrt(n / fitted.freedom), expected.shape)
    # A step ahead may span several updates, whose scatter averages out.
    updates = np.diff(ahead) * n / series.at[-1]
    noise = lasting * noise / np.sqrt(np.maximum(updates, 1))
    steps = expected * np.maximum(level, 0) * (1 + noise)
    return np.hstack([np.zeros((many, 1)), steps.cumsum(axis=1)])


def _expected(
    series: Series, fitted: Fit, ahead: Floats, many: int, generator: np.random.Generator
) -> Floats:
    """Draw what a shape may expect of later steps: (many, len(ahead) - 1).

    Parameters are drawn in proportion to ``(1 + rise / (dispersion f))^(-(f + 1) / 2)``, with the
    rise of the deviance above its least and f degrees of freedom: Student's t where the deviance is
    a parabola. Each has the scale that fits the steps so far.
    """
    if fitted.shape in {"walk", "linear"}:
        return np.tile(fitted.expected(ahead), (many, 1))
    bounds = parameter_bounds(fitted.shape, series)
    low = bounds[0] if fitted.low is None else fitted.low
    high = bounds[1] if fitted.high is None else fitted.high
    low = max(bounds[0], fitted.parameter - _TAIL * (fitted.parameter - low))
    high = min(bounds[1], fitted.parameter + _TAIL * (high - fitted.parameter))
    grid = np.linspace(low, high, _GRID)[:, None]
    edges, shape, order = series.edges, fitted.shape, series.order
    parts = list(batches(_GRID, len(series.at)))
    deviances = [quasi_deviance(shape, series, grid[part]) for part in parts]
    rise = np.maximum(np.concatenate(deviances) - fitted.criterion, 0)
    freedom, error = fitted.freedom, fitted.dispersion * fitted.dependence.mean_inflation
    density = (1 + rise / (error * freedom)) ** (-(freedom + 1) / 2)
    chosen = generator.choice(_GRID, many, p=density / density.sum())
    scale = np.concatenate(
        [
            np.mean(series.steps * np.exp(-log_steps(shape, order * grid[part], edges)), axis=-1)
            for part in parts
        ]
    )[chosen]
    return np.asarray(scale[:, None] * np.exp(log_steps(shape, order * grid[chosen], ahead)))


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
