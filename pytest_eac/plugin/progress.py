"""How far a chain is, reported while it runs."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from shutil import get_terminal_size
from time import monotonic

import pytest

from pytest_eac.measuring.time_left import Pace
from pytest_eac.untrusted_text import line

EVERY = 30.0
"""Seconds between two lines where lines cannot be rewritten."""


class ProgressLine:
    """One line that is rewritten on a terminal; elsewhere a plain line now and then.

    Workers of pytest-xdist have no reporter and share the terminal: their plain lines go to
    stderr, which is the controller's, and say which worker it is. Nothing is reported with ``-q``.

    Args:
        config: of the run.
        name: the chain's.
        total: its number of edits.
        clock: the time in seconds, from any start.
    """

    def __init__(
        self,
        config: pytest.Config,
        name: str,
        total: int = 0,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        shown = config.get_verbosity() >= 0
        self._rewrites = bool(reporter and shown and reporter.isatty)
        self._clock = clock
        self._reported = clock()
        self._reporter: pytest.TerminalReporter | None = reporter if shown else None
        worker = getattr(config, "workerinput", None) if shown else None
        self._worker: str | None = worker and worker["workerid"]
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._name = name
        self.done, self.total = 0, total
        self._pace = Pace(clock)
        if self._rewrites:
            self._write(lambda reporter: reporter.ensure_newline())

    def __call__(self, done: int, total: int, doing: str) -> None:
        """Report how many of the edits are made, and what is being done."""
        self.done, self.total = done, total
        text = line(f"{self._name}: {done}/{total} edits, {doing}{self._pace.left(done, total)}")
        if self._rewrites:
            width = get_terminal_size().columns - 1
            self._write(lambda reporter: reporter.rewrite(text[:width], erase=True))
        elif self._clock() - self._reported >= EVERY:
            self._reported = self._clock()
            if self._worker:
                with self._uncaptured():
                    lead = "\n" if sys.stderr.isatty() else ""  # dots may stand on the line
                    sys.stderr.write(f"{lead}[{self._worker}] {text}\n")
                    sys.stderr.flush()
            self._write(lambda reporter: reporter.write_line(text))

    def report(self, doing: str) -> None:
        """Report what is being done, with as many edits made as before."""
        self(self.done, self.total, doing)

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
