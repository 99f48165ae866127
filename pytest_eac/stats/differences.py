"""Is one method above another on the same items, and by how much?"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
import scipy

from pytest_eac.stats.foreseen import Foreseen, first_that_passes
from pytest_eac.stats.intervals import newcombe, student, student_between
from pytest_eac.stats.means import candidate_counts, needed_above, p_above
from pytest_eac.stats.paired import Interval, resampled

# Standard errors that leave a chance of 0.8.
_MOSTLY = 0.8416212335729143
# Draws of what the pairs leave open.
_DRAWN = 100
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
        tests: the p-value of the hypothesis that the mean difference is at most ``by``, by the
            test's name.
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
    noise: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Test whether ``one`` is above ``two`` by more than ``by``, on the same items.

    - Right or wrong (0 or 1), ``by`` of 0: McNemar's exact test, of gained against lost.
    - Other shares: :func:`pytest_eac.stats.means.p_above` of the differences, brought to the range
      from 0 to 1. It holds however skewed they are: slightly better mostly, rarely much worse.
    - Numbers of whole models, and all numbers with ``noise``: a permutation test that flips the
      signs of the differences beyond ``by``, in all ways or in 9,999 random ones. It is exact where
      the differences are symmetric around ``by``, as those of two runs of the same thing are.

    The interval of the mean difference is Newcombe's for right or wrong, BCa's bootstrap from ten
    differences on, and Student's t for fewer (for shares on the scale of ``atanh``). That of shares
    lies between -1 and 1.

    Args:
        one: the numbers that should be higher, at least one.
        two: those of the same items in the same order.
        by: the smallest difference that matters.
        shares: whether all numbers are scores between 0 and 1.
        noise: whether the hypothesis is that both columns differ by noise alone, rather than that
            their mean difference is at most ``by``.
        confidence: the level of the interval.
        seed: of resamples and draws.

    Source: McNemar (1947); Fisher (1935), The Design of Experiments, section 21.
    """
    first, second = (np.asarray(column, dtype=float) for column in (one, two))
    gaps = first - second
    gained = lost = None
    if _are_binary(first, second):
        gained, lost = int((gaps > 0).sum()), int((gaps < 0).sum())
    if gained is not None and lost is not None and not by:
        tests = {"McNemar": _mcnemar(gained, lost)}
    elif shares and not noise:
        tests = {"mean of differences": p_above(*_as_scores(gaps, by))}
    else:
        tests = {"sign flips": _flipped(gaps[gaps != by] - by, seed)}
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
) -> Foreseen | None:
    """Return about how many pairs like these would bring ``difference`` to a p-value of ``level``.

    ``None`` where no number has a chance of 0.5: the mean is not beyond ``by``.

    Source: Spiegelhalter, Freedman and Blackburn (1986), for predictive power; for changed signs,
    whose chance is not computed, Connor (1987) with the differences' own second moment.
    """
    first, second = (np.asarray(column, dtype=float) for column in (one, two))
    gaps = first - second
    if shares and not by and _are_binary(first, second):
        return _needed_mcnemar(int((gaps > 0).sum()), int((gaps < 0).sum()), len(gaps), level)
    if shares:
        scores, limit = _as_scores(gaps, by)
        return needed_above(scores, limit, level=level)
    gaps = gaps - by
    mean = float(gaps.mean())
    if mean <= 0:
        return None
    changed = float(scipy.stats.norm.isf(level)) * float(np.sqrt((gaps**2).mean()))
    about = ceil(((changed + _MOSTLY * float(gaps.std())) / mean) ** 2)
    # Signs alone make 2 ** -k at best, of k differences that are not 0.
    return Foreseen(count=max(about, ceil(log2(1 / level) / float((gaps != 0).mean()))))


def _needed_mcnemar(gained: int, lost: int, n: int, level: float) -> Foreseen | None:
    """Return how many pairs would decide, given how many of n were gained and lost."""
    if gained <= lost:
        return None
    generator = np.random.default_rng(0)
    parts = generator.dirichlet([gained + 0.5, lost + 0.5, n - gained - lost + 0.5], _DRAWN)
    changed = parts[:, 0] + parts[:, 1]
    counts = candidate_counts()
    expected = np.round(counts[:, None] * changed)
    least = scipy.stats.binom.isf(level, expected, 0.5) + 1
    passed = scipy.stats.binom.sf(least - 1, expected, parts[:, 0] / changed)
    return first_that_passes(counts, passed.mean(axis=1))


def _are_binary(*columns: Any) -> bool:
    return all(bool(np.isin(column, (0.0, 1.0)).all()) for column in columns)


def _mcnemar(gained: int, lost: int) -> float:
    changed = gained + lost
    if not changed:
        return 1.0
    return float(scipy.stats.binomtest(gained, changed, alternative="greater").pvalue)


def _flipped(gaps: Any, seed: int) -> float:
    """Return the p-value of numbers that are not 0: what is equal says nothing of the direction."""
    if not len(gaps):
        return 1.0
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
    """Bring differences of shares to the range from 0 to 1, and ``by`` with them.

    Those of right and wrong are -1, 0 and 1; of 0 and 1 alone, or -1 and 0, the test is then the
    exact binomial test, whatever the scale.
    """
    return ((gaps + 1) / 2).tolist(), (by + 1) / 2


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
