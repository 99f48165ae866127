"""Runs that are stopped from outside: they end in order, and say how to go on."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_eac.plugin.session import EacSession


class Stopping:
    """Treats SIGTERM, which pytest itself does not handle, as Ctrl-C.

    A second SIGTERM ends the process at once. A handler that somebody else has installed stays.
    """

    def __init__(self, config: pytest.Config, eac: EacSession) -> None:
        self._eac = eac
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
        self._eac.note_stopped()
        if excinfo.type is KeyboardInterrupt:
            self._eac.tell_interrupted()
