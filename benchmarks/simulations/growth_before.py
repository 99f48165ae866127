"""What was done about growth at first, for comparison: neighbouring increments as independent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy

from pytest_eac.stats.dependence import RHO, SHORTEST_REGIME, Dependence
from pytest_eac.stats.growth import fits
from pytest_eac.stats.shapes import parameter_bounds, quasi_deviance
from pytest_eac.stats.slopes import theil_sen

if TYPE_CHECKING:
    from pytest_eac.stats.growth import Fit
    from pytest_eac.stats.paired import Interval
    from pytest_eac.stats.series import Floats, Series

_ORDERS = 499


@dataclass(frozen=True, slots=True, kw_only=True)
class OldOnset:
    """A rise to a new level, by permutation."""

    factor: float
    p: float


def old_trend(increments: Floats) -> float:
    """Return the p-value of Mann and Kendall."""
    order = range(len(increments))
    return float(scipy.stats.kendalltau(order, increments, alternative="greater").pvalue)


def old_onset(increments: Floats, generator: np.random.Generator) -> OldOnset:
    """Return the clearest rise of increments and its p-value by permutation."""
    n = len(increments)
    before = np.arange(SHORTEST_REGIME, n - SHORTEST_REGIME + 1)

    def scores(ranks: Floats) -> Floats:
        sums = ranks.sum(axis=1, keepdims=True) - ranks.cumsum(axis=1)[:, before - 1]
        spread = np.sqrt(before * (n - before) * (n + 1) / 12)
        return np.asarray((sums - (n - before) * (n + 1) / 2) / spread)

    ranks = np.asarray(scipy.stats.rankdata(increments), dtype=float)
    own = scores(ranks[None])[0]
    shuffled = generator.permuted(np.tile(ranks, (_ORDERS, 1)), axis=1)
    count = int((scores(shuffled).max(axis=1) >= own.max() - 1e-9).sum())
    index = int(own.argmax()) + SHORTEST_REGIME
    low, high = increments[:index].mean(), increments[index:].mean()
    return OldOnset(factor=high / low if low > 0 else math.inf, p=(1 + count) / (1 + _ORDERS))


def old_interval(series: Series, fitted: Fit) -> tuple[float, float]:
    """Return the exponents that an F test of the quasi-deviance does not reject at 0.05."""
    freedom = fitted.freedom
    rise = fitted.dispersion * float(scipy.stats.f.ppf(0.95, 1, freedom))
    grid = np.linspace(*parameter_bounds("power", series), 4000)[:, None]
    inside = grid[quasi_deviance("power", series, grid) <= fitted.criterion + rise]
    return float(inside.min()), float(inside.max())


def old_slope(series: Series) -> Interval:
    """Return the slope with the interval of a bootstrap of single residuals."""
    best = next(each for each in fits(series) if each.shape != "walk")
    n, none = len(best.residuals), (0.0,) * (len(RHO) - 1)
    independent = Dependence(
        weights=(1.0, *none),
        inflation=(1.0,) * len(RHO),
        freedom=(float(best.freedom),) * len(RHO),
        spread=(math.sqrt(n / best.freedom),) * len(RHO),
    )
    return theil_sen(series, replace(best, dependence=independent))
