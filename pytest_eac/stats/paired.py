"""Two measurements of the same items: how much of the first one is left in the second."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from pytest_eac.stats.intervals import tang
from pytest_eac.stats.means import p_above

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RESAMPLES = 4999
# Numbers in the resamples that are held at once.
_BATCH = 2**22


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

    ``None`` if the mean of ``base`` is 0. For right or wrong, the interval is Tang's score
    interval. For other scores between 0 and 1 it holds the ratios r for which the mean of
    ``edited - r * base`` may be 0, by :func:`pytest_eac.stats.means.p_above` on both sides, where
    the lowest difference is that of an item with the best score, lost. Both have a width where no
    item has changed: n items that did not change do not show that none would.
    Scores of another range have a bootstrap interval, and none where all are equal.

    Args:
        base: one score per item, not negative.
        edited: the scores of the same items in the same order.
        confidence: the level, in (0, 1).

    Source: Tang, Tang and Chan (2003), "On tests of equivalence via non-unity relative risk for
    matched-pair design", for right or wrong.
    """
    if not any(base):
        return None
    before, after = (np.asarray(column, dtype=float) for column in (base, edited))
    value = float(after.mean() / before.mean())
    if np.isin((before, after), (0.0, 1.0)).all():
        both = int((before * after).sum())
        low, high = tang(
            both, int(before.sum()) - both, int(after.sum()) - both, confidence=confidence
        )
    elif max(before.max(), after.max()) <= 1:
        low, high = _ratios(before, after, value, (1 - confidence) / 2)
    elif (before == after).all():
        return Interval(value=1.0, low=None, high=None)
    else:
        return resampled(_ratio, base, edited, confidence=confidence)
    return Interval(value=value, low=low, high=high)


def _ratios(before: Any, after: Any, value: float, tail: float) -> tuple[float, float]:
    """Return the least and the largest ratio that are not rejected.

    What could be lost, or gained, in an item is no more than the best score there was. With the
    range of all scores in its place, small scores would have far too wide an interval.
    """
    best = float(before.max())

    def below(ratio: float) -> float:  # is the true ratio above this one?
        return p_above(after - ratio * before, 0.0, low=-ratio * best) - tail

    def above(ratio: float) -> float:
        return p_above(ratio * before - after, 0.0, low=-max(best, float(after.max()))) - tail

    low = float(scipy.optimize.brentq(below, 0.0, value)) if value else 0.0
    top = 2 * max(value, 1.0)
    while above(top) > 0:
        top *= 2
    return low, float(scipy.optimize.brentq(above, value, top))


def _ratio(base: Any, edited: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of zeros has no ratio
        return edited.mean(axis=-1) / base.mean(axis=-1)


def is_above(scores: Sequence[float], floor: float, *, confidence: float = 0.95) -> bool:
    """Say whether scores are above what a model makes that understands nothing.

    One-sided exact binomial test of the number of items that score above 0. One such item may be an
    accident, so the floor is never below ``1 / n``. Where scores lie between 0 and 1, their mean
    must be above the floor as well.

    Args:
        scores: one per item, between 0 and 1.
        floor: the share of items that are right by chance.
        confidence: the level, in (0, 1).
    """
    n = len(scores)
    right = sum(score > 0 for score in scores)
    chance = scipy.stats.binomtest(right, n, max(floor, 1 / n), alternative="greater").pvalue
    return bool(chance < 1 - confidence and sum(scores) / n > floor)
