"""Checks that a run uses its project's own settings.

pytest looks for its settings file before it knows any plugin's options. At that point the value of
``--eac-results FILE`` looks like a path to run, and pytest looks for settings beside it, too; the
value of ``--eac-results=FILE`` does not.
"""

import os
import shlex
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise, takewhile
from pathlib import Path

import pytest

from pytest_eac.pytest_private import settings_for


def require_own_settings(config: pytest.Config, options: Collection[str]) -> None:
    """Refuse a run whose settings depend on the value of one of our options.

    Args:
        config: of the run.
        options: the options that take a value, as they are written.

    Raises:
        pytest.UsageError: without such a value, pytest would have read other settings.
    """
    if hasattr(config, "workerinput"):  # the controller of pytest-xdist has checked already
        return
    words = _words(config)
    taken = [(name, text) for name, text in pairwise(words) if name in options and _exists(text)]
    if not taken:
        return
    positional = set(config.getoption("file_or_dir"))
    own = [word for word in words if word in positional]
    values = {text for _, text in taken}
    expected, settings = settings_for(config, own)
    found, others = settings_for(config, [word for word in words if word in positional | values])
    if found == expected or not (settings or others):
        return
    name, text = next(
        (pair for pair in taken if settings_for(config, [*own, pair[1]])[0] != expected), taken[0]
    )
    read = "no settings at all"
    if found:  # no plugin is asked before pytest loads what its settings name
        read = f"its settings from {found} (code that they name may have run by now)"
    left = f", not {expected}" if expected else ""
    raise pytest.UsageError(
        f"{name} {text}: pytest took this value for a path to run, and read {read}{left}; write "
        f"{name}={text}"
    )


def _words(config: pytest.Config) -> list[str]:
    """Return the arguments by which pytest looked for its settings; ``addopts`` come later."""
    given = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))]
    given += map(str, config.invocation_params.args)
    return list(takewhile(lambda word: word != "--", _expanded(given)))


def _expanded(words: Iterable[str]) -> Iterator[str]:
    """Put the lines of ``@FILE`` in its place, as pytest's parser does."""
    for word in words:
        if word.startswith("@") and Path(word[1:]).is_file():
            yield from _expanded(Path(word[1:]).read_text(encoding="utf-8").splitlines())
        else:
            yield word


def _exists(text: str) -> bool:
    try:
        return Path(text.partition("::")[0]).exists()
    except (OSError, ValueError):  # not a path at all
        return False
