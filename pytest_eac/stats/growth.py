"""How a running total grows: shapes fitted to its steps.

The errors of a running total add up: what one step has too much, all later totals have. A fit to
the totals themselves, as if their errors were independent, gives intervals that are far too narrow.
Everything here is fitted to the steps between totals, which are taken to be independent, with a
standard deviation in proportion to their mean.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import scipy

from pytest_eac.stats.series import Floats, Series

Shape = Literal["linear", "power", "exponential"]

FEWEST_STEPS = 5
"""With fewer, the information criterion of a two-parameter shape is not defined."""

_EXPONENTS = (0.02, 8.0)
_LARGEST_TURN = 20.0
"""The most that an exponential shape may grow over a series, as a power of e."""
_LEAST_DISPERSION = 1e-8
"""Steps are differences of rounded totals: none is exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A shape that was fitted to the steps of a series.

    Attributes:
        shape: ``linear``: ``D(t) = a t``; ``power``: ``D(t) = a t^b``; ``exponential``:
            ``D(t) = a (e^(r t) - 1) / r``.
        parameter: the exponent b (1 for ``linear``) or the rate r per edit.
        low: lower end of the parameter's interval; ``None`` for ``linear``, and where the steps set
            no bound.
        high: its upper end.
        scale: a.
        dispersion: squared coefficient of variation of the steps about their expectation.
        residuals: each step over its expectation.
        criterion: the quasi-likelihood's deviance up to a constant, before dispersion.
        weight: of the shape among those fitted, between 0 and 1.
    """

    shape: Shape
    parameter: float
    low: float | None
    high: float | None
    scale: float
    dispersion: float
    residuals: tuple[float, ...]
    criterion: float
    weight: float = 1.0

    @property
    def freedom(self) -> int:
        """Degrees of freedom that the residuals have."""
        return len(self.residuals) - (1 if self.shape == "linear" else 2)

    def expected(self, edges: Floats) -> Floats:
        """Return the expected steps between ``edges``, one fewer than there are of these."""
        return np.asarray(self.scale * np.exp(log_steps(self.shape, self.parameter, edges)))


def log_steps(shape: Shape, parameter: Any, edges: Floats) -> Any:
    """Return the log of the steps of a shape with scale 1.

    Args:
        shape: which.
        parameter: one, or an array (g, 1).
        edges: (n + 1,), not negative, rising.

    Returns:
        An array (n,), or (g, n).
    """
    start, end = edges[:-1], edges[1:]
    if shape != "exponential":
        return np.log(end**parameter - start**parameter)
    turn = np.where(np.abs(parameter * (end - start)) < 1e-12, 1e-12, parameter * (end - start))
    return parameter * start + np.log((end - start) * np.expm1(turn) / turn)


def quasi_deviance(shape: Shape, steps: Floats, edges: Floats, parameter: Any) -> Any:
    """Return twice ``sum(d / mu + log mu)`` over steps d, least over the scale, less a constant.

    That is the quasi-deviance for a standard deviation in proportion to the mean mu. It asks
    nothing else of the steps' distribution, and single steps may be zero or negative.

    Source: Wedderburn (1974), "Quasi-likelihood functions"; McCullagh and Nelder (1989), ch. 9.
    """
    log_mean = log_steps(shape, parameter, edges)
    scale = np.mean(steps * np.exp(-log_mean), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * (len(steps) * np.log(scale) + log_mean.sum(axis=-1))
    return np.where(scale > 0, found, np.inf)


def fit(series: Series, shape: Shape, *, confidence: float = 0.95) -> Fit | None:
    """Fit a shape to the steps of a series.

    The interval holds the parameters that an F test of the quasi-deviance does not reject.

    Args:
        series: at least ``FEWEST_STEPS`` totals.
        shape: which.
        confidence: the level of the interval, in (0, 1).

    Returns:
        The fit; ``None`` where there are too few steps, or no shape fits better than the steepest
        or the flattest one that is tried.

    Source: McCullagh and Nelder (1989), sections 2.3 and 9.2.
    """
    steps, edges, n = series.steps, series.edges, len(series.at)
    if n < FEWEST_STEPS or series.total[-1] <= 0:
        return None
    deviance = partial(quasi_deviance, shape, steps, edges)
    parameter = 1.0
    bounds = parameter_bounds(shape, series)
    if shape != "linear":
        found = scipy.optimize.minimize_scalar(
            deviance, bounds=bounds, method="bounded", options={"xatol": 1e-7 * bounds[1]}
        )
        parameter = float(found.x)
        if min(parameter - bounds[0], bounds[1] - parameter) < 1e-3 * (bounds[1] - bounds[0]):
            return None
    least = float(deviance(parameter))
    if not np.isfinite(least):
        return None
    means = np.exp(log_steps(shape, parameter, edges))
    scale = float(np.mean(steps / means))
    residuals = steps / means / scale
    freedom = n - (1 if shape == "linear" else 2)
    dispersion = max(_LEAST_DISPERSION, float(np.sum((residuals - 1) ** 2)) / freedom)
    low = high = None
    if shape != "linear":
        rise = dispersion * float(scipy.stats.f.ppf(confidence, 1, freedom))
        low, high = _crossings(deviance, parameter, bounds, least + rise)
    return Fit(
        shape=shape,
        parameter=parameter,
        low=low,
        high=high,
        scale=scale,
        dispersion=dispersion,
        residuals=tuple(residuals.tolist()),
        criterion=least,
    )


def parameter_bounds(shape: Shape, series: Series) -> tuple[float, float]:
    """Return the smallest and the largest parameter that is tried."""
    steepest = _LARGEST_TURN / series.at[-1]
    return (-steepest, steepest) if shape == "exponential" else _EXPONENTS


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

    Student's t of the signed root of the statistic that gives ``fit`` its interval. So it is at
    most ``1 - c`` just where an interval of level ``2 c - 1`` ends at ``limit`` or before.

    Args:
        series: the totals.
        fitted: the shape that was fitted to them, with a parameter.
        limit: what is tested; beyond the steepest shape that is tried, that one is.
    """
    low, high = parameter_bounds(fitted.shape, series)
    tested = min(max(limit, low), high)
    least = float(quasi_deviance(fitted.shape, series.steps, series.edges, tested))
    root = math.sqrt(max(0.0, least - fitted.criterion) / fitted.dispersion)
    return float(scipy.stats.t.sf(math.copysign(root, limit - fitted.parameter), fitted.freedom))


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
    shapes: tuple[Shape, ...] = ("linear", "power", "exponential")
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
