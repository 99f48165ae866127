"""How a running total grows: shapes fitted to its steps.

The errors of a running total add up: what one step has too much, all later totals have. A fit to
the totals themselves, as if their errors were independent, gives intervals that are far too narrow.
Everything here is fitted to the steps between totals, or between their squares, with a standard
deviation in proportion to their mean. Intervals and p-values allow for steps that resemble their
neighbours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy

from pytest_eac.stats.dependence import Dependence, dependence
from pytest_eac.stats.series import Floats, Series
from pytest_eac.stats.shapes import FIXED, Shape, log_steps, parameter_bounds, quasi_deviance

FEWEST_STEPS = 5
"""With fewer, the information criterion of a two-parameter shape is not defined."""

_LEAST_DISPERSION = 1e-8
"""Steps are differences of rounded totals: none is exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A shape that was fitted to the steps of a series.

    Attributes:
        shape: ``walk``: ``D(t) = a t^0.5``; ``linear``: ``D(t) = a t``; ``power``:
            ``D(t) = a t^b``; ``exponential``: ``D(t)^m = a (e^(m r t) - 1) / (m r)`` for a series
            of order m.
        parameter: the exponent b or the rate r per edit.
        low: lower end of the parameter's interval; ``None`` for ``walk`` and ``linear``, and where
            the steps set no bound.
        high: its upper end.
        scale: a, to the power of the series' order.
        order: of the series.
        dispersion: squared coefficient of variation of the steps about their expectation.
        residuals: each step over its expectation.
        criterion: the quasi-likelihood's deviance up to a constant, before dispersion.
        dependence: of the residuals on their neighbours, and what it does to the parameter's
            interval; for ``walk`` and ``linear``, to that of the scale.
        weight: of the shape among those fitted, between 0 and 1.
    """

    shape: Shape
    parameter: float
    low: float | None
    high: float | None
    scale: float
    order: int
    dispersion: float
    residuals: tuple[float, ...]
    criterion: float
    dependence: Dependence
    weight: float = 1.0

    @property
    def freedom(self) -> int:
        """Degrees of freedom that the residuals have."""
        return len(self.residuals) - (1 if self.shape in FIXED else 2)

    def expected(self, edges: Floats) -> Floats:
        """Return the expected steps between ``edges``, one fewer than there are of these."""
        steps = log_steps(self.shape, self.order * self.parameter, edges)
        return np.asarray(self.scale * np.exp(steps))

    def totals(self, edges: Floats) -> Floats:
        """Return the totals at ``edges``, which start at 0."""
        steps = np.concatenate([[0.0], self.expected(edges)])
        return np.asarray(steps.cumsum() ** (1 / self.order))


def fit(series: Series, shape: Shape, *, confidence: float = 0.95) -> Fit | None:
    """Fit a shape to the steps of a series.

    The interval holds the parameters that the signed root of the quasi-deviance, as a Student's t
    of dependent errors, does not reject.

    Args:
        series: at least ``FEWEST_STEPS`` totals.
        shape: which.
        confidence: the level of the interval, in (0, 1).

    Returns:
        The fit; ``None`` where there are too few steps, or no shape fits better than the steepest
        or the flattest one that is tried.

    Source: McCullagh and Nelder (1989), sections 2.3 and 9.2.
    """
    n = len(series.at)
    if n < FEWEST_STEPS or series.total[-1] <= 0:
        return None
    deviance = partial(quasi_deviance, shape, series)
    bounds = parameter_bounds(shape, series)
    parameter = FIXED.get(shape) or _least(deviance, bounds)
    least = np.inf if parameter is None else float(deviance(parameter))
    if parameter is None or not np.isfinite(least):
        return None
    means = np.exp(log_steps(shape, series.order * parameter, series.edges))
    scale = float(np.mean(series.steps / means))
    residuals = series.steps / means / scale
    found = Fit(
        shape=shape,
        parameter=parameter,
        low=None,
        high=None,
        scale=scale,
        order=series.order,
        dispersion=1.0,
        residuals=tuple(residuals.tolist()),
        criterion=least,
        dependence=dependence(residuals, _direction(shape, parameter, series)),
    )
    dispersion = max(_LEAST_DISPERSION, float(np.sum((residuals - 1) ** 2)) / found.freedom)
    if shape in FIXED:
        return replace(found, dispersion=dispersion)
    rise = dispersion * found.dependence.quantile((1 + confidence) / 2) ** 2
    low, high = _crossings(deviance, parameter, bounds, least + rise)
    return replace(found, dispersion=dispersion, low=low, high=high)


def _least(deviance: Callable[[Any], Any], bounds: tuple[float, float]) -> float | None:
    """Return where the deviance is least; ``None`` where that is at one of the bounds."""
    found = scipy.optimize.minimize_scalar(
        deviance, bounds=bounds, method="bounded", options={"xatol": 1e-7 * bounds[1]}
    )
    parameter = float(found.x)
    at_end = min(parameter - bounds[0], bounds[1] - parameter) < 1e-3 * (bounds[1] - bounds[0])
    return None if at_end else parameter


def _direction(shape: Shape, parameter: float, series: Series) -> Floats | None:
    """Return (n,) how the log of the steps changes with the parameter, less the mean of that."""
    if shape in FIXED:
        return None
    small = 1e-4 * parameter_bounds(shape, series)[1]
    tried = [series.order * (parameter + off) for off in (small, -small)]
    more, less = (log_steps(shape, each, series.edges) for each in tried)
    return np.asarray((more - less) - np.mean(more - less))


def _crossings(
    deviance: Callable[[float], Any], best: float, bounds: tuple[float, float], limit: float
) -> tuple[float | None, float | None]:
    """Return where the deviance reaches ``limit`` on either side of ``best``; ``None``: nowhere."""

    def above(parameter: float) -> float:
        return min(float(deviance(parameter)), limit + 1e6) - limit

    return (
        float(scipy.optimize.brentq(above, bounds[0], best)) if above(bounds[0]) > 0 else None,
        float(scipy.optimize.brentq(above, best, bounds[1])) if above(bounds[1]) > 0 else None,
    )


def p_reaches(series: Series, fitted: Fit, limit: float) -> float:
    """Return the p-value of the hypothesis that a shape's true parameter is ``limit`` or more.

    From the signed root of the statistic that gives ``fit`` its interval. So it is at
    most ``1 - c`` just where an interval of level ``2 c - 1`` ends at ``limit`` or before.

    Args:
        series: the totals.
        fitted: the shape that was fitted to them, with a parameter.
        limit: what is tested; beyond the steepest shape that is tried, that one is.
    """
    low, high = parameter_bounds(fitted.shape, series)
    tested = min(max(limit, low), high)
    least = float(quasi_deviance(fitted.shape, series, tested))
    root = math.sqrt(max(0.0, least - fitted.criterion) / fitted.dispersion)
    return fitted.dependence.p(math.copysign(root, limit - fitted.parameter))


def fits(series: Series, *, confidence: float = 0.95) -> tuple[Fit, ...]:
    """Fit all shapes; the likeliest first, each with its weight.

    Weights are Akaike's, from the quasi-likelihood's criterion for small samples,
    ``QAICc = deviance / dispersion + 2 K n / (n - K - 1)``, with the least dispersion of the fits
    for all of them, which counts as a parameter.

    Args:
        series: the totals.
        confidence: the level of the intervals, in (0, 1).

    Returns:
        The shapes that could be fitted; empty for fewer than ``FEWEST_STEPS`` steps.

    Source: Burnham and Anderson (2002), sections 2.5 and 2.9.
    """
    shapes: tuple[Shape, ...] = ("walk", "linear", "power", "exponential")
    found = [one for shape in shapes if (one := fit(series, shape, confidence=confidence))]
    if not found:
        return ()
    n, dispersion = len(series.at), min(one.dispersion for one in found)
    criteria = []
    for one in found:
        count = n - one.freedom + 1
        criteria.append(one.criterion / dispersion + 2 * count * n / (n - count - 1))
    relative = np.exp(-(np.array(criteria) - min(criteria)) / 2)
    weights = relative / relative.sum()
    weighted = [replace(one, weight=float(w)) for one, w in zip(found, weights, strict=True)]
    return tuple(sorted(weighted, key=lambda one: -one.weight))
