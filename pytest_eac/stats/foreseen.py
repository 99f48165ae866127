"""How many edits or items it would take to decide, and with which chance they would."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

CHANCES = (0.8, 0.5)
"""The chance that is wanted; the second where no number of edits has the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A number of edits, items or samples that would decide.

    Attributes:
        count: the number, all of them new.
        chance: the probability that they decide; ``None`` where it is not computed.
    """

    count: int
    chance: float | None = None

    def text(self, unit: str) -> str:
        """Return it in words."""
        chance = "" if self.chance is None else f" to pass with a chance of {self.chance:g}"
        return f"needs about {self.count:,} {unit}{chance}"


def first_that_passes(counts: np.ndarray, chances: np.ndarray) -> Foreseen | None:
    """Return the first count from which on the chance stays at 0.8, or else at 0.5.

    Args:
        counts: (k,), rising.
        chances: (k,), that of each count.

    Returns:
        ``None`` where no count has a chance of 0.5.
    """
    for wanted in CHANCES:
        too_few = np.flatnonzero(chances < wanted)
        first = int(too_few[-1]) + 1 if len(too_few) else 0
        if first < len(counts):
            return Foreseen(count=int(counts[first]), chance=wanted)
    return None


def most_of(needs: Iterable[Foreseen | None]) -> Foreseen | None:
    """Return what satisfies all of them; ``None`` where one of them cannot be satisfied."""
    found = list(needs)
    known = [each for each in found if each is not None]
    return max(known, key=lambda each: each.count) if len(known) == len(found) else None
