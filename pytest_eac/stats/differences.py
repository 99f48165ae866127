"""Is one method above another on the same items, and by how much?"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
import scipy

from pytest_eac.stats.intervals import newcombe, student, student_between
from pytest_eac.stats.means import needed_above, p_above
from pytest_eac.stats.paired import Interval, resampled

# All signs are gone through up to 13 differences, 2 ** 13 = 8192; beyond that, this many are drawn.
_FLIPS = 9999
# Numbers in the draws that are held at once.
_BATCH = 2**22
# Fewer repeat themselves too often in resamples for a bootstrap interval.
_FEW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far one column is above another, item by item.

    Attributes:
        mean: the mean difference, the effect; with its interval, which does not know of ``by``.
            Where items are more than right or wrong and all differences are equal, it has no ends:
            these do not show how others would scatter.
        n: the number of pairs.
        tests: p-values of the hypothesis that the mean difference is at most ``by``, by the test's
            name; the first decides.
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
    - Right or wrong with another ``by``, and shares with a ``by`` below 0 (``one`` may be a little
      worse): :func:`pytest_eac.stats.means.p_above` of the differences, brought to the range from 0
      to 1. Below 0 what is gained counts no more than what is equal.
    - All else: the differences beyond ``by`` change their signs, in every way or in 9,999 draws,
      which is exact where they lie evenly around ``by``; and Wilcoxon's signed-rank test beside it.

    The interval of the mean difference is Newcombe's for right or wrong, BCa's bootstrap from ten
    differences on, and Student's t for fewer (for shares on the scale of ``atanh``). That of shares
    lies between -1 and 1.

    Args:
        one: the numbers that should be higher, at least one.
        two: those of the same items in the same order.
        by: the smallest difference that matters.
        shares: whether all numbers are scores between 0 and 1.
        confidence: the level of the interval.
        seed: of resamples and draws.

    Source: McNemar (1947); Wilcoxon (1945); Fisher (1935), The Design of Experiments, section 21.
    """
    first, second = (np.asarray(column, dtype=float) for column in (one, two))
    gaps = first - second
    gained = lost = None
    if _are_binary(first, second):
        gained, lost = int((gaps > 0).sum()), int((gaps < 0).sum())
    if by and shares and (by < 0 or gained is not None):
        tests = {"mean of differences": p_above(*_as_scores(gaps, by))}
    elif gained is not None and lost is not None and not by:
        tests = {"McNemar": _mcnemar(gained, lost)}
    else:
        tests = _by_sign_and_rank(gaps - by, seed)
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
    power: float = 0.8,
) -> int | None:
    """Return about how many pairs like these would bring ``difference`` to a p-value of ``level``.

    With probability ``power``; ``None`` where no number would, the mean not being beyond ``by``.

    Source: Connor (1987) for right or wrong; for changed signs, the same with the differences' own
    second moment.
    """
    first, second = (np.asarray(column, dtype=float) for column in (one, two))
    gaps = first - second
    if by and shares and (by < 0 or _are_binary(first, second)):
        scores, limit = _as_scores(gaps, by)
        return needed_above(scores, limit, level=level, power=power)
    gaps = gaps - by
    mean = float(gaps.mean())
    if mean <= 0:
        return None
    changed = float(scipy.stats.norm.isf(level)) * float(np.sqrt((gaps**2).mean()))
    about = ceil(((changed + float(scipy.stats.norm.ppf(power)) * float(gaps.std())) / mean) ** 2)
    # Signs alone make 2 ** -k at best, of k differences that are not 0.
    return max(about, ceil(log2(1 / level) / float((gaps != 0).mean())))


def _are_binary(*columns: Any) -> bool:
    return all(bool(np.isin(column, (0.0, 1.0)).all()) for column in columns)


def _mcnemar(gained: int, lost: int) -> float:
    changed = gained + lost
    if not changed:
        return 1.0
    return float(scipy.stats.binomtest(gained, changed, alternative="greater").pvalue)


def _by_sign_and_rank(gaps: Any, seed: int) -> dict[str, float]:
    gaps = gaps[gaps != 0]  # what is equal says nothing of the direction
    if not len(gaps):
        return {"sign flips": 1.0, "Wilcoxon": 1.0}
    return {
        "sign flips": _flipped(gaps, seed),
        "Wilcoxon": float(scipy.stats.wilcoxon(gaps, alternative="greater").pvalue),
    }


def _flipped(gaps: Any, seed: int) -> float:
    if len(gaps) == 1:  # nothing to permute, says scipy: one sign is as likely as the other
        return 0.5 if gaps[0] > 0 else 1.0
    found = scipy.stats.permutation_test(
        (gaps,),
        lambda column, axis: column.mean(axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=_FLIPS,
        vectorized=True,
        batch=max(1, _BATCH // len(gaps)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _as_scores(gaps: Any, by: float) -> tuple[list[float], float]:
    """Bring differences of shares to the range from 0 to 1, and ``by`` with them."""
    cap = 1.0 if by > 0 else 0.0
    scores = (np.minimum(gaps, cap) + 1) / (1 + cap)
    return [float(score) for score in scores], (by + 1) / (1 + cap)


def _mean(gaps: Any, *, shares: bool, confidence: float, seed: int) -> Interval:
    values = [float(gap) for gap in gaps]
    value = float(gaps.mean())
    if len(set(values)) == 1:
        return Interval(value=value, low=None, high=None)
    if len(values) < _FEW:
        ends = student_between if shares else student
        low, high = ends(values, confidence=confidence) or (None, None)
        return Interval(value=value, low=low, high=high)
    return resampled(lambda column: column.mean(axis=-1), values, confidence=confidence, seed=seed)
