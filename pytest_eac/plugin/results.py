"""The results file, which is written while chains are still running."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pytest_eac.outputs import is_stream
from pytest_eac.store import write_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_eac.records.run import Record

_SHARE = 20  # writing takes at most one part in so many of a run's time


class ResultsFile:
    """Writes all records so far, as often as it can without slowing the run down.

    Each write has all chains in it. One after every chain would make writing quadratic in chains;
    so the next one waits for nineteen times as long as the last one took. A run that is killed
    loses no more than what it measured in the meantime, and that is in the cache.

    Args:
        file: where to; a device or a pipe cannot be written again, and gets the whole at the end.
        clock: the time in seconds, from any start.
    """

    def __init__(self, file: Path, *, clock: Callable[[], float] = monotonic) -> None:
        self.file = file
        self._clock = clock
        self._next = clock()
        self._once = is_stream(file)

    @property
    def is_there(self) -> bool:
        """Whether there is a file already that an earlier run has written."""
        return not self._once and self.file.is_file() and self.file.stat().st_size > 0

    def write(self, record: Callable[[], Record], *, last: bool) -> None:
        """Write the records now, or leave it to a later call; the last one always writes.

        Raises:
            RecordError: the file cannot be written.
        """
        if not last and (self._once or self._clock() < self._next):
            return
        start = self._clock()
        try:
            write_record(self.file, record())
        finally:
            end = self._clock()
            self._next = end + (_SHARE - 1) * (end - start)
