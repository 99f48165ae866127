"""The mean of scores with a known range: is it above a limit, and what is its interval?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def p_above(scores: Sequence[float], limit: float, *, low: float = 0.0) -> float:
    """Return the p-value of the hypothesis that the mean is at most ``limit``.

    Gaffke's test. With weights ``w`` that are uniform over all weights with sum 1 (the spacings of
    ``n`` uniform numbers), ``p = P(w_0 low + sum_i w_i x_i <= limit)``. Of scores that are 0 or 1
    this is the exact binomial test (Clopper and Pearson). It asks nothing of the distribution but
    its lower end: one rare, very low score can never be ruled out, and ``low`` stands for it.

    That its level holds for every distribution is proved for distributions on two points, and
    conjectured for all others; no exception is known (docs/verdicts.md has simulations).

    Args:
        scores: independent, none below ``low``, at least one.
        limit: the mean to be exceeded; one at or below ``low`` is reached by any scores.
        low: the lowest score that is possible.

    Source: Gaffke (2005), "Three test statistics for a nonparametric one-sided hypothesis on the
    mean of a nonnegative variable"; Learned-Miller and Thomas (2019), "A new confidence interval
    for the mean of a bounded random variable".
    """
    if limit <= low:
        return 0.0
    gaps = np.append(np.asarray(scores, dtype=float), low) - limit
    return _overtaken(gaps[gaps > 0], -gaps[gaps < 0])


def mean_interval(
    scores: Sequence[float], *, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the means that :func:`p_above`, and its mirror image, do not reject.

    Clopper and Pearson's interval where every score is at one of the two ends.

    Args:
        scores: independent, between ``low`` and ``high``, at least one.
        low: the lowest score that is possible.
        high: the highest.
        confidence: the level, in (0, 1); half of what it leaves is on either side.
    """
    tail = (1 - confidence) / 2
    return (
        _least_mean(scores, low, tail),
        -_least_mean([-score for score in scores], -high, tail),
    )


def _least_mean(scores: Sequence[float], low: float, tail: float) -> float:
    """Return the lowest mean that is not rejected: where the p-value is ``tail``."""
    top = max(scores)
    if top <= low:
        return low
    at = sum(score == top for score in scores)
    if all(score in {low, top} for score in scores):  # two points: in closed form
        share = scipy.stats.beta.ppf(tail, at, len(scores) - at + 1)
        return low + (top - low) * float(share)
    return float(
        scipy.optimize.brentq(lambda limit: p_above(scores, limit, low=low) - tail, low, top)
    )


def _overtaken(ahead: Any, behind: Any) -> float:
    """Return the chance that a sum of exponential times is below another.

    ``sum_i w_i gap_i <= 0`` says that of two runners one, whose stages take exponential times with
    the means ``ahead``, is in no later than the other, with the means ``behind``. A stage of mean a
    ends before one of mean b with probability ``b / (a + b)``, whatever went before: the chance
    follows stage by stage, in sums of positive terms alone, without a draw.

    Args:
        ahead: (n,) means of the first runner's stages, positive.
        behind: (m,) means of the other's, positive.
    """
    n, m = len(ahead), len(behind)
    if not n:
        return 1.0
    if (ahead == ahead[0]).all() and (behind == behind[0]).all():  # n successes before m failures
        success = behind[0] / (ahead[0] + behind[0])
        return float(scipy.stats.binom.sf(n - 1, n + m - 1, success))
    # chances[i]: that the first is in before the other, with i and stages - i stages to go.
    chances = np.zeros(n + 1)
    chances[0] = 1.0
    for stages in range(2, n + m + 1):
        first, last = max(1, stages - m), min(n, stages - 1)
        mine, theirs = ahead[first - 1 : last], behind[stages - last - 1 : stages - first][::-1]
        won = theirs / (mine + theirs)
        chances[first : last + 1] = (
            won * chances[first - 1 : last] + (1 - won) * chances[first : last + 1]
        )
    return float(chances[n])
