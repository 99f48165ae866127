"""The hypotheses that a confidence is about, and their multiple-testing correction."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Protocol

from pytest_eac.stats.means import p_above
from pytest_eac.stats.power import least_above, needed_above
from pytest_eac.stats.trends import needed_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.records.run import Ability, Measurement

_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


class Claim(Protocol):
    """A hypothesis that a check tests."""

    @property
    def p(self) -> float:
        """How likely what was seen is, or better, if the claim is wrong."""

    def needs(self, level: float) -> int | None:
        """Return about how many edits or items would decide; ``None`` where no number would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanClaim:
    """The mean of such scores is above a limit.

    Attributes:
        scores: one per edit or item.
        limit: what their mean is to exceed.
        low: the lowest score that is possible.
        high: the highest.
    """

    scores: tuple[float, ...]
    limit: float
    low: float = 0.0
    high: float = 1.0

    @property
    def p(self) -> float:
        """How likely such scores are, or better ones, if it is not."""
        return p_above(self.scores, self.limit, low=self.low)

    def needs(self, level: float) -> int | None:
        """Return about how many such scores would decide; ``None`` where no number would."""
        return needed_above(self.scores, self.limit, level=level, low=self.low, high=self.high)

    def least(self, level: float) -> int:
        """Return how many scores it takes at the least, all of them as good as the best."""
        top = max(self.scores)
        return least_above(top, self.limit, level=level, low=self.low) or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthClaim:
    """A number that describes growth is below a limit.

    Attributes:
        p: of Student's t.
        updates: how many there were, each of one edit or one batch.
        edits: how many edits they had.
        freedom: degrees of freedom.
    """

    p: float
    updates: int
    edits: int
    freedom: int

    def needs(self, level: float) -> int | None:
        """Return about how many edits would decide; ``None`` where 100 times as many would not."""
        count = needed_steps(self.p, n=self.updates, freedom=self.freedom, level=level)
        return None if count is None else ceil(count * self.edits / self.updates)


def rest(confidence: float) -> float:
    """Return what a confidence leaves to chance: 0.05 of 0.95, without rounding noise."""
    return round(1 - confidence, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The multiple-testing correction of a check's p-value among those of its chain.

    Attributes:
        method: ``holm``, ``bh`` or ``none``.
        over: how many p-values there are.
        p: the corrected one.
        factor: by what this check's own was multiplied.
    """

    method: str
    over: int
    p: float
    factor: float

    def __str__(self) -> str:
        if self.over == 1 or self.method == "none":
            return ""
        return f", {self.p:.2g} corrected over {self.over} checks by {_NAMES[self.method]}"


def of_measurement(
    measured: Measurement, low: float | None, high: float | None
) -> tuple[MeanClaim, ...]:
    """Claim that the mean over edits is within limits; nothing of a number of the whole model."""
    scores = tuple(score for score in measured.scores if score is not None)
    return _of_scores(scores, low, high) if measured.n else ()


def of_ability(base: Ability, edited: Ability, kind: str, limit: float) -> tuple[MeanClaim, ...]:
    """Claim that an ability is left: ``value``, ``kept`` or ``margin`` is at least ``limit``.

    ``kept`` and ``margin`` are shares ``r`` of the unedited scores ``b``, above a floor ``f`` that
    is 0 for ``kept``: the mean of ``e - r b`` is to exceed ``(1 - r) f``. ``lost`` is at most
    ``limit``: the mean of ``e - b`` is to exceed ``-limit``.
    """
    pairs = list(zip(base.scores, edited.scores, strict=True))
    if not all(0 <= score <= 1 for pair in pairs for score in pair):
        return ()
    if kind == "value":
        return _of_scores(edited.scores, limit, None)
    share = 1.0 if kind == "lost" else limit
    floor = base.floor if kind == "margin" else 0.0
    least = -limit if kind == "lost" else (1 - limit) * floor
    scores = tuple(after - share * before for before, after in pairs)
    return (MeanClaim(scores=scores, limit=least, low=-share),)


def _of_scores(
    scores: Sequence[float], low: float | None, high: float | None
) -> tuple[MeanClaim, ...]:
    claims = []
    if low is not None:
        claims.append(MeanClaim(scores=tuple(scores), limit=low))
    if high is not None:
        claims.append(MeanClaim(scores=tuple(1 - score for score in scores), limit=1 - high))
    return tuple(claims)
