"""How far a chain is, told while it runs."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import nullcontext
from itertools import pairwise
from shutil import get_terminal_size
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import pytest


EVERY = 30.0
"""Seconds between two lines where lines cannot be rewritten."""
LEAST, RECENT = 3, 12
"""How many edits tell how long the others take: at least, and the last so many. Those that came
from the cache are soon out of it."""


class Progress:
    """One line that is rewritten on a terminal; elsewhere a plain line now and then.

    Workers of pytest-xdist have no reporter and share the terminal: their plain lines go to
    stderr, which is the controller's, and say which worker it is. Nothing is told with ``-q``.

    Args:
        config: of the run.
        name: the chain's.
        clock: the time in seconds, from any start.
    """

    def __init__(
        self, config: pytest.Config, name: str, *, clock: Callable[[], float] = monotonic
    ) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        shown = config.get_verbosity() >= 0
        self._rewrites = bool(reporter and shown and reporter.isatty)
        self._clock = clock
        self._told = clock()
        self._reporter: pytest.TerminalReporter | None = reporter if shown else None
        worker = getattr(config, "workerinput", None) if shown else None
        self._worker: str | None = worker and worker["workerid"]
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._name = name
        self.done = self.total = 0
        self._ended: deque[tuple[float, int]] = deque(maxlen=RECENT)
        if self._rewrites:
            self._write(lambda reporter: reporter.ensure_newline())

    def __call__(self, done: int, total: int, doing: str) -> None:
        """Tell how many of the edits are made, and what is being done."""
        if done < self.done:  # another order of the edits begins
            self._ended.clear()
        if done > self.done or not self._ended:
            self._ended.append((self._clock(), done))
        self.done, self.total = done, total
        text = f"{self._name}: {done}/{total} edits, {doing}{self._left()}"
        if self._rewrites:
            width = get_terminal_size().columns - 1
            self._write(lambda reporter: reporter.rewrite(text[:width], erase=True))
        elif self._clock() - self._told >= EVERY:
            self._told = self._clock()
            if self._worker:
                with self._uncaptured():
                    lead = "\n" if sys.stderr.isatty() else ""  # dots may stand on the line
                    sys.stderr.write(f"{lead}[{self._worker}] {text}\n")
                    sys.stderr.flush()
            self._write(lambda reporter: reporter.write_line(text))

    def _left(self) -> str:
        """Tell how long the other edits take if they go on as the last ones did."""
        paces = [
            (later - sooner) / (more - less)
            for (sooner, less), (later, more) in pairwise(self._ended)
        ]
        if len(paces) < LEAST or self.done == self.total:
            return ""
        seconds = median(paces) * (self.total - self.done)
        if seconds < 60:
            return ", less than a minute left"
        minutes = round(seconds / 60)
        hours = f"{minutes // 60} h " if minutes >= 60 else ""
        return f", about {hours}{minutes % 60} min left"

    def close(self) -> None:
        """Wipe the line."""
        if self._rewrites:
            self._write(lambda reporter: reporter.rewrite("\r", erase=True))

    def _write(self, write: Callable[[pytest.TerminalReporter], None]) -> None:
        if self._reporter is None:
            return
        with self._uncaptured():
            write(self._reporter)
            self._reporter.flush()

    def _uncaptured(self) -> AbstractContextManager[None]:
        """Return what lets writing past the capturing that is on while a test is set up."""
        return self._capture.global_and_fixture_disabled() if self._capture else nullcontext()
