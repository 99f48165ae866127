"""What the cache folder holds, by kind; what there is of each, and how it is removed.

Only what bears a name that this package gives is counted or removed, and no link is followed: a
file that somebody has put there stays, and so does what a link points to.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EDITS = "edits"
MEASUREMENTS = "measurements"

_ENTRY = r"[0-9a-f]{2}/[0-9a-f]{64}\.safetensors"
# Names below the kind's folder, which bears the kind's name.
_NAMES = {
    "models": r"[^/]+-[0-9a-f]{16}",
    "covariance": r"(part-)?[0-9a-f]{32}\.safetensors",
    "tracings": r"[0-9a-f]{32}",
    EDITS: _ENTRY,
    MEASUREMENTS: _ENTRY,
}
KINDS = tuple(_NAMES)

GIB = 2**30
# How much edits and measurements may take together, unless something else is said.
LIMIT = 4 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file or folder in the cache: its bytes, and when it was made or (entries) last used."""

    path: Path
    size: int
    used: float


def kept(root: Path, kind: str) -> list[Kept]:
    """Return what there is of a kind, the least recently used first."""
    found = []
    for path in _below(root / kind, _NAMES[kind]):
        with contextlib.suppress(OSError):  # another run may be removing it
            used = path.lstat().st_mtime
            found.append(Kept(path=path, size=_size(path), used=used))
    return sorted(found, key=lambda each: each.used)


def leftovers(root: Path, kind: str) -> Iterator[Path]:
    """Yield what writes of entries that were cut off have left; nobody else may be writing."""
    folder, _, name = _NAMES[kind].rpartition("/")
    yield from _below(root / kind, rf"{folder}/\.{name}\.\d+\.part")


def clear(root: Path, kind: str) -> int:
    """Remove all of a kind and return how many; a run that needs it makes it again.

    Raises:
        OSError: something cannot be removed.
    """
    removed = 0
    for each in kept(root, kind):
        with contextlib.suppress(FileNotFoundError):  # another run was faster
            if each.path.is_dir():
                _remove_folder(each.path)
            else:
                each.path.unlink()
            removed += 1
    return removed


def _remove_folder(folder: Path) -> None:
    """Remove a folder, at once for those who look for it.

    The name it has meanwhile is the one that a build which was cut off would have left: if this is
    cut off too, the next build sweeps it up.
    """
    aside = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    folder.rename(aside)
    shutil.rmtree(aside)


def _below(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield what lies under ``folder`` as ``pattern`` says, one part of it a level; no links."""
    first, _, rest = pattern.partition("/")
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not re.fullmatch(first, path.name):
            continue
        if rest:
            yield from _below(path, rest)
        else:
            yield path


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    return sum(
        each.lstat().st_size for each in path.rglob("*") if each.is_file() and not each.is_symlink()
    )
