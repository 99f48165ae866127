"""Is there a trend in a series, how steep is it, and where does it set in?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from pytest_eac.stats.growth import Fit
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.series import Floats, Series, batches

_RESAMPLES = 399
_PERMUTATIONS = 1999
_MOST_TIMES = 100
"""Beyond this many times the steps at hand, an estimate of how many are needed is useless."""
_MOST_POINTS = 60
"""Theil-Sen looks at all pairs: a longer series is read after every k-th step."""
SHORTEST_REGIME = 3
"""An onset has at least this many steps on either side: one step alone is no regime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Kendall's tau with time, in [-1, 1], and the chance of one as high without a trend."""

    tau: float
    p: float
    smallest_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope(Interval):
    """A slope with its interval and what that is made of.

    Attributes:
        error: standard error; of the slope's logarithm where the slope is positive.
        freedom: degrees of freedom of the error.
    """

    error: float
    freedom: int

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """The likeliest place at which values rise to a new level.

    Attributes:
        index: the first value of the new level, counted from 0.
        factor: mean from there on over the mean before; infinite where that is not positive.
        p: the chance of as clear a rise, at whatever place, if the order meant nothing.
        smallest_p: the least p that this many values can give.
    """

    index: int
    factor: float
    p: float
    smallest_p: float


def mann_kendall(values: Sequence[float]) -> Trend | None:
    """Test whether independent values rise with time; ``None`` for fewer than two values.

    One-sided. The p-value is exact for short series without ties, else from the normal
    approximation with its correction for ties.

    Source: Mann (1945); Kendall (1975), "Rank correlation methods".
    """
    n = len(values)
    if n < 2:
        return None
    smallest = 1 / math.factorial(min(n, 20))
    if len(set(values)) == 1:
        return Trend(tau=0.0, p=1.0, smallest_p=smallest)
    found = scipy.stats.kendalltau(range(n), values, alternative="greater")
    return Trend(tau=float(found.statistic), p=float(found.pvalue), smallest_p=smallest)


def theil_sen(series: Series, fitted: Fit, *, confidence: float = 0.95, seed: int = 0) -> Slope:
    """Return the median slope between any two totals of a series, with its interval.

    Sen's own interval takes the totals' errors to be independent; those of a running total are
    not, and it would be far too narrow. This one comes from a bootstrap of the steps' residuals
    about a fitted shape: each resample is a series of its own, whose slope is taken in the same
    way. Student's t with their standard deviation, on the scale of logarithms where the slope is
    positive: a small slope goes with small scatter, so that ends at equal distances would miss
    larger true slopes too often.

    Args:
        series: the totals; they start at 0, which is a point too.
        fitted: a shape that was fitted to this series.
        confidence: the level, in (0, 1).
        seed: of the resamples.

    Source: Theil (1950); Sen (1968); Davison and Hinkley (1997), section 7.2, for the residuals.
    """
    n = len(series.at)
    residuals = np.array(fitted.residuals)
    spread = math.sqrt(n / fitted.freedom)
    generator = np.random.default_rng(seed)
    kept = np.unique(np.linspace(0, n, min(n, _MOST_POINTS) + 1).round().astype(int))
    expected = fitted.expected(series.edges)

    def totals(steps: Floats) -> Floats:
        return np.hstack([np.zeros((len(steps), 1)), steps.cumsum(axis=1)])[:, kept]

    found = [totals(np.array([series.steps]))]
    for part in batches(_RESAMPLES, n):
        chosen = generator.choice(residuals, (part.stop - part.start, n))
        drawn = 1 + spread * (chosen - 1)
        found.append(totals(expected * drawn))
    slopes = _median_slopes(series.edges[kept], np.vstack(found))
    value, error = float(slopes[0]), float(slopes[1:].std(ddof=1))
    error = error / value if value > 0 else error
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, fitted.freedom)) * error
    low, high = value - half, value + half
    if value > 0:
        low, high = value * math.exp(-half), value * math.exp(half)
    return Slope(value=value, low=low, high=high, error=error, freedom=fitted.freedom)


def needed_steps(p: float, *, n: int, freedom: int, level: float, power: float = 0.8) -> int | None:
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


def onset(values: Sequence[float], *, seed: int = 0) -> Onset | None:
    """Find where independent values rise to a new level, and how likely that is by chance.

    For each place, the standardised sum of the ranks behind it; the largest of these is held
    against those of the same values in random order. That the place was searched for is thereby
    accounted for, and a single value can be as large as it likes without being taken for a new
    level.

    Args:
        values: in the order of time.
        seed: of the permutations.

    Returns:
        ``None`` for fewer than two regimes of ``SHORTEST_REGIME`` values.

    Source: Lausen and Schumacher (1992), "Maximally selected rank statistics"; Pettitt (1979) for
        ranks in change-point problems.
    """
    n = len(values)
    if n < 2 * SHORTEST_REGIME:
        return None
    ranks = scipy.stats.rankdata(values)
    generator = np.random.default_rng(seed)
    scores = _rank_scores(np.vstack([ranks, np.sort(ranks)]))
    least = scores.max(axis=1) - 1e-9  # what differs by rounding alone is a tie
    by_chance = np.zeros(2)
    for part in batches(_PERMUTATIONS, n):
        shuffled = generator.permuted(np.tile(ranks, (part.stop - part.start, 1)), axis=1)
        by_chance += (_rank_scores(shuffled).max(axis=1)[:, None] >= least).sum(axis=0)
    p, smallest = (1 + by_chance) / (1 + _PERMUTATIONS)
    index = int(scores[0].argmax()) + SHORTEST_REGIME
    before, after = np.mean(values[:index]), np.mean(values[index:])
    return Onset(
        index=index,
        factor=float(after / before) if before > 0 else math.inf,
        p=float(p),
        smallest_p=float(smallest),
    )


def _rank_scores(ranks: Floats) -> Floats:
    """Return each row's standardised rank sums behind each place that splits it in two regimes."""
    n = ranks.shape[1]
    before = np.arange(SHORTEST_REGIME, n - SHORTEST_REGIME + 1)
    sums = ranks.sum(axis=1, keepdims=True) - ranks.cumsum(axis=1)[:, before - 1]
    after = n - before
    return np.asarray((sums - after * (n + 1) / 2) / np.sqrt(before * after * (n + 1) / 12))


def neighbours(values: Sequence[float]) -> float:
    """Return the correlation of each value with the next, in units of its chance deviation.

    Above 2 or so, values next to one another resemble one another, which tests and intervals here
    take them not to do; 0 for constant values.

    Source: Bartlett (1946): without correlation, its standard deviation is about ``1 / sqrt(n)``.
    """
    off = np.array(values) - np.mean(values)
    total = float(off @ off)
    return float(off[1:] @ off[:-1]) / total * math.sqrt(len(off)) if total > 0 else 0.0
