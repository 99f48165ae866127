"""What the cache folder holds, by kind: what there is of each, as a table, and how it is removed.

Only files and folders with names that this package gives are counted or removed, and no link is
followed: a file that somebody has put there stays, and so does the target of a link.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from pytest_eac.atomic_write import acquire_lock
from pytest_eac.errors import RecordError
from pytest_eac.store import locked

EDITS = "edits"
MEASUREMENTS = "measurements"
MODELS = "models"
COVARIANCE = "covariance"
PARTIAL = "partial"
TRACINGS = "tracings"
LISTINGS = "listings"

# Kinds whose files are entries, written under one lock.
ENTRIES = (COVARIANCE, PARTIAL, TRACINGS, LISTINGS, EDITS, MEASUREMENTS)
KINDS = (MODELS, *ENTRIES)
# Kinds that grow with every run: those share the limit. The others are few, and expensive or
# impossible (a listing without a network) to get again.
LIMITED = (EDITS, MEASUREMENTS)
# How long the sums of a measurement that was interrupted wait for it to go on, in seconds. One that
# is going on writes them about once a minute.
PARTIAL_SECONDS = 7 * 24 * 3600
LOCK = "entries.lock"

# Names below the folder of each kind, a pattern for each level. There may be very many entries of
# the limited kinds, so they are spread over folders.
_ENTRY = r"[0-9a-f]{64}\.safetensors"
_NAMES = {
    MODELS: (r".+-[0-9a-f]{16}",),
    **dict.fromkeys(ENTRIES, (_ENTRY,)),
    **dict.fromkeys(LIMITED, (r"[0-9a-f]{2}", _ENTRY)),
}

_MIB = 2**20
GIB = 2**30
# Default of what the limited kinds may take together, in bytes.
LIMIT = 4 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file or folder in the cache: its bytes, and when it was made or (entries) last used."""

    path: Path
    size: int
    used: float


def entry_path(root: Path, kind: str, digest: str) -> Path:
    """Return where the entry of a key with this SHA-256 is."""
    folder = root / kind / digest[:2] if kind in LIMITED else root / kind
    return folder / f"{digest}.safetensors"


def kept(root: Path, kind: str) -> list[Kept]:
    """Return what there is of a kind, the least recently used first."""
    found = []
    for path in _below(root / kind, *_NAMES[kind]):
        if path.is_dir() != (kind == MODELS):
            continue
        with contextlib.suppress(OSError):  # another run may be removing it
            used = path.lstat().st_mtime
            found.append(Kept(path=path, size=_size(path), used=used))
    return sorted(found, key=lambda each: each.used)


def sweep(root: Path) -> None:
    """Remove what is no longer used; the lock must be held.

    That is what writes that were cut off have left, and partial sums that are a week old.

    Entries are written under that lock, so a part of one, or its own lock, belongs to a process
    that is gone. A folder is built under a lock of its own: its parts are left alone while that is
    held.
    """
    for kind in ENTRIES:
        *folders, name = _NAMES[kind]
        for part in _below(root / kind, *folders, rf"\.{name}\.(part|lock|lock\.soft)"):
            part.unlink(missing_ok=True)
    for sums in kept(root, PARTIAL):
        if sums.used < time.time() - PARTIAL_SECONDS:
            sums.path.unlink(missing_ok=True)
    (name,) = _NAMES[MODELS]
    for part in _below(root / MODELS, rf"\.{name}\.part-\w+"):
        whole = part.name.removeprefix(".").rpartition(".part-")[0]
        lock = part.with_name(f".{whole}.lock")
        with contextlib.suppress(Timeout), acquire_lock(lock, wait=False):
            shutil.rmtree(part, ignore_errors=True)


def clear(root: Path, kind: str) -> int:
    """Remove all of a kind and return how many; a run that needs it makes it again.

    Raises:
        RecordError: something cannot be removed, or the folder is read only.
    """
    if not (root / kind).is_dir():
        return 0
    with locked(root / LOCK):
        found = kept(root, kind)
        for each in found:
            try:
                _remove(each.path)
            except FileNotFoundError:
                pass  # another run was faster
            except OSError as error:
                raise RecordError(f"{each.path}: cannot be removed: {error.strerror}") from error
        with contextlib.suppress(OSError):
            sweep(root)
    return len(found)


def _remove(path: Path) -> None:
    """Remove a file, or a folder at once for those who look for it.

    The name that a folder has meanwhile is that of a build which was cut off: if this is cut off
    too, the next build sweeps it up.
    """
    if not path.is_dir():
        path.unlink()
        return
    aside = path.with_name(f".{path.name}.part-{os.getpid()}")
    path.rename(aside)
    shutil.rmtree(aside)


def _below(folder: Path, pattern: str, *deeper: str) -> Iterator[Path]:
    """Yield what is below ``folder`` and has such a name, one pattern a level; no links."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not re.fullmatch(pattern, path.name):
            continue
        if deeper:
            yield from _below(path, *deeper)
        else:
            yield path


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    return sum(
        each.lstat().st_size for each in path.rglob("*") if each.is_file() and not each.is_symlink()
    )


def cache_lines(root: Path) -> list[str]:
    """Return what a cache folder holds, a line for each kind; times are of the last use.

    The time of a converted model is when it was made.
    """
    lines = [f"{root}", f"  {'kind':<14}{'entries':>8}{'size':>12}  {'oldest':<18}newest"]
    for kind in KINDS:
        found = kept(root, kind)
        size = sum(each.size for each in found)
        times = [_when(found[0].used), _when(found[-1].used)] if found else ["-", "-"]
        lines.append(
            f"  {kind:<14}{len(found):>8}{_written_size(size):>12}  {times[0]:<18}{times[1]}"
        )
    return lines


def _written_size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / _MIB:.1f} MiB"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
