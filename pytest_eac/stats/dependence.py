"""How much neighbouring values resemble one another, and what that takes from a test.

Edits that are sorted by kind move the weights alike; a test that takes them to be independent is
far too sure. Here, neighbours have a correlation ``rho``, those k places apart ``rho^k`` (an
autoregressive process of order 1). A short series leaves ``rho`` open, so no single estimate of it
is used: each ``rho`` has a weight, its probability given the values, and p-values and intervals
are averaged with these weights.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from pytest_eac.stats.series import Floats

RHO = np.linspace(0.0, 0.9, 19)
"""The correlations that are tried; negative ones would only make tests less careful."""
SHORTEST_REGIME = 3
"""A new level has at least this many values on either side: one value alone is no regime."""
_LEAST_SQUARES = 1e-10
"""The least mean square of residuals, for values that fit exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """What dependence takes from Student's t of a regression; a value per entry of ``RHO``.

    Attributes:
        weights: how likely each is; they sum to 1.
        inflation: by what the variance of t grows.
        freedom: effective degrees of freedom of the residuals (Satterthwaite).
        spread: the standard deviation of independent errors over that of the residuals.
    """

    weights: tuple[float, ...]
    inflation: tuple[float, ...]
    freedom: tuple[float, ...]
    spread: tuple[float, ...]

    @property
    def rho(self) -> float:
        """The mean correlation of neighbours."""
        return float(self.weights @ RHO)

    @property
    def mean_freedom(self) -> float:
        """The mean of the degrees of freedom."""
        return float(np.dot(self.weights, self.freedom))

    @property
    def mean_inflation(self) -> float:
        """The mean of the inflations."""
        return float(np.dot(self.weights, self.inflation))

    def p(self, t: float) -> float:
        """Return the probability of a t as large as this one, or larger."""
        tails = scipy.special.stdtr(self.freedom, -t / np.sqrt(self.inflation))
        return float(np.dot(self.weights, tails))

    def quantile(self, confidence: float) -> float:
        """Return the t that is exceeded with probability ``1 - confidence``; at least one half."""
        found = scipy.optimize.brentq(lambda t: self.p(t) + confidence - 1, 0.0, 1e9)
        return float(found)


def dependence(values: Floats, contrast: Floats | None = None) -> Dependence:
    """Weigh the correlations that neighbours may have, once a contrast is taken out of the values.

    Their normal scores are looked at: in heavy tails, a single value would hide what the others do.

    Args:
        values: (n,), in the order of time.
        contrast: (n,), what the values may follow besides a constant, sum 0; by default nothing.
            Without one, the inflation is that of the mean.
    """
    n = len(values)
    columns = [np.ones(n)] if contrast is None else [np.ones(n), contrast]
    design = np.column_stack(columns)
    return effects(normalised(log_likelihood(normal_scores(values), design)), design)


def normal_scores(values: Floats) -> Floats:
    """Return the standard normal quantiles of the values' ranks, ``rank / (n + 1)``; mean 0."""
    scores = scipy.special.ndtri(scipy.stats.rankdata(values) / (len(values) + 1))
    return np.asarray(scores - scores.mean())


def effects(weights: Floats, design: Floats) -> Dependence:
    """Return what correlations with these weights do to t of the last column of a design (n, p).

    The columns are orthogonal. With R the correlation matrix and M the projection on residuals,
    the variance of t grows by ``c'Rc / c'c * (n - p) / tr(MR)`` for the column c; the degrees of
    freedom are ``tr(MR)^2 / tr(MRMR)``.
    """
    n, p = design.shape
    basis = design / np.linalg.norm(design, axis=0)
    inflation, freedom, spread = [], [], []
    for rho in RHO.tolist():
        blurred = _correlated(basis, rho)
        inner = basis.T @ blurred
        trace = n - float(np.trace(inner))
        lags = np.arange(1, n)
        square = n + 2 * float((n - lags) @ rho ** (2.0 * lags))
        square += float((inner**2).sum() - 2 * (blurred**2).sum())
        inflation.append(float(inner[-1, -1]) * (n - p) / trace)
        freedom.append(trace**2 / square)
        spread.append(math.sqrt(n / trace))
    return Dependence(
        weights=tuple(weights.tolist()),
        inflation=tuple(inflation),
        freedom=tuple(freedom),
        spread=tuple(spread),
    )


def _correlated(columns: Floats, rho: float) -> Floats:
    """Return ``R columns``, with ``R_ij = rho^|i - j|``, in the memory that the columns take."""
    ahead = scipy.signal.lfilter([1.0], [1.0, -rho], columns, axis=0)
    back = scipy.signal.lfilter([1.0], [1.0, -rho], columns[::-1], axis=0)[::-1]
    return np.asarray(ahead + back - columns)


