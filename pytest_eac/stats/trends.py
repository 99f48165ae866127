"""Do values rise with time, steadily or from some place on?

Both tests allow for values that resemble their neighbours: they ask how likely as clear a rise is
if values only drift up and down, as a process with these correlations does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from pytest_eac.stats.dependence import (
    RHO,
    SHORTEST_REGIME,
    drawn,
    effects,
    normal_scores,
    rise_weights,
)
from pytest_eac.stats.series import Floats, batches

FEWEST_VALUES = 6
"""Fewer values that only drift rise too often in each of their few orders."""
_DRAWN = 1999


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Whether values rise with time.

    Attributes:
        correlation: of the values' normal scores with time, in [-1, 1].
        p: the chance of one as high without a trend.
        smallest_p: that of values each of which is larger than all before.
    """

    correlation: float
    p: float
    smallest_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """The likeliest place at which values rise to a new level.

    Attributes:
        index: the first value of the new level, counted from 0.
        factor: mean from there on over the mean before; infinite where that is not positive.
        p: the chance of as clear a rise, at whatever place, of values that only drift.
        smallest_p: that of two clear levels.
    """

    index: int
    factor: float
    p: float
    smallest_p: float


def trend(values: Sequence[float]) -> Trend | None:
    """Test whether values rise with time; ``None`` for fewer than ``FEWEST_VALUES``.

    One-sided: Student's t of the slope of the values' normal scores (van der Waerden), whose
    variance grows with the correlation of neighbours.

    Args:
        values: in the order of time.

    Source: van der Waerden (1952) for the scores; Hajek and Sidak (1967), "Theory of rank tests",
        for their use against a trend.
    """
    n = len(values)
    if n < FEWEST_VALUES:
        return None
    correlation, p = _rise(tuple(values))
    return Trend(correlation=correlation, p=p, smallest_p=_rising(n))


def _rise(values: Sequence[float]) -> tuple[float, float]:
    """Return the correlation of normal scores with time, and its p-value."""
    n = len(values)
    scores = normal_scores(np.array(values))
    if not scores.any():
        return 0.0, 1.0
    line = np.arange(n) - (n - 1) / 2
    found = float(line @ scores / np.linalg.norm(line) / np.linalg.norm(scores))
    t = found * math.sqrt((n - 2) / max(1e-12, 1 - found**2))
    weights = rise_weights(scores)
    p = effects(weights, np.column_stack([np.ones(n), line])).p(t)
    return found, max(p, 1 / math.factorial(min(n, 20)))  # one order of all has the least p


@cache
def _rising(n: int) -> float:
    return _rise(range(n))[1]


def onset(values: Sequence[float], *, seed: int = 0) -> Onset | None:
    """Find where values rise to a new level, and how likely that is by chance.

    For each place, the standardised sum of the ranks behind it; the largest of these is held
    against those of series without a new level, whose neighbours are correlated as these values'
    may be. That the place was searched for is thereby accounted for, and a single value can be as
    large as it likes without being taken for a new level.

    Args:
        values: in the order of time.
        seed: of the series that are drawn.

    Returns:
        ``None`` for fewer than two regimes of ``SHORTEST_REGIME`` values.

    Source: Lausen and Schumacher (1992), "Maximally selected rank statistics"; Pettitt (1979) for
        ranks in change-point problems.
    """
    n = len(values)
    if n < 2 * SHORTEST_REGIME:
        return None
    index, p = _new_level(values, seed)
    before, after = np.mean(values[:index]), np.mean(values[index:])
    return Onset(
        index=index,
        factor=float(after / before) if before > 0 else math.inf,
        p=p,
        smallest_p=_two_levels(n),
    )


def _new_level(values: Sequence[float], seed: int) -> tuple[int, float]:
    """Return the likeliest first value of a new level, and the p-value of there being one."""
    n = len(values)
    ranks = scipy.stats.rankdata(values)
    found = _rank_scores(ranks[None])[0]
    least = found.max() - 1e-9  # what differs by rounding alone is a tie
    generator = np.random.default_rng(seed)
    scores = normal_scores(ranks)
    weights = rise_weights(scores) if scores.any() else None
    rho = generator.choice(RHO, _DRAWN, p=weights)
    by_chance = 0
    for part in batches(_DRAWN, n):
        places = drawn(rho[part], n, generator).argsort(axis=1).argsort(axis=1)
        by_chance += int((_rank_scores(places + 1.0).max(axis=1) >= least).sum())
    return int(found.argmax()) + SHORTEST_REGIME, (1 + by_chance) / (1 + _DRAWN)


@cache
def _two_levels(n: int) -> float:
    """Return the p-value of two clear levels, within which values go up and down by turns."""
    half = n // 2
    low, high = _by_turns(half), _by_turns(n - half)
    return _new_level([*low, *(half + value for value in high)], 0)[1]


def _by_turns(n: int) -> list[int]:
    """Return 0, n - 1, 1, n - 2 ..."""
    return [n - 1 - k // 2 if k % 2 else k // 2 for k in range(n)]


def _rank_scores(ranks: NDArray[Any]) -> Floats:
    """Return each row's standardised rank sums behind each place that splits it in two regimes."""
    n = ranks.shape[1]
    before = np.arange(SHORTEST_REGIME, n - SHORTEST_REGIME + 1)
    sums = ranks.sum(axis=1, keepdims=True) - ranks.cumsum(axis=1)[:, before - 1]
    after = n - before
    return np.asarray((sums - after * (n + 1) / 2) / np.sqrt(before * after * (n + 1) / 12))


def neighbours(values: Sequence[float]) -> float:
    """Return the correlation of each value with the next, in units of its chance deviation.

    Above 2 or so, values next to one another clearly resemble one another; 0 for constant values.

    Source: Bartlett (1946): without correlation, its standard deviation is about ``1 / sqrt(n)``.
    """
    off = np.array(values) - np.mean(values)
    total = float(off @ off)
    return float(off[1:] @ off[:-1]) / total * math.sqrt(len(off)) if total > 0 else 0.0
