"""The options of pytest that the plugin adds, from what it tells pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pytest_eac.plugin.options import add_options
from reference_pages.tables import code, table

if TYPE_CHECKING:
    import pytest

_INTRO = """# Options

What pytest-eac adds to `pytest`. Each can stand in the ini file (`pytest.ini`, or `[tool.pytest]`
in `pyproject.toml`) under its ini name; the command line wins. Repeatable options are lists
there. Write an equals sign before a value: after a space, pytest takes a path for one to run,
before it knows the option, and may read its settings there (such a run ends with exit code 4).
"""


class _Declared:
    """Stands in for pytest's parser and keeps what is declared."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.ini: list[str] = []

    def getgroup(self, *_: str) -> _Declared:
        return self

    def addoption(self, name: str, **about: Any) -> None:
        self.options.append((name, about))

    def addini(self, name: str, *_: str, **__: Any) -> None:
        self.ini.append(name)


def options_page() -> str:
    """Return the page."""
    declared = _Declared()
    add_options(cast("pytest.Parser", declared))
    rows = (
        (code(_written(name, about.get("metavar"))), code(ini), _plain(about["help"]))
        for (name, about), ini in zip(declared.options, declared.ini, strict=True)
    )
    return f"{_INTRO}\n{table(('option', 'ini name', 'meaning'), rows)}"


def _written(name: str, metavar: str | None) -> str:
    """Write an option as it is to be given: a value follows an equals sign."""
    return f"{name}={metavar}" if metavar else name


def _plain(text: str) -> str:
    """Undo argparse's escape of the percent sign."""
    return text.replace("%%", "%")
