"""The project's own source files, which other processes may be importing meanwhile.

Python writes bytecode beside them, under a name that it replaces at once: a list of all files, or a
copy of them, would now and then have one that is gone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import ROOT


def copy_sources(name: str, to: Path) -> Path:
    """Copy a folder of the project, without bytecode, into another folder."""
    return Path(
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    )


def source_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder, bytecode left out, by their path in it."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts and path.is_file()
    }
