"""How two numbers go together, given a third, over points that come in groups."""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import scipy

from pytest_eac.stats.paired import Interval

LEAST_GROUPS = 8
"""Fewer groups get no interval: one out of the ordinary would make it. Of simulated ones, which are
all of one kind, six still do and four do not (intervals at 95 % held 74 to 99 % of the time)."""


def partial_correlation(
    x: Sequence[float], y: Sequence[float], given: Sequence[Hashable]
) -> float | None:
    """Return Pearson's correlation of what is left of x and y once ``given`` is taken out.

    ``given`` is a factor, not a straight line: from each number the mean of all numbers with the
    same ``given`` is taken. So any way in which x and y depend on it alone is out.

    Args:
        x: one number per point.
        y: another, of the same points.
        given: what is held fixed, of the same points; each value needs several of them.

    Returns:
        Between -1 and 1; ``None`` where nothing of x or y is left.
    """
    one, two = _left(x, given), _left(y, given)
    size = math.sqrt(float(one @ one) * float(two @ two))
    return float(np.clip(one @ two / size, -1, 1)) if size else None


def partial_rank_correlation(
    x: Sequence[float], y: Sequence[float], given: Sequence[Hashable]
) -> float | None:
    """Return the same of the ranks of x and y over all points (Spearman's); ties share a rank."""
    return partial_correlation(scipy.stats.rankdata(x), scipy.stats.rankdata(y), given)


def over_groups(
    correlation: Callable[[Sequence[float], Sequence[float], Sequence[Hashable]], float | None],
    x: Sequence[float],
    y: Sequence[float],
    given: Sequence[Hashable],
    groups: Sequence[Hashable],
    *,
    confidence: float = 0.95,
) -> Interval | None:
    """Return a correlation with an interval that knows that points of one group are alike.

    Delete-one-group jackknife of ``z = atanh r``: with G groups, pseudo-values
    ``G z - (G - 1) z_(-g)``, and Student's t with G - 2 degrees of freedom. Groups must be
    independent of one another; within one anything may depend on anything. In simulations with 8
    groups of 4 points it holds 94 to 97 % of the time at 95 %; resampling whole groups held
    about 90 %.

    Args:
        correlation: one of the two above.
        x: one number per point.
        y: another, of the same points.
        given: what is held fixed.
        groups: which group each point belongs to. With fewer than ``LEAST_GROUPS`` groups, or where
            leaving one out leaves no correlation or a perfect one, the interval has no ends.
        confidence: the level, in (0, 1).

    Returns:
        ``None`` where nothing of x or y is left.

    Source: Miller 1974, "The jackknife - a review", for transformed statistics.
    """
    value = correlation(x, y, given)
    if value is None:
        return None
    nothing = Interval(value=value, low=None, high=None)
    names = tuple(dict.fromkeys(groups))
    count = len(names)
    if count < LEAST_GROUPS:
        return nothing
    others = []
    for name in names:
        points = [place for place, each in enumerate(groups) if each != name]
        others.append(
            correlation(
                [x[place] for place in points],
                [y[place] for place in points],
                [given[place] for place in points],
            )
        )
    if any(each is None or abs(each) == 1 for each in (value, *others)):
        return nothing
    without = np.arctanh(np.array(others))
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, count - 2)) * error
    center = math.atanh(value)
    return Interval(value=value, low=math.tanh(center - half), high=math.tanh(center + half))


def _left(numbers: Sequence[float], given: Sequence[Hashable]) -> np.ndarray:
    """Return numbers less the mean of those that share a ``given``; rounding noise is 0."""
    values = np.asarray(numbers, dtype=float)
    places: dict[Hashable, list[int]] = {}
    for place, each in enumerate(given):
        places.setdefault(each, []).append(place)
    left = values.copy()
    for same in places.values():
        left[same] -= values[same].mean()
    left[np.abs(left) < 1e-12 * np.abs(values).max(initial=0.0)] = 0.0
    return left
