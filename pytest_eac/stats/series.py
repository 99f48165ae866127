"""A running total and its steps, and how many rows of numbers are held at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ENTRIES = 2**18
"""This many numbers are held at once, or one row of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A running total that starts at 0.

    Attributes:
        at: after how many edits each total was read; positive, rising.
        total: the totals, finite.
        order: the power of the total to which each edit adds its share: 1 where the totals
            themselves add up; 2 where their squares do, as for a norm of unrelated steps.
    """

    at: tuple[int, ...]
    total: tuple[float, ...]
    order: int = 1

    def __post_init__(self) -> None:
        rising = all(np.diff(self.at, prepend=0) > 0)
        if len(self.at) != len(self.total) or not rising or not np.isfinite(self.total).all():
            found = f"at {self.at}, total {self.total}"
            raise ValueError(f"found {found}; expected rising counts and a finite total for each")

    @property
    def edges(self) -> Floats:
        """The edits between which the steps lie, 0 first: one more than there are steps."""
        return np.array((0, *self.at), dtype=float)

    @property
    def steps(self) -> Floats:
        """The change from one total, to the power of ``order``, to the next."""
        return np.diff(np.array(self.total, dtype=float) ** self.order, prepend=0.0)


def batches(count: int, width: int) -> Iterator[slice]:
    """Yield slices that cover ``count`` rows of ``width`` numbers in order, a batch each."""
    rows = max(1, ENTRIES // width)
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))
