"""Intervals for what few items can say."""

from collections.abc import Sequence
from math import atanh, sqrt, tanh
from statistics import fmean, stdev

import scipy


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
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))


def share_at_most(count: int, n: int, *, confidence: float = 0.95) -> float:
    """Return the exact upper bound, one-sided, of a share that is observed as ``count`` of ``n``.

    The largest share ``p`` for which ``P(X <= count) >= 1 - confidence``, ``X`` binomial of ``n``
    draws at ``p``: for 0 of n it is ``1 - (1 - confidence)^(1/n)``.

    Args:
        count: how many of the draws have it.
        n: independent draws, at least one.
        confidence: the level that is held at least, in (0, 1).

    Source: Clopper and Pearson (1934).
    """
    return float(scipy.stats.beta.ppf(confidence, count + 1, n - count)) if count < n else 1.0


def newcombe(
    both: int, first: int, second: int, neither: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the score interval for the difference of two shares over the same items.

    It lies between -1 and 1 whatever the counts, and has a width even where no item differs.

    Args:
        both: how many items both sides have right.
        first: how many only the first side has right.
        second: how many only the second side has right.
        neither: how many neither has right; the four are at least one together.
        confidence: the level, in (0, 1).

    Source: Newcombe (1998), "Improved confidence intervals for the difference between binomial
    proportions based on paired data", method 10.
    """
    n = both + first + second + neither
    one, two = (both + first) / n, (both + second) / n
    low_one, high_one = wilson(one, n, confidence=confidence)
    low_two, high_two = wilson(two, n, confidence=confidence)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    agreement: float = both * neither - first * second
    if agreement > 0:  # the paper's continuity correction
        agreement = max(agreement - n / 2, 0)
    together = agreement / sqrt(margins) if margins else 0.0

    def reach(mine: float, other: float) -> float:
        return sqrt(max(0.0, mine * mine - 2 * together * mine * other + other * other))

    difference = (first - second) / n
    low = difference - reach(one - low_one, high_two - two)
    high = difference + reach(high_one - one, two - low_two)
    return max(-1.0, low), min(1.0, high)  # they are inside, except for rounding


def student_between(
    values: Sequence[float], *, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return an interval for the mean of values between -1 and 1; ``None`` for fewer than two.

    Student's t on the scale of ``atanh``, whose slope at the mean m is ``1 / (1 - m^2)``: ends that
    are equally far from the mean on that scale lie between -1 and 1 on this one.

    Args:
        values: one number per independent item, between -1 and 1.
        confidence: the level, in (0, 1).

    Source: the delta method, with Fisher's transformation.
    """
    found = student(values, confidence=confidence)
    if found is None or found[0] == found[1]:
        return found
    center = fmean(values)
    half = (found[1] - found[0]) / 2 / (1 - center * center)
    return tanh(atanh(center) - half), tanh(atanh(center) + half)


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
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, n - 1)) * stdev(values) / sqrt(n)
    return center - half, center + half
