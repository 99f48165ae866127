"""Many rows of numbers in batches, so that the memory that they take has a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES = 2**18
"""So many numbers are held at once, or one row of them."""


def batches(count: int, width: int) -> Iterator[slice]:
    """Yield slices that cover ``count`` rows of ``width`` numbers in order, a batch each."""
    rows = max(1, ENTRIES // width)
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))
