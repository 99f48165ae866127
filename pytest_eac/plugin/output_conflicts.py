"""Checks that each output of a run has a file of its own, which the run does not read either."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path

import pytest

from pytest_eac.atomic_write import is_stream


def is_shared(summary: Path) -> bool:
    """Whether a summary is the one of a GitHub job, which earlier steps have written to.

    It is added to, and nothing in it is replaced, by whatever name the option has it.
    """
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    return named is not None and _place(Path(named)) == _place(summary)


def require_own_files(
    *, read: Mapping[str, Path | None], written: Mapping[str, Path | None]
) -> None:
    """Refuse an output that would replace another one, or what the run reads.

    Args:
        read: the files that options name to be read, by option.
        written: those that options name to be written, by option. What goes into a device or a
            pipe replaces nothing.

    Raises:
        pytest.UsageError: two options name the same file, be it through links.
    """
    places = {_place(file): name for name, file in read.items() if file}
    for name, file in written.items():
        if file is None or _is_stream(file):
            continue
        other = places.setdefault(_place(file), name)
        if other != name:
            verb = "reads" if other in read else "writes"
            raise pytest.UsageError(
                f"{name}: {file} is the file that {other} {verb}, and would be replaced; give "
                "another one"
            )


def _place(file: Path) -> Hashable:
    """Return what two names of one file have in common, whether it is there yet or not."""
    try:
        found = file.stat()
    except (OSError, ValueError):
        return os.path.realpath(file)
    return found.st_dev, found.st_ino


def _is_stream(file: Path) -> bool:
    try:
        return is_stream(file)
    except OSError:  # a socket or a disk, which its own check refuses
        return True
