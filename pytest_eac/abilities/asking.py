"""What an ability asks of a model, and how its answers are summarised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pytest_eac.stats.means import mean_interval
from pytest_eac.stats.paired import Interval, is_above, kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.lm.loading.load import LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """One model's scores on the items of an ability; see :class:`pytest_eac.records.run.Ability`.

    Attributes:
        scores: one per item.
        unparsable: how many answers had nothing in them that could be scored.
        about: further numbers by name.
        texts: (prompt, new text) of what the unedited model is to read.
    """

    scores: tuple[float, ...]
    unparsable: int = 0
    about: dict[str, float] = field(default_factory=dict)
    texts: tuple[tuple[str, str], ...] = ()


class Asked(Protocol):
    """An ability's items, ready to be put to a model in any state.

    Unless an ability says otherwise, its scores are between 0 and 1, and their mean is the number.
    """

    @property
    def items(self) -> Sequence[Any]:
        """All that a model's scores depend on, as plain data; empty if nobody can know it."""

    def ask(self, loaded: LoadedModel) -> Replies:
        """Put the items to a model as it is now."""

    @property
    def chance(self) -> float | None:
        """The score of guessing, where that is possible."""
        return None

    @property
    def majority(self) -> float | None:
        """The score of the one answer that is right most often, where there is one."""
        return None

    def value(self, scores: Sequence[float], *, confidence: float = 0.95) -> Interval:
        """Return the number that scores amount to, with its interval.

        By default the mean of scores between 0 and 1, with an interval that holds for all of them.
        """
        mean = sum(scores) / len(scores)
        low, high = mean_interval(scores, confidence=confidence)
        return Interval(value=mean, low=low, high=high)

    def kept(
        self, base: Sequence[float], edited: Sequence[float], *, confidence: float = 0.95
    ) -> Interval | None:
        """Return the share of the unedited number that is left, with its interval.

        By default the ratio of the means, as :func:`pytest_eac.stats.paired.kept` has it.
        """
        return kept(base, edited, confidence=confidence)

    def signal(self, base: Sequence[float]) -> bool:
        """Say whether the unedited scores are above what understanding nothing makes.

        By default they are tested against chance and majority.
        """
        return is_above(base, max(self.chance or 0.0, self.majority or 0.0))
