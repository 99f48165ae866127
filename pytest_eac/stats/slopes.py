"""How much an edit adds to a running total, typically, and how many edits show it."""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from pytest_eac.stats.dependence import RHO, drawn
from pytest_eac.stats.growth import Fit
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.series import Floats, Series, batches

_RESAMPLES = 399
_MOST_TIMES = 100
"""Beyond this many times the steps at hand, an estimate of how many are needed is useless."""
_MOST_POINTS = 60
"""Theil-Sen looks at all pairs: a longer series is read after every k-th step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope(Interval):
    """A slope with its interval and what that is made of.

    Attributes:
        error: standard error; of the slope's logarithm where the slope is positive.
        freedom: degrees of freedom of the error.
    """

    error: float
    freedom: float

    def p_reaches(self, limit: float) -> float:
        """Return the p-value of the hypothesis that the true slope is ``limit`` or more.

        At most ``1 - c`` just where the upper end of an interval of level ``2 c - 1`` is at most
        ``limit``.
        """
        if self.value <= 0:
            room = limit - self.value
        elif limit <= 0:
            return 1.0
        else:
            room = math.log(limit / self.value)
        if self.error == 0:
            return 0.0 if room >= 0 else 1.0
        return float(scipy.stats.t.sf(room / self.error, self.freedom))


def theil_sen(series: Series, fitted: Fit, *, confidence: float = 0.95, seed: int = 0) -> Slope:
    """Return the median slope between any two totals of a series, with its interval.

    Sen's own interval takes the totals' errors to be independent; those of a running total are
    not, and it would be far too narrow. This one comes from a bootstrap of the steps' residuals
    about a fitted shape: each resample is a series of its own, whose slope is taken in the same
    way, and whose neighbours resemble one another as those of the residuals may do (a Gaussian
    copula). Student's t with their standard deviation, on the scale of logarithms where the slope
    is positive: a small slope goes with small scatter, so that ends at equal distances would miss
    larger true slopes too often.

    Args:
        series: the totals; they start at 0, which is a point too.
        fitted: a shape that was fitted to this series.
        confidence: the level, in (0, 1).
        seed: of the resamples.

    Source: Theil (1950); Sen (1968); Davison and Hinkley (1997), section 7.2, for the residuals.
    """
    n = len(series.at)
    residuals, dependence = np.sort(fitted.residuals), fitted.dependence
    generator = np.random.default_rng(seed)
    kept = np.unique(np.linspace(0, n, min(n, _MOST_POINTS) + 1).round().astype(int))
    expected = fitted.expected(series.edges)
    which = generator.choice(len(RHO), _RESAMPLES, p=dependence.weights)
    rho, spread = RHO[which], np.array(dependence.spread)[which, None]

    def totals(steps: Floats) -> Floats:
        powers = np.hstack([np.zeros((len(steps), 1)), steps.cumsum(axis=1)])[:, kept]
        return np.asarray(np.maximum(powers, 0.0) ** (1 / series.order))

    found = [totals(np.array([series.steps]))]
    for part in batches(_RESAMPLES, n):
        ranks = scipy.special.ndtr(drawn(rho[part], n, generator)) * n
        chosen = residuals[np.minimum(ranks.astype(int), n - 1)]
        found.append(totals(expected * (1 + spread[part] * (chosen - 1))))
    slopes = _median_slopes(series.edges[kept], np.vstack(found))
    value, error = float(slopes[0]), float(slopes[1:].std(ddof=1))
    error = error / value if value > 0 else error
    freedom = dependence.mean_freedom
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)) * error
    low, high = value - half, value + half
    if value > 0:
        low, high = value * math.exp(-half), value * math.exp(half)
    return Slope(value=value, low=low, high=high, error=error, freedom=freedom)


def needed_steps(
    p: float, *, n: int, freedom: float, level: float, power: float = 0.8
) -> int | None:
    """Return about how many steps would bring a p-value of Student's t down to ``level``.

    With probability ``power``, if the number stays what it is and the steps scatter as they do:
    t then grows with the square root of their count.

    Args:
        p: the p-value of ``n`` steps.
        n: how many there are.
        freedom: degrees of freedom that they have.
        level: what p has to reach, in (0, 1).
        power: with which probability.

    Returns:
        More than ``n``; ``None`` where ``_MOST_TIMES`` as many would not do.
    """
    now = float(scipy.stats.t.isf(p, freedom))
    for part in batches(_MOST_TIMES * n - n, 1):
        counts = np.arange(n + 1 + part.start, n + 1 + part.stop)
        reached = now * np.sqrt(counts / n)
        wanted = scipy.stats.t.isf(level, counts - n + freedom) + scipy.stats.norm.ppf(power)
        enough: list[int] = counts[reached >= wanted].tolist()
        if enough:
            return enough[0]
    return None


def _median_slopes(at: Floats, totals: Floats) -> Floats:
    """Return the median slope of each row of totals (rows, n) at ``at`` (n,)."""
    first, second = np.triu_indices(len(at), 1)
    slopes = (totals[:, second] - totals[:, first]) / (at[second] - at[first])
    return np.asarray(np.median(slopes, axis=1))
