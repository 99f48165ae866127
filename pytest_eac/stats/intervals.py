"""Intervals for what few items can say."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from scipy.stats import norm, t

if TYPE_CHECKING:
    from collections.abc import Sequence


def wilson(share: float, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a share.

    Also used for means of scores that lie anywhere between 0 and 1: among all such scores with a
    given mean, those that are only 0 or 1 vary most, so the interval is then too wide rather than
    too narrow.

    Args:
        share: the observed mean, between 0 and 1.
        n: how many independent items it is the mean of, at least one.
        confidence: the level, in (0, 1).

    Source: Wilson (1927), without continuity correction.
    """
    z = float(norm.ppf((1 + confidence) / 2))
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))


def student(values: Sequence[float], *, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return Student's t interval for the mean of independent values; ``None`` for fewer than two.

    Args:
        values: one number per independent item.
        confidence: the level, in (0, 1).

    Source: Student (1908).
    """
    n = len(values)
    if n < 2:
        return None
    center = fmean(values)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * stdev(values) / sqrt(n)
    return center - half, center + half
