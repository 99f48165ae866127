"""The command ``pytest-eac``, run in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.cli import main

if TYPE_CHECKING:
    import pytest


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command; returns its exit code, and what it printed to both streams."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err
