"""Two measurements of the same items: how much of the first one is left in the second."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

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
    base: Sequence[float], edited: Sequence[float], *, confidence: float = 0.95, seed: int = 0
) -> Interval | None:
    """Return ``mean(edited) / mean(base)`` over the same items, with its bootstrap interval.

    ``None`` if the mean of ``base`` is 0. Equal scores give 1, from 1 to 1.

    Args:
        base: one score per item, not negative.
        edited: the scores of the same items in the same order.
        confidence: the level, in (0, 1).
        seed: of the resamples.
    """
    if not any(base):
        return None
    if tuple(base) == tuple(edited):
        return Interval(value=1.0, low=1.0, high=1.0)
    return resampled(_ratio, base, edited, confidence=confidence, seed=seed)


def _ratio(base: Any, edited: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of zeros has no ratio
        return edited.mean(axis=-1) / base.mean(axis=-1)


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
    above = set(scores) <= {0.0, 1.0} or p_above(scores, floor) < 1 - confidence
    return bool(chance < 1 - confidence and above)
