"""How far a chain is, told while it runs."""

from __future__ import annotations

from contextlib import nullcontext
from shutil import get_terminal_size
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Progress:
    """One line that is rewritten on a terminal, and nothing elsewhere."""

    def __init__(self, config: pytest.Config, name: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        shown = reporter is not None and reporter.isatty and config.get_verbosity() >= 0
        self._reporter: pytest.TerminalReporter | None = reporter if shown else None
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._name = name
        self._write(lambda reporter: reporter.ensure_newline())

    def __call__(self, done: int, total: int, doing: str) -> None:
        """Tell how many of the edits are made, and what is being done."""
        width = get_terminal_size().columns - 1
        text = f"{self._name}: {done}/{total} edits, {doing}"[:width]
        self._write(lambda reporter: reporter.rewrite(text, erase=True))

    def close(self) -> None:
        """Wipe the line."""
        self._write(lambda reporter: reporter.rewrite("\r", erase=True))

    def _write(self, write: Callable[[pytest.TerminalReporter], None]) -> None:
        """Write past the capturing that is on while a test is set up."""
        if self._reporter is None:
            return
        open_ = self._capture.global_and_fixture_disabled() if self._capture else nullcontext()
        with open_:
            write(self._reporter)
            self._reporter.flush()