def log_likelihood(values: Floats, design: Floats) -> Floats:
    """Return the log of the restricted likelihood of each correlation, up to a constant.

    Args:
        values: (n,).
        design: (n, p), what they may follow.

    Source: Patterson and Thompson (1971); for time series, Cooper and Thompson (1977).
    """
    n, p = design.shape
    found = []
    for rho in RHO.tolist():
        basis, triangle = np.linalg.qr(_whitened(design, rho))
        white = _whitened(values, rho)
        residuals = white - basis @ (basis.T @ white)
        squares = float(residuals @ residuals)
        size = float(np.log(np.abs(np.diag(triangle))).sum())
        found.append(float(_restricted(n, p, rho, squares, size)))
    return np.array(found)


def _restricted(
    n: int, p: int, rho: float, squares: Floats | float, size: Floats | float
) -> Floats:
    """Return the log of the restricted likelihood from what whitening left.

    Args:
        n: how many values.
        p: columns of the design.
        rho: the correlation.
        squares: the sum of squares of the whitened residuals.
        size: half of the log determinant of the whitened design's ``X'X``.
    """
    rest = 1 - rho**2
    variance = np.maximum(squares / rest, _LEAST_SQUARES * n)
    return np.asarray(-(n - 1 - p) / 2 * math.log(rest) - size - (n - p) / 2 * np.log(variance))


def _whitened(columns: Floats, rho: float) -> Floats:
    first = math.sqrt(1 - rho**2) * columns[:1]
    return np.concatenate([first, columns[1:] - rho * columns[:-1]])


def normalised(log_likelihoods: Floats) -> Floats:
    """Return the weights of ``RHO``: likelihood times Jeffreys' prior ``(1 - rho^2)^-1/2``."""
    likely = np.exp(log_likelihoods - log_likelihoods.max()) / np.sqrt(1 - RHO**2)
    return np.asarray(likely / likely.sum())


def rise_weights(values: Floats) -> Floats:
    """Weigh the correlations of values that may rise steadily, or from some value on.

    A rise that is left in the values looks like a correlation. So the likelihoods are averaged over
    all of these: a straight line, and a new level from each place on that leaves
    ``SHORTEST_REGIME`` values on either side; line and levels have equal shares.

    Args:
        values: (n,), in the order of time.
    """
    n = len(values)
    line = np.arange(n) - (n - 1) / 2
    design = np.column_stack([np.ones(n), line * math.sqrt(n / float(line @ line))])
    found = [log_likelihood(values, design)]
    if n >= 2 * SHORTEST_REGIME:
        levels = np.array([_new_levels(values, rho) for rho in RHO.tolist()])
        found.append(scipy.special.logsumexp(levels, axis=1) - math.log(levels.shape[1]))
    return normalised(np.asarray(scipy.special.logsumexp(found, axis=0)))


def _new_levels(values: Floats, rho: float) -> Floats:
    """Return the log of the restricted likelihood of a new level from each place on.

    The whitened design of a place k has two columns: a constant (w, 1 - rho, 1 - rho ...) with
    ``w^2 = 1 - rho^2``, and 1 at k and 1 - rho behind it; sums give all products.
    """
    n = len(values)
    places = np.arange(SHORTEST_REGIME, n - SHORTEST_REGIME + 1)
    behind = n - places
    white = _whitened(values, rho)
    constant = _whitened(np.ones(n), rho)
    step = 1 - rho
    tails = white[::-1].cumsum()[::-1][places]
    first, second = float(constant @ white), white[places] + step * (tails - white[places])
    ones = float(constant @ constant)
    both = step + (behind - 1) * step**2
    levels = 1 + (behind - 1) * step**2
    determinant = ones * levels - both**2
    fitted = (levels * first**2 - 2 * both * first * second + ones * second**2) / determinant
    # A level's column is brought to the length of the straight line's, for a fair comparison.
    scale = np.log(places * behind / n**2)
    return np.asarray(
        _restricted(n, 2, rho, float(white @ white) - fitted, (np.log(determinant) - scale) / 2)
    )


def drawn(rho: Floats, n: int, generator: np.random.Generator) -> Floats:
    """Draw a row (n,) of standard normal values for each correlation (rows,) of neighbours."""
    found = generator.normal(size=(len(rho), n))
    found[:, 1:] *= np.sqrt(1 - rho[:, None] ** 2)
    for each in np.unique(rho).tolist():
        rows = rho == each
        found[rows] = scipy.signal.lfilter([1.0], [1.0, -each], found[rows], axis=1)
    return found
