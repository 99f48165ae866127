"""Runs that are stopped from outside: they end in order, and say how to go on."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest


class EarlyEnd:
    """What ended a run before its end.

    Attributes:
        was_stopped: by Ctrl-C, SIGTERM or ``pytest.exit``.
        workers_died: how many workers of pytest-xdist did; the run may miss what they had to do.
    """

    def __init__(self) -> None:
        self.was_stopped = False
        self.workers_died = 0
        self._interrupted: str | None = None

    def note_interrupted(self, where: str = "") -> None:
        """Note that the user has interrupted the run; the first call says where that was."""
        if self._interrupted is None:
            self._interrupted = where

    def lines(self, *, keeps_edits: bool) -> Iterator[tuple[str, bool]]:
        """Yield how to go on, and whether that is about an error."""
        kept = "solved edits are kept" if keeps_edits else "with --eac-no-cache nothing is kept"
        again = "to go on, run the same command again"
        if self.workers_died:
            workers = f"{self.workers_died} worker{'s' * (self.workers_died > 1)} of pytest-xdist"
            fewer = "with fewer workers (-n) if memory is short"
            yield f"{workers} died (killed, or out of memory); {again}, {fewer}: {kept}", True
        if self._interrupted is not None:
            yield f"interrupted{self._interrupted}; {again}: {kept}", False


class Stopping:
    """Treats SIGTERM, which pytest itself does not handle, as Ctrl-C.

    A second SIGTERM ends the process at once. A handler that somebody else has installed stays.
    """

    def __init__(self, config: pytest.Config, early_end: EarlyEnd) -> None:
        self._early_end = early_end
        self._process = os.getpid()
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, self._terminate)
            config.add_cleanup(self._restore)

    def _terminate(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != self._process:  # a child process that inherited the handler
            os.kill(os.getpid(), signal.SIGTERM)
        raise KeyboardInterrupt("SIGTERM")

    def _restore(self) -> None:
        if signal.getsignal(signal.SIGTERM) == self._terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note Ctrl-C and ``pytest.exit``, whatever exit status that asks for.

        pytest's own interruptions (``-x``, broken specs) are of other classes.
        """
        self._early_end.was_stopped = True
        if excinfo.type is KeyboardInterrupt:
            self._early_end.note_interrupted()
