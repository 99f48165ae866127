"""Running totals made by hand: exact ones, and ones whose steps scatter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom, gamma, norm

from pytest_eac.stats.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def power(n: int, exponent: float) -> Floats:
    """The steps of t^b."""
    return np.diff(np.arange(n + 1.0) ** exponent)


def exponential(n: int, rate: float) -> Floats:
    """The steps of (e^(rt) - 1) / r."""
    return np.asarray(np.diff(np.expm1(rate * np.arange(n + 1.0)) / rate))


def scattered(means: Floats, cv: float, generator: np.random.Generator) -> Floats:
    """Independent positive steps with these means and coefficient of variation."""
    return means * generator.gamma(1 / cv**2, cv**2, len(means))


def resembling(means: Floats, cv: float, rho: float, generator: np.random.Generator) -> Floats:
    """Positive steps with these means, alike with their neighbours (a Gaussian copula)."""
    normal = generator.normal(size=len(means))
    for k in range(1, len(means)):
        normal[k] = rho * normal[k - 1] + np.sqrt(1 - rho**2) * normal[k]
    return np.asarray(means * gamma.ppf(norm.cdf(normal), 1 / cv**2, scale=cv**2))


def walked(sizes: Floats, *, order: int = 2) -> Series:
    """The norm of a walk whose steps of these sizes are at right angles to one another."""
    total = np.sqrt((sizes**2).cumsum())
    at = tuple(range(1, len(sizes) + 1))
    return Series(at=at, total=tuple(total.tolist()), order=order)


def total_of(steps: Floats, *, every: int = 1) -> Series:
    """The total after every k-th step."""
    at = range(every, len(steps) + 1, every)
    totals = np.cumsum(steps)
    return Series(at=tuple(at), total=tuple(float(totals[k - 1]) for k in at))


def usual(runs: int, share: float) -> tuple[int, int]:
    """How many of so many runs come out, but for one simulation in a thousand."""
    return int(binom.ppf(0.0005, runs, share)), int(binom.ppf(0.9995, runs, share))
