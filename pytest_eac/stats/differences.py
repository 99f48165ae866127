"""Is one method above another on the same items, and by how much?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from pytest_eac.stats.intervals import newcombe, student
from pytest_eac.stats.means import mean_interval, p_above
from pytest_eac.stats.paired import Interval, resampled
from pytest_eac.stats.power import POWER, needed_above, needed_signs

if TYPE_CHECKING:
    from collections.abc import Sequence

# Fewer repeat themselves too often in resamples for a bootstrap interval.
_FEW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far one column is above another, item by item.

    Attributes:
        mean: the mean difference, the effect; with its interval, which does not know of ``by``.
            Where numbers have no known range and all differences are equal, it has no ends: these
            do not show how others would scatter.
        n: the number of pairs.
        tests: p-values by the test's name; the first decides. ``McNemar`` and ``bounded mean`` test
            whether the mean difference is at most ``by``, ``sign`` whether at most half of the
            differences are above it.
        gained: how many items the first column has right and the second has not; ``None`` where
            items are not just right or wrong.
        lost: the other way round.
    """

    mean: Interval
    n: int
    tests: dict[str, float]
    gained: int | None = None
    lost: int | None = None

    @property
    def p(self) -> float:
        """The p-value that decides."""
        return next(iter(self.tests.values()))


def difference(
    one: Sequence[float],
    two: Sequence[float],
    *,
    by: float = 0.0,
    shares: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Test whether ``one`` is above ``two`` by more than ``by``, on the same items.

    - Right or wrong (0 or 1), ``by`` of 0: McNemar's exact test, of gained against lost.
    - Other scores between 0 and 1, or another ``by``: :func:`pytest_eac.stats.means.p_above` of the
      differences, which are -1 or more. Its level holds where most are a little better and a few
      are much worse; that of tests which change signs or rank does not.
    - Numbers without a known range (deviations, nats): the exact sign test. Nothing bounds the mean
      of such numbers, since rare ones may be as large as they like; whether more than half of the
      pairs are above ``by`` can be tested whatever their distribution.

    The interval of the mean difference is Newcombe's for right or wrong, and otherwise that of
    :func:`pytest_eac.stats.means.mean_interval`. Numbers without a known range have BCa's bootstrap
    interval from ten differences on, and Student's t for fewer.

    Args:
        one: the numbers that should be higher, at least one.
        two: those of the same items in the same order.
        by: the smallest difference that matters.
        shares: whether all numbers are scores between 0 and 1.
        confidence: the level of the interval.
        seed: of resamples.

    Source: McNemar (1947); Bahadur and Savage (1956), for means without a range.
    """
    first, second = (np.asarray(column, dtype=float) for column in (one, two))
    gaps = first - second
    counts = _counts(gaps) if _are_binary(first, second) else None
    if counts and not by:
        tests = {"McNemar": _more_than_half(*counts)}
    elif shares:
        tests = {"bounded mean": p_above(gaps.tolist(), by, low=-1.0)}
    else:
        tests = {"sign": _more_than_half(*_counts(gaps - by))}
    gained, lost = counts or (None, None)
    if gained is not None and lost is not None:
        both = int((first * second).sum())
        low, high = newcombe(
            both, gained, lost, len(gaps) - both - gained - lost, confidence=confidence
        )
        mean = Interval(value=float(gaps.mean()), low=low, high=high)
    else:
        mean = _mean(gaps, shares=shares, confidence=confidence, seed=seed)
    return Difference(mean=mean, n=len(gaps), tests=tests, gained=gained, lost=lost)


def needed(
    one: Sequence[float],
    two: Sequence[float],
    *,
    level: float,
    by: float = 0.0,
    shares: bool = True,
    power: float = POWER,
) -> int | None:
    """Return about how many pairs like these would bring ``difference`` to a p-value of ``level``.

    With a chance of ``power``; ``None`` where no number would, or the pairs at hand cannot tell.
    """
    first, second = (np.asarray(column, dtype=float) for column in (one, two))
    gaps = first - second
    if shares and (by or not _are_binary(first, second)):
        return needed_above(gaps.tolist(), by, level=level, low=-1.0, high=1.0, power=power)
    gained, lost = _counts(gaps - by)
    return needed_signs(gained, lost, len(gaps) - gained - lost, level=level, power=power)


def _are_binary(*columns: Any) -> bool:
    return all(bool(np.isin(column, (0.0, 1.0)).all()) for column in columns)


def _counts(gaps: Any) -> tuple[int, int]:
    return int((gaps > 0).sum()), int((gaps < 0).sum())


def _more_than_half(gained: int, lost: int) -> float:
    """Return the exact p-value of as many gained of those that changed; 1 where none did."""
    changed = gained + lost
    if not changed:
        return 1.0
    return float(scipy.stats.binomtest(gained, changed, alternative="greater").pvalue)


def _mean(gaps: Any, *, shares: bool, confidence: float, seed: int) -> Interval:
    values = [float(gap) for gap in gaps]
    value = float(gaps.mean())
    if shares:
        low, high = mean_interval(values, low=-1.0, confidence=confidence)
        return Interval(value=value, low=low, high=high)
    if len(set(values)) == 1:
        return Interval(value=value, low=None, high=None)
    if len(values) < _FEW:
        ends = student(values, confidence=confidence) or (None, None)
        return Interval(value=value, low=ends[0], high=ends[1])
    return resampled(lambda column: column.mean(axis=-1), values, confidence=confidence, seed=seed)
