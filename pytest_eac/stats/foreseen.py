"""How many edits or items it would take to decide, and with which chance they would."""

from dataclasses import dataclass

import numpy as np

CHANCES = (0.8, 0.5)
"""The chance that a number is to have; the second where none has the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A number of edits or items that would decide.

    Attributes:
        count: so many, made afresh.
        chance: with which chance they would; ``None`` where it is not computed.
    """

    count: int
    chance: float | None = None

    def text(self, unit: str) -> str:
        """Return it in words."""
        chance = "" if self.chance is None else f" to pass with a chance of {self.chance:g}"
        return f"needs about {self.count:,} {unit}{chance}"


def first_that_passes(counts: np.ndarray, chances: np.ndarray) -> Foreseen | None:
    """Return the first count from which on the chance stays at 0.8, or at least at an even one.

    Args:
        counts: (k,), rising.
        chances: (k,), of each.

    Returns:
        ``None`` where no count has an even chance.
    """
    for wanted in CHANCES:
        too_few = np.flatnonzero(chances < wanted)
        first = int(too_few[-1]) + 1 if len(too_few) else 0
        if first < len(counts):
            return Foreseen(count=int(counts[first]), chance=wanted)
    return None
