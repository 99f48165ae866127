"""Shapes that a running total may have, and how badly each fits."""

from typing import Any, Literal

import numpy as np

from pytest_eac.stats.series import Floats, Series

Shape = Literal["walk", "linear", "power", "exponential"]

FIXED = {"walk": 0.5, "linear": 1.0}
"""The exponents of the shapes that have no parameter."""
_EXPONENTS = (0.02, 8.0)
_LARGEST_TURN = 20.0
"""The most that an exponential shape may grow over a series, as a power of e."""


def parameter_bounds(shape: Shape, series: Series) -> tuple[float, float]:
    """Return the smallest and the largest parameter that is tried."""
    steepest = _LARGEST_TURN / series.at[-1]
    return (-steepest, steepest) if shape == "exponential" else _EXPONENTS


def log_steps(shape: Shape, parameter: Any, edges: Floats) -> Any:
    """Return the log of the steps of a shape with scale 1.

    Args:
        shape: which.
        parameter: one, or an array (g, 1); in a series of order 2, twice that of the totals.
        edges: (n + 1,), not negative, rising.

    Returns:
        An array (n,), or (g, n).
    """
    start, end = edges[:-1], edges[1:]
    if shape != "exponential":
        return np.log(end**parameter - start**parameter)
    turn = np.where(np.abs(parameter * (end - start)) < 1e-12, 1e-12, parameter * (end - start))
    return parameter * start + np.log((end - start) * np.expm1(turn) / turn)


def quasi_deviance(shape: Shape, series: Series, parameter: Any) -> Any:
    """Return twice ``sum(d / mu + log mu)`` over steps d, least over the scale, less a constant.

    That is the quasi-deviance for a standard deviation in proportion to the mean mu. It asks
    nothing else of the steps' distribution, and single steps may be zero or negative.

    Args:
        shape: which.
        series: the totals.
        parameter: one, or an array (g, 1).

    Source: Wedderburn (1974), "Quasi-likelihood functions"; McCullagh and Nelder (1989), ch. 9.
    """
    steps = series.steps
    log_mean = log_steps(shape, series.order * parameter, series.edges)
    scale = np.mean(steps * np.exp(-log_mean), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * (len(steps) * np.log(scale) + log_mean.sum(axis=-1))
    return np.where(scale > 0, found, np.inf)
