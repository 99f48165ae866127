"""How many scores it would take for a test to reject, with a stated chance.

What the scores at hand leave open about the true distribution is averaged over: a number that takes
their mean for the true one promises more than it keeps, just where few scores are all right.
"""

from __future__ import annotations

from math import ceil, log, log2
from typing import TYPE_CHECKING

import numpy as np
import scipy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

POWER = 0.8
"""The chance with which a test is to reject, where nothing else is said."""
_DRAWS = 1000
# Quantiles of a true share, which stand for all.
_MIDDLES = (np.arange(100) + 0.5) / 100
# Counts that are looked at: each of the first, and from there on steps of about 2 %.
_EACH = 200
_MOST = 100_000
_COUNTS = np.unique(np.concatenate([np.arange(1, _EACH), np.geomspace(_EACH, _MOST, 300).round()]))


def least_above(top: float, limit: float, *, level: float, low: float = 0.0) -> int | None:
    """Return the least number of scores that can bring ``p_above`` down to ``level``.

    That is, if each of them is ``top``; ``None`` where not even these are above the limit.
    """
    if top <= limit:
        return None
    if limit <= low:
        return 1
    return ceil(log(1 / level) / log((top - low) / (limit - low)) - 1e-9)


def needed_above(
    scores: Sequence[float],
    limit: float,
    *,
    level: float,
    low: float = 0.0,
    high: float = 1.0,
    power: float = POWER,
) -> int | None:
    """Return how many scores like these it takes for ``p_above`` to be at most ``level``.

    From there on it is, with a chance of ``power`` or more, counting that the scores at hand are
    but a sample. Exact for scores at one of the two ends, whose number is then beta-binomial; else
    with draws of distributions on these scores and both ends (a Bayesian bootstrap), and the
    test's normal form. Both take a uniform prior.

    Args:
        scores: the scores at hand.
        limit: the mean to be exceeded.
        level: what the p-value has to reach, in (0, 1).
        low: the lowest score that is possible.
        high: the highest.
        power: with which chance.

    Returns:
        ``None`` where no number up to 100,000 would do: the scores leave more than ``1 - power``
        to a true mean that is not above the limit.

    Source: Spiegelhalter, Abrams and Myles (2004), section 6.5, for predictive power; Rubin (1981),
    "The Bayesian bootstrap".
    """
    if limit <= low:
        return 1
    if limit >= high:
        return None
    if set(scores) <= {low, high}:
        right, n = sum(score == high for score in scores), len(scores)
        least = scipy.stats.binom.isf(level, _COUNTS, (limit - low) / (high - low)) + 1
        shares = scipy.stats.beta.ppf(_MIDDLES, right + 1, n - right + 1)[:, None]
        chances = scipy.special.betainc(least, np.maximum(_COUNTS - least + 1, 1e-9), shares)
        return _first(np.where(least > _COUNTS, 0.0, chances.mean(axis=0)), power)
    points = np.array([*scores, low, high], dtype=float)
    against = float(scipy.stats.norm.isf(level))

    def reach(mean: Any, variance: Any, n: Any) -> Any:
        extra = (mean - low) ** 2 * n / (n + 1)
        spread = np.sqrt((n * variance + extra) / ((n + 1) * (n + 2)))
        return ((limit + against * spread) * (n + 1) - low) / n

    return _first(
        _averaged(points, reach), power, least_above(max(scores), limit, level=level, low=low)
    )


def needed_signs(
    gained: int, lost: int, same: int, *, level: float, power: float = POWER
) -> int | None:
    """Return how many pairs like these bring McNemar's test to ``level``, with chance ``power``.

    As :func:`needed_above`, over what the counts leave open about the three true shares.

    Source: Connor (1987), for the power at known shares.
    """
    if gained <= lost:
        return None
    against = float(scipy.stats.norm.isf(level))

    def reach(mean: Any, variance: Any, n: Any) -> Any:
        return against * np.sqrt((variance + mean**2) / n) + 1 / n  # one pair for what is discrete

    points = np.repeat([1.0, -1.0, 0.0], [gained + 1, lost + 1, same + 1])
    changed = (gained + lost) / (gained + lost + same)
    return _first(_averaged(points, reach), power, ceil(log2(1 / level) / changed))


def chance_of_no_more_loss(n: int, most: float, *, level: float, lost: float) -> float:
    """Return the chance that n items show that at most a share ``most`` is lost.

    Each item is right or wrong, and those that change were right and no longer are.

    Args:
        n: how many items.
        most: the largest loss that is allowed, in (0, 1).
        level: of the test.
        lost: the true share of items that are lost.
    """
    allowed = int(scipy.stats.binom.ppf(level, n, most))  # losses whose p-value may be low enough
    if scipy.stats.binom.cdf(allowed, n, most) > level:
        allowed -= 1
    return float(scipy.stats.binom.cdf(allowed, n, lost)) if allowed >= 0 else 0.0


def _averaged(points: Any, reach: Callable[[Any, Any, Any], Any]) -> Any:
    """Return the chance that a mean of n reaches what it must, for each count.

    Args:
        points: where the drawn distributions have their weight, uniformly distributed.
        reach: the mean that n scores must have, by the true mean, the true variance, and n.
    """
    weights = np.random.default_rng(0).dirichlet(np.ones(len(points)), _DRAWS)
    means = weights @ points
    variances = np.maximum(weights @ points**2 - means**2, 1e-12)
    chances = []
    for n in _COUNTS:
        ahead = means - reach(means, variances, n)
        chances.append(scipy.special.ndtr(ahead * np.sqrt(n / variances)).mean())
    return np.array(chances)


def _first(chances: Any, power: float, least: int | None = 1) -> int | None:
    """Return the first count, at least ``least``, from which on all chances are high enough."""
    [too_low] = np.nonzero(chances < power)
    place = too_low[-1] + 1 if len(too_low) else 0
    if place == len(_COUNTS) or least is None:
        return None
    return max(int(_COUNTS[place]), least)
