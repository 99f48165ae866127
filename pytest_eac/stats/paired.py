"""Two measurements of the same items: how much of the first one is left in the second."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from pytest_eac.stats.means import p_above

_RESAMPLES = 4999
# Numbers in the resamples that are held at once.
_BATCH = 2**22
# A discriminant that is this share of its terms is 0.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A number with its interval; the ends are ``None`` where the items do not allow one."""

    value: float
    low: float | None
    high: float | None

    def __neg__(self) -> Interval:
        """Return that of the number with the other sign; 0 has none."""
        low, high = (None if end is None else 0.0 - end for end in (self.high, self.low))
        return Interval(value=0.0 - self.value, low=low, high=high)


def resampled(
    statistic: Callable[..., Any],
    *columns: Sequence[float],
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a statistic of items with its bootstrap interval.

    BCa, or percentiles where BCa is undefined. Items are drawn whole: the columns stay paired.

    Args:
        statistic: of one array (..., n) per column, over the last axis.
        columns: one number per item.
        confidence: the level, in (0, 1).
        seed: of the resamples.

    Source: Efron (1987), "Better bootstrap confidence intervals".
    """
    data = [np.asarray(column, dtype=float) for column in columns]
    value = float(statistic(*data))
    n = len(data[0])

    def measured(*arrays: Any, axis: int) -> Any:
        return statistic(*(np.moveaxis(array, axis, -1) for array in arrays))

    for method in ("BCa", "percentile") if n > 1 else ():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            found = scipy.stats.bootstrap(
                data,
                measured,
                paired=True,
                n_resamples=_RESAMPLES,
                batch=max(1, _BATCH // n),
                confidence_level=confidence,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        low, high = float(found.low), float(found.high)
        if math.isfinite(low) and math.isfinite(high):
            return Interval(value=value, low=low, high=high)
    return Interval(value=value, low=None, high=None)


def kept(
    base: Sequence[float], edited: Sequence[float], *, confidence: float = 0.95
) -> Interval | None:
    """Return ``mean(edited) / mean(base)`` over the same items, with its interval.

    Right and wrong (0 or 1) have Tang's score interval, which has a width even where no item has
    changed; scores in between have Fieller's, which has no ends where all of them have kept the
    same share, since these do not show how others would scatter.

    ``None`` if the mean of ``base`` is 0.

    Args:
        base: one score per item, not negative.
        edited: the scores of the same items in the same order.
        confidence: the level, in (0, 1).

    Source: Tang, Tang and Chan (2003), "On tests of equivalence via non-unity relative risk for
        matched-pair design"; Fieller (1954), "Some problems in interval estimation".
    """
    if not any(base):
        return None
    before, after = (np.asarray(column, dtype=float) for column in (base, edited))
    value = float(after.mean() / before.mean())
    binary = set(base) | set(edited) <= {0.0, 1.0}
    low, high = (_score_ratio if binary else _fieller)(before, after, confidence)
    return Interval(value=value, low=low, high=high)


def _score_ratio(before: Any, after: Any, confidence: float) -> tuple[float, float]:
    """Return the ratios of shares that the score test does not reject."""
    lost, gained = float((before > after).sum()), float((after > before).sum())
    right, n = (float(before.sum()), float(after.sum())), len(before)
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))

    def score(ratio: float) -> float:
        """Return how many standard errors the shares are above this ratio.

        The variance is that of the likeliest shares with this ratio: u of the items are lost and v
        gained, where ``S - u = ratio (S - v)`` for the share S of items that are right at all.
        """
        changed, both = lost + gained, right[0] - lost
        some = (both + changed) / n
        k = some * (ratio - 1)
        a = (1 + ratio) * (both + changed)
        b = (1 + ratio) * k * (both + lost) - some * changed
        c = -lost * some * k
        u = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = n * ratio * (u + (k + u) / ratio)
        ahead = right[1] - ratio * right[0]
        return ahead / math.sqrt(variance) if variance > 0 else 0.0

    ratio = right[1] / right[0]
    low, high = 0.0, max(1.0, 2 * ratio)
    if ratio:
        low = scipy.optimize.brentq(lambda at: score(at) - z, 1e-9, ratio)
    while score(high) > -z:
        high *= 2
    return float(low), float(scipy.optimize.brentq(lambda at: score(at) + z, ratio or 1e-9, high))


def _fieller(before: Any, after: Any, confidence: float) -> tuple[float, float] | tuple[None, None]:
    """Return the ratios r for which Student's t does not reject that ``after - r before`` is 0."""
    n = len(before)
    if n < 2:
        return None, None
    [[one, together], [_, two]] = np.cov(before, after)
    g = float(scipy.stats.t.ppf((1 + confidence) / 2, n - 1)) ** 2 / n
    a = before.mean() ** 2 - g * one
    b = before.mean() * after.mean() - g * together
    inside = b * b - a * (after.mean() ** 2 - g * two)
    if a <= 0 or inside <= _ROUNDING * b * b:
        return None, None
    half = math.sqrt(inside)
    return max(0.0, float(b - half) / float(a)), float(b + half) / float(a)


def is_above(scores: Sequence[float], floor: float, *, confidence: float = 0.95) -> bool:
    """Say whether scores are above what a model makes that understands nothing.

    One-sided exact binomial test of the number of items that score above 0. One such item may be an
    accident, so the floor is never below ``1 / n``. Where scores lie between 0 and 1, their mean
    must be significantly above the floor as well.

    Args:
        scores: one per item, between 0 and 1.
        floor: the share of items that are right by chance.
        confidence: the level, in (0, 1).
    """
    n = len(scores)
    right = sum(score > 0 for score in scores)
    chance = scipy.stats.binomtest(right, n, max(floor, 1 / n), alternative="greater").pvalue
    return bool(chance < 1 - confidence and p_above(scores, floor) < 1 - confidence)
