"""Is the mean of scores between 0 and 1 above a limit, and how many would it take to say so?"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, fsum, log, log1p, sqrt
from statistics import fmean, pstdev

import numpy as np
import scipy

from pytest_eac.stats.foreseen import Foreseen, first_that_passes

# The number of equally likely values of an unknown share that a chance is averaged over.
_PLACES = 100
# The numbers of scores that are tried: every one up to 60, then in steps of 5%.
_EACH, _STEP, _MOST = 60, 1.05, 100_000


def p_above(scores: Sequence[float], limit: float) -> float:
    """Return the p-value of the hypothesis that the mean is below ``limit``.

    ``P(w_0 0 + w_1 x_1 + ... + w_n x_n <= limit)`` for weights ``w`` that are uniform on the
    simplex; the score of 0 that is added is the lowest one possible. Where every score is 0 or 1,
    this is the exact binomial test of Clopper and Pearson. For scores in between, no distribution
    is known for which it rejects more often than its level, but there is no proof that none exists.

    Args:
        scores: independent, each between 0 and 1, at least one.
        limit: the mean to be reached; one of 0 or less is reached by any scores.

    Source: Gaffke (2005), "Three test statistics for a nonparametric one-sided hypothesis on the
    mean of a nonnegative variable"; Learned-Miller and Thomas (2019), arXiv 1905.06208.
    """
    if limit <= 0:
        return 0.0
    above = [score for score in scores if score]
    if len(set(above)) <= 1:  # nothing, or one score beside it
        share = min(1.0, limit / max(above, default=1.0))
        return float(scipy.stats.binom.sf(len(above) - 1, len(scores), share))
    values, counts = np.unique(np.append(scores, 0.0), return_counts=True)
    return _share_at_most(values - limit, counts)


def _share_at_most(values: np.ndarray, counts: np.ndarray) -> float:
    """Return the probability that the mean of values with uniform weights is 0 or less.

    Uniform weights on the simplex are independent exponential variables over their sum, so this is
    the probability that ``sum(c_j E_j)`` is not positive; it is computed by inversion of the
    characteristic function.

    Source: Imhof (1961), for sums of chi-squared numbers, of which these are some.
    """
    if values.max() <= 0:
        return 1.0
    scaled = values / sqrt(float(counts @ values**2))

    def integrand(t: float) -> float:
        turns = scaled * t
        size = float(counts @ np.log1p(turns**2)) / 2
        return float(np.sin(counts @ np.arctan(turns)) * np.exp(-size)) / t

    # The integrand falls like a normal density, or for few values like a power of t.
    ends = np.concatenate([[0.0], np.geomspace(0.5, 2.0**12, 14)])
    parts = (scipy.integrate.quad(integrand, *pair, limit=200) for pair in pairwise(ends))
    found = 0.5 - sum(part for part, _ in parts) / np.pi
    return float(min(1.0, max(0.0, found)))


def needed_above(scores: Sequence[float], limit: float, *, level: float) -> Foreseen | None:
    """Return how many scores like these it takes for ``p_above`` to be at most ``level``.

    The chance is averaged over what the true mean may be, given these scores (Jeffreys' prior where
    they are 0 or 1, else Student's t).

    Returns:
        The number and its chance; ``None`` where no number has a chance of 0.5.

    Args:
        scores: the scores at hand.
        limit: at least 0.
        level: what the p-value has to reach, in (0, 1).

    Source: Spiegelhalter, Freedman and Blackburn (1986), for predictive power.
    """
    if limit >= 1:
        return None
    counts = candidate_counts()
    if set(scores) <= {0.0, 1.0}:
        return first_that_passes(counts, _binary_chances(scores, counts, limit, level))
    mean, spread, n = fmean(scores), pstdev(scores), len(scores)
    if mean <= limit or n < 2:
        return None
    # Equal scores pass from here on: p_above is then (limit / mean) ** n.
    least = ceil(log(level) / log(limit / mean)) if limit > 0 else 1
    spread = max(spread * sqrt(n / (n - 1)), 1e-12)
    # What p_above weighs: the scores and a score of 0 besides.
    center = counts * mean / (counts + 1)
    squares = counts * (mean**2 + spread**2) / (counts + 1)
    scale = np.sqrt((squares - center**2) / (counts + 2))
    ahead = center - limit - float(scipy.stats.norm.isf(level)) * scale
    reach = ahead / (spread * np.sqrt(1 / n + 1 / counts))
    chances = np.where(counts >= least, scipy.stats.t.cdf(reach, n - 1), 0.0)
    return first_that_passes(counts, chances)


def candidate_counts() -> np.ndarray:
    """Return the numbers of scores, or of pairs, that are tried."""
    steps = int(log(_MOST / _EACH) / log(_STEP))
    beyond = np.ceil(_EACH * _STEP ** np.arange(1, steps + 1))
    return np.concatenate([np.arange(1, _EACH + 1), beyond])


def _binary_chances(
    scores: Sequence[float], counts: np.ndarray, limit: float, level: float
) -> np.ndarray:
    """Return, for each count, the chance that as many new scores of 0 or 1 would pass."""
    right = fsum(scores)
    places = (np.arange(_PLACES) + 0.5) / _PLACES
    shares = scipy.stats.beta.ppf(places, right + 0.5, len(scores) - right + 0.5)
    # The smallest sum whose p-value is low enough.
    least = scipy.stats.binom.isf(level, counts, limit) + 1
    found = scipy.stats.binom.sf(least[:, None] - 1, counts[:, None], shares)
    return np.asarray(found.mean(axis=1))


def fewest_without_loss(most: float, *, level: float) -> int:
    """Return how many items show that at most ``most`` is lost on average, if none changes.

    Args:
        most: the largest mean loss that is allowed, in (0, 1), of scores between 0 and 1.
        level: what the p-value of :func:`p_above` has to reach, in (0, 1).
    """
    return ceil(log(level) / log1p(-most) - 1e-9)


def chance_to_bound_a_loss(n: int, most: float, *, level: float, lost: float) -> float:
    """Return the chance that n items show that at most ``most`` is lost on average.

    The items are right or wrong, and those that change were right and are wrong now: the test is
    then an exact binomial one.

    Args:
        n: how many items.
        most: the largest mean loss that is allowed, in (0, 1).
        level: of the test.
        lost: the true share of items that are lost.
    """
    allowed = int(scipy.stats.binom.ppf(level, n, most))
    if scipy.stats.binom.cdf(allowed, n, most) > level:
        allowed -= 1  # the number of losses whose p-value is low enough
    return float(scipy.stats.binom.cdf(allowed, n, lost))
