"""The hypotheses that a confidence is about, and their multiple-testing correction."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

from pytest_eac.records.run import Ability, Measurement
from pytest_eac.stats.foreseen import Foreseen
from pytest_eac.stats.means import needed_above, p_above
from pytest_eac.stats.slopes import needed_steps

_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


class Claim(Protocol):
    """A hypothesis that a check tests."""

    @property
    def p(self) -> float:
        """How likely what was seen is, or better, if the claim is wrong."""

    def needs(self, level: float) -> Foreseen | None:
        """Return about how many edits or items would decide; ``None`` where no number would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanClaim:
    """The mean of such scores, each between 0 and 1, reaches a limit."""

    scores: tuple[float, ...]
    limit: float

    @property
    def p(self) -> float:
        """How likely such scores are, or better ones, if it does not."""
        return p_above(self.scores, self.limit)

    def needs(self, level: float) -> Foreseen | None:
        """Return about how many such scores would decide; ``None`` where no number would."""
        return needed_above(self.scores, self.limit, level=level)


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
    freedom: float

    def needs(self, level: float) -> Foreseen | None:
        """Return about how many edits would decide; ``None`` where 100 times as many would not."""
        count = needed_steps(self.p, n=self.updates, freedom=self.freedom, level=level)
        return None if count is None else Foreseen(count=ceil(count * self.edits / self.updates))


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


def corrected_fields(correction: Correction | None, p: float | None = None) -> dict[str, Any]:
    """Return what a record has of a correction.

    Args:
        correction: of a p-value, if there is one.
        p: what the corrected p-value is without one.
    """
    return {
        "p_adjusted": correction.p if correction else p,
        "correction": correction.method if correction else None,
        "corrected_over": correction.over if correction else None,
    }


def of_measurement(
    measured: Measurement, low: float | None, high: float | None
) -> tuple[MeanClaim, ...]:
    """Claim that the mean over edits is within limits; nothing of a number of the whole model."""
    scores = tuple(score for score in measured.scores if score is not None)
    return _of_scores(scores, low, high) if measured.n else ()


def of_ability(base: Ability, edited: Ability, kind: str, limit: float) -> tuple[MeanClaim, ...]:
    """Claim that an ability is left: ``value``, ``kept`` or ``margin`` is at least ``limit``.

    ``kept`` and ``margin`` are shares ``r`` of the unedited scores ``b``, above a floor ``f`` that
    is 0 for ``kept``: the mean of ``e - r b`` reaches ``(1 - r) f``. Each item's is brought to the
    range from 0 to 1. ``loss`` is at most the limit: the mean of ``b - e``.
    """
    pairs = list(zip(base.scores, edited.scores, strict=True))
    if not all(0 <= score <= 1 for pair in pairs for score in pair):
        return ()
    if kind == "value":
        return _of_scores(edited.scores, limit, None)
    if kind == "loss":
        scores = tuple((after - before + 1) / 2 for before, after in pairs)
        return (MeanClaim(scores=scores, limit=(1 - limit) / 2),)
    floor = base.floor if kind == "margin" else 0.0
    found = [(after - limit * before + limit) / (1 + limit) for before, after in pairs]
    inside = tuple(min(1.0, max(0.0, score)) for score in found)  # but for rounding, they are
    return (MeanClaim(scores=inside, limit=((1 - limit) * floor + limit) / (1 + limit)),)


def _of_scores(
    scores: Sequence[float], low: float | None, high: float | None
) -> tuple[MeanClaim, ...]:
    claims = []
    if low is not None:
        claims.append(MeanClaim(scores=tuple(scores), limit=low))
    if high is not None:
        claims.append(MeanClaim(scores=tuple(1 - score for score in scores), limit=1 - high))
    return tuple(claims)
