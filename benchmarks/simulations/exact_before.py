"""What this project did at first with means of scores, for comparison with what it does now."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from pytest_eac.stats.intervals import student_between
from pytest_eac.stats.paired import resampled

if TYPE_CHECKING:
    from collections.abc import Sequence


def flipped(gaps: Any) -> float:
    """Return the p-value of the differences' mean among those with other signs: 9,999 draws."""
    gaps = gaps[gaps != 0]
    if len(gaps) < 2:
        return 0.5 if (gaps > 0).any() else 1.0
    found = scipy.stats.permutation_test(
        (gaps,),
        lambda column, axis: column.mean(axis=axis),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def interval_of_differences(gaps: Any) -> tuple[float, float] | None:
    """Return BCa's bootstrap interval, below ten Student's; none where all are equal."""
    values = gaps.tolist()
    if len(set(values)) == 1:
        return None
    if len(values) < 10:
        return student_between(values)
    found = resampled(lambda column: column.mean(axis=-1), values)
    return None if found.low is None or found.high is None else (found.low, found.high)


def interval_of_kept(base: Any, edited: Any) -> tuple[float, float] | None:
    """Return the ratio's bootstrap interval; from 1 to 1 where nothing has changed."""
    if (base == edited).all():
        return 1.0, 1.0
    found = resampled(lambda one, two: two.mean(axis=-1) / one.mean(axis=-1), base, edited)
    return None if found.low is None or found.high is None else (found.low, found.high)


def needed_above(right: int, n: int, limit: float, level: float = 0.05) -> int | None:
    """Return for how many scores the binomial test has a power of 0.8, at the observed share."""
    share = right / n
    if share <= limit:
        return None
    against, wanted = scipy.stats.norm.isf(level), scipy.stats.norm.ppf(0.8)
    widths = against * sqrt(limit * (1 - limit)) + wanted * sqrt(share * (1 - share))
    about = max(1, ceil((widths / (share - limit)) ** 2))
    counts = np.arange(1, 2 * about + 200)
    power = scipy.stats.binom.sf(scipy.stats.binom.isf(level, counts, limit), counts, share)
    too_few: list[int] = counts[power < 0.8].tolist()
    return max(too_few, default=0) + 1


def floored(scores: Sequence[float], limit: float) -> float:
    """Return the binomial p-value of the sum of the scores, rounded down."""
    return float(scipy.stats.binom.sf(int(sum(scores) + 1e-9) - 1, len(scores), limit))
