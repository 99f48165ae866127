"""The mean over samples: sets of edits that were drawn independently, each with one mean.

A sample is what varies as a whole: one bad edit moves all later ones of its chain. So the spread
of the samples' means is what an interval comes from, not the number of edits.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np
import scipy

from pytest_eac.stats.foreseen import Foreseen
from pytest_eac.stats.paired import Interval

FEW = 20
"""Below this number of samples Student's t is used, from there on the bootstrap."""
_RESAMPLES = 4999
# Numbers in the resamples that are held at once.
_BATCH = 2**22
# Means of the same scores in another order differ by rounding.
_ROUNDING = 1e-12
# Tails between which the exact interval is searched for a limit; Student's quantile is 0 at 0.5.
_LEAST_P, _MOST_TAIL = 1e-12, 0.4999
_MOST_SAMPLES = 100_000


def inference(samples: int, *, shares: bool = False) -> str:
    """Return the name of the method that gives the interval over ``samples`` samples."""
    name = "Student's t" if samples < FEW else "cluster bootstrap"
    return f"{name} and Korn-Graubard" if shares else name


def mean_of_samples(
    means: Sequence[float],
    *,
    counts: Sequence[int] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean over samples with its interval.

    Student's t of the means; from 20 samples on, the studentized bootstrap, which resamples whole
    samples (clusters), where it is the wider one. Both are too narrow for shares near 0 and 1, and
    have no width where all means are equal. For shares the interval is therefore extended to that
    of Clopper and Pearson for the number of independent edits that would vary like these samples
    (Korn and Graubard), at most the number of all edits: it is never narrower than the exact
    binomial interval of these.

    Args:
        means: one per sample, each already averaged over its seeds.
        counts: for shares (scores between 0 and 1), how many edits each mean is of; else ``None``.
        confidence: the level, in (0, 1).
        seed: of the resamples.

    Returns:
        An interval without ends for a single sample, and for equal numbers that are no shares:
        these do not show how others would vary.

    Source: Korn and Graubard (1998), "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data"; Efron and Tibshirani (1993), section
    12.5.
    """
    value, ends = fmean(means), []
    if len(means) < 2:
        return Interval(value=value, low=None, high=None)
    if error := _standard_error(means):
        low, high = _quantiles(means, (1 + confidence) / 2, seed)
        ends.append((value - high * error, value - low * error))
    if counts is not None:
        tail = (1 - confidence) / 2
        above = _korn_graubard(1 - value, means, counts, tail)
        ends.append((_korn_graubard(value, means, counts, tail), 1 - above))
    if not ends:
        return Interval(value=value, low=None, high=None)
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if counts is not None:
        low, high = max(0.0, low), min(1.0, high)
    return Interval(value=value, low=low, high=high)


def p_over_samples(
    means: Sequence[float], limit: float, *, counts: Sequence[int] | None = None, seed: int = 0
) -> float | None:
    """Return the p-value of the hypothesis that the mean over samples is at most ``limit``.

    That of the lower end of :func:`mean_of_samples`: the larger one where two intervals are joined.
    ``None`` where there is no interval.

    Args:
        means: one per sample.
        limit: what the mean is to be above.
        counts: as for :func:`mean_of_samples`.
        seed: of the resamples.
    """
    if len(means) < 2:
        return None
    found = []
    if error := _standard_error(means):
        found.append(_p_of((fmean(means) - limit) / error, means, seed))
    if counts is not None:
        found.append(_p_exact(means, counts, limit))
    return max(found, default=None)


def needed_samples(
    means: Sequence[float],
    limit: float,
    *,
    level: float,
    counts: Sequence[int] | None = None,
    power: float = 0.8,
) -> Foreseen | None:
    """Return about how many samples like these would bring the p-value to ``level``.

    With probability ``power``, by Student's t for means that vary like these; for shares, not
    before the exact interval allows it either. ``None`` where no number would.
    """
    gap = fmean(means) - limit
    if gap <= 0 or len(means) < 2:
        return None
    spread = stdev(means) if _standard_error(means) else 0.0
    if not spread and counts is None:
        return None

    def decides(samples: int) -> bool:
        if counts is not None:
            more = [fmean(counts)] * samples
            like = [fmean(means) + sign * spread for sign in (1, -1)] * samples
            if _p_exact(like[:samples], more, limit) > level:
                return False
        if not spread:
            return True
        against = float(scipy.stats.t.isf(level, samples - 1))
        shift = gap / spread * sqrt(samples)
        return bool(scipy.stats.nct.sf(against, samples - 1, shift) >= power)

    most = 2
    while not decides(most):
        if (most := most * 2) > _MOST_SAMPLES:
            return None
    least = max(1, most // 2)
    while most - least > 1:
        middle = (most + least) // 2
        most, least = (middle, least) if decides(middle) else (most, middle)
    return Foreseen(count=most)


def _standard_error(means: Sequence[float]) -> float:
    """Return the standard error of the mean; 0 where the means differ by rounding alone."""
    if max(means) - min(means) <= _ROUNDING * max(1.0, *map(abs, means)):
        return 0.0
    return stdev(means) / sqrt(len(means))


def _quantiles(means: Sequence[float], upper: float, seed: int) -> tuple[float, float]:
    """Return the two quantiles of (mean - true mean) / standard error."""
    student = float(scipy.stats.t.ppf(upper, len(means) - 1))
    drawn = _studentized(means, seed) if len(means) >= FEW else None
    if drawn is None:
        return -student, student
    low, high = np.quantile(drawn, (1 - upper, upper))
    return min(float(low), -student), max(float(high), student)


def _p_of(statistic: float, means: Sequence[float], seed: int) -> float:
    student = float(scipy.stats.t.sf(statistic, len(means) - 1))
    drawn = _studentized(means, seed) if len(means) >= FEW else None
    if drawn is None:
        return student
    return max(student, float((1 + (drawn >= statistic).sum()) / (1 + len(drawn))))


def _studentized(means: Sequence[float], seed: int) -> Any:
    """Return (mean - mean of the samples) / standard error of resamples of whole samples.

    Resamples of one sample alone have no standard error and are left out; ``None`` where that is
    so of half of them.
    """
    values, generator = np.asarray(means, dtype=float), np.random.default_rng(seed)
    found: list[Any] = []
    size = max(1, _BATCH // len(values))
    for start in range(0, _RESAMPLES, size):
        rows = min(size, _RESAMPLES - start)
        drawn = values[generator.integers(0, len(values), size=(rows, len(values)))]
        error = drawn.std(axis=1, ddof=1) / np.sqrt(len(values))
        usable = error > _ROUNDING
        found.append((drawn.mean(axis=1)[usable] - values.mean()) / error[usable])
    whole = np.concatenate(found)
    return whole if len(whole) > _RESAMPLES / 2 else None


def _korn_graubard(
    share: float, means: Sequence[float], counts: Sequence[float], tail: float
) -> float:
    """Return the lower end for a share: Clopper and Pearson's of the effective number of edits."""
    size = _effective(means, counts, tail)
    right = share * size
    return float(scipy.stats.beta.ppf(tail, right, size - right + 1)) if right > 0 else 0.0


def _effective(means: Sequence[float], counts: Sequence[float], tail: float) -> float:
    """Return how many independent edits would show as much as these samples; at most all edits.

    Of a share with variance ``v`` that is ``p (1 - p) / v``, times the squared ratio of Student's
    quantiles for edits and for samples, since ``v`` is estimated from the samples.
    """
    edits, share = float(sum(counts)), fmean(means)
    error, variance = _standard_error(means), share * (1 - share)
    size = min(edits, variance / error**2) if error and variance > 0 else edits
    quantiles = scipy.stats.t.isf(tail, [max(1.0, edits - 1), len(means) - 1])
    return max(min(size * float(quantiles[0] / quantiles[1]) ** 2, edits), _ROUNDING)


def _p_exact(means: Sequence[float], counts: Sequence[float], limit: float) -> float:
    """Return the level at which the exact interval's lower end is the limit."""
    share = fmean(means)
    if limit <= 0:
        return 0.0

    def above(tail: float) -> float:
        return _korn_graubard(share, means, counts, tail) - limit

    if share <= limit:
        return 1.0
    if above(_LEAST_P) > 0:
        return _LEAST_P
    if above(_MOST_TAIL) <= 0:
        return 0.5
    return float(scipy.optimize.brentq(above, _LEAST_P, _MOST_TAIL, xtol=1e-14, rtol=1e-6))
