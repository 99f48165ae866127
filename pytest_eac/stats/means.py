"""Is the mean of scores between 0 and 1 above a limit, and how many would it take to say so?"""

from collections.abc import Sequence
from math import ceil, fsum, sqrt
from statistics import fmean, pstdev

import numpy as np
import scipy

# Up to here the number of scores is searched for exactly; beyond, the normal form is as good.
_EXACT = 2000
# Sums of thirds and the like fall short of whole numbers by rounding.
_ROUNDING = 1e-9


def p_above(scores: Sequence[float], limit: float) -> float:
    """Return the p-value of the hypothesis that the mean is below ``limit``.

    ``P(X >= floor(sum of the scores))`` for ``X`` binomial of ``n`` draws at ``limit``. That is the
    exact test where every score is 0 or 1. Other scores with the same mean vary less, so that the
    test is then too careful rather than too bold: its level is held for every distribution of two
    points (the tests go through them), and within a factor of e for every other whatsoever.

    Args:
        scores: independent, each between 0 and 1, at least one.
        limit: the mean to be reached; one of 0 or less is reached by any scores.

    Source: Clopper and Pearson (1934); for scores in between, Bentkus (2004), "On Hoeffding's
    inequalities", theorem 1.2.
    """
    if limit <= 0:
        return 0.0
    whole = int(fsum(scores) + _ROUNDING)
    return float(scipy.stats.binom.sf(whole - 1, len(scores), min(limit, 1.0)))


def needed_above(
    scores: Sequence[float], limit: float, *, level: float, power: float = 0.8
) -> int | None:
    """Return how many scores like these it takes for ``p_above`` to be at most ``level``.

    So many that it is, from there on, with probability ``power`` or more. Exact where the scores
    are 0 or 1, else with a normal sum of the scores' own mean and variance.

    Returns:
        ``None`` where no number would do: the mean is not above the limit.

    Args:
        scores: the scores at hand.
        limit: at least 0.
        level: what the p-value has to reach, in (0, 1).
        power: with which probability.
    """
    mean, spread = fmean(scores), pstdev(scores)
    if mean <= limit:
        return None
    against, wanted = float(scipy.stats.norm.isf(level)), float(scipy.stats.norm.ppf(power))
    widths = against * sqrt(limit * (1 - limit)) + wanted * spread
    about = max(1, ceil((widths / (mean - limit)) ** 2))
    if about > _EXACT:
        return about
    counts = np.arange(1, 2 * about + 200)
    # The smallest sum whose p-value is low enough.
    least = scipy.stats.binom.isf(level, counts, limit) + 1
    if set(scores) <= {0.0, 1.0}:
        found = scipy.stats.binom.sf(least - 1, counts, mean)
    else:
        z = (least - counts * mean) / (np.sqrt(counts) * max(spread, _ROUNDING))
        found = scipy.stats.norm.sf(z)
    too_few: list[int] = counts[found < power].tolist()
    return max(too_few, default=0) + 1
