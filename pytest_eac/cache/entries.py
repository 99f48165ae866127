"""Entries: plain data and tensors under a key that says all they depend on.

Everything in the cache folder is an entry, except for converted models (``cache/folders.py``): a
safetensors file that holds its key in full and a checksum. It is used only if both are right; a
broken one is dropped with a warning, and its content computed again. Entries are written aside and
renamed, under a lock that all processes share; of the kinds that share a limit, those used least
recently make room for new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_eac.cache.kinds import LIMIT, LIMITED, LOCK, entry_path, kept, sweep
from pytest_eac.errors import EacWarning, RecordError
from pytest_eac.store import default_cache_dir, locked, read_tensors, write_tensors
from pytest_eac.tensor_bytes import tensor_sha256

if TYPE_CHECKING:
    from torch import Tensor

# Part of every key. Raise it when entries that were written before can no longer be believed: those
# of format 1 may hold what a model answered while code of another package had left it changed.
FORMAT = 2

Key = Mapping[str, Any]
Data = TypeVar("Data")


class CacheWarning(EacWarning):
    """Something is wrong with the cache; the run goes on and does the work itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """What is kept: ``data``, which JSON can hold, and tensors by name."""

    data: Any
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class Cache:
    """Entries of all kinds in a folder that any number of processes share.

    Args:
        root: the cache folder; by default the user's.
        limit: bytes that the entries of the limited kinds may take together.

    Attributes:
        hits: how many entries were found, by kind.
    """

    def __init__(self, root: Path | None = None, *, limit: int = LIMIT) -> None:
        self.root = root or default_cache_dir()
        self.hits: Counter[str] = Counter()
        self._limit = limit
        self._room = 0  # bytes to write before the folder is looked through again
        self._writes = True

    def read(self, kind: str, key: Key) -> Entry | None:
        """Return what is kept under a key, ``None`` if there is nothing that can be used.

        The tensors are the caller's own: what becomes of the file does not change them.

        Warns:
            CacheWarning: there is an entry, but it is damaged; it is removed.
        """
        key = {"format": FORMAT, **key}
        path = self._path(kind, key)
        there = os.path.lexists(path)
        found = read_tensors(path) if there else None
        if found is None:
            if there and os.path.lexists(path):  # another run may have removed it
                self._drop(path, "cannot be read, or is cut off")
            return None
        tensors, about = found
        if about.get("sha256") != _checksum(tensors, about) or about.get("key") != _text(key):
            self._drop(path, "is damaged, or is not what its name says")
            return None
        _mark_used(path)
        self.hits[kind] += 1
        return Entry(data=json.loads(about["data"]), tensors=tensors)

    def write(self, kind: str, key: Key, entry: Entry) -> None:
        """Keep an entry; does nothing once the folder has turned out not to be writable.

        Warns:
            CacheWarning: the folder cannot be written to; given once.
        """
        if not self._writes:
            return
        key = {"format": FORMAT, **key}
        path = self._path(kind, key)
        tensors = {name: _plain(tensor) for name, tensor in entry.tensors.items()}
        about = {"key": _text(key), "data": json.dumps(entry.data, allow_nan=False)}
        about["sha256"] = _checksum(tensors, about)
        try:
            with locked(self.root / LOCK):
                write_tensors(path, tensors, about)
                _mark_used(path)
                self._make_room(path.stat().st_size)
        except (OSError, RecordError) as error:
            self._writes = False
            self._warn(
                f"{error}. The run goes on without keeping its results: make room, give another "
                "folder with --eac-cache-dir, or none with --eac-no-cache"
            )

    def take(self, kind: str, key: Key, make: Callable[[], Data]) -> Data:
        """Return the data kept under a key, made by ``make`` if there are none.

        What ``make`` returns must be plain enough to come back from JSON as it was.
        """
        found = self.read(kind, key)
        if found is not None:
            data: Data = found.data
            return data
        data = make()
        self.write(kind, key, Entry(data=data))
        return data

    def remove(self, kind: str, key: Key) -> None:
        """Remove an entry that nothing needs any more, if it is there and can be removed."""
        with contextlib.suppress(OSError):
            self._path(kind, {"format": FORMAT, **key}).unlink(missing_ok=True)

    @contextlib.contextmanager
    def working(self, kind: str, name: str = "") -> Iterator[None]:
        """Let one process at a time compute something for a kind, so that others find it done.

        Args:
            kind: of the entries.
            name: of the work, where several kinds of work need not wait for each other.

        A folder that cannot be written to has no lock: then nothing can be kept, and each process
        computes for itself.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(RecordError):
                stack.enter_context(locked(self.root / kind / f"{name}lock"))
            yield

    def _drop(self, path: Path, fault: str) -> None:
        with contextlib.suppress(OSError):  # a folder that is read only
            path.unlink()
        self._warn(f"{path}: {fault}; it is removed, and its content computed again")

    def _path(self, kind: str, key: Key) -> Path:
        return entry_path(self.root, kind, digest(key))

    def _make_room(self, written: int) -> None:
        """Sweep, and remove what was used least recently beyond the limit; the lock must be held.

        The folder is looked through only once in a while. Others may write meanwhile, so that is at
        the latest after a tenth of the limit.
        """
        self._room -= written
        if self._room > 0:
            return
        sweep(self.root)
        entries = [each for kind in LIMITED for each in kept(self.root, kind)]
        total = sum(each.size for each in entries)
        slack = self._limit // 10
        if total > self._limit:
            for each in sorted(entries, key=lambda each: each.used):
                each.path.unlink(missing_ok=True)
                total -= each.size
                if total <= self._limit - slack:
                    break
        self._room = min(self._limit - total, slack)

    def _warn(self, message: str) -> None:
        warnings.warn(CacheWarning(message), stacklevel=4)


def _mark_used(path: Path) -> None:
    """Note that an entry is used now: file systems' own clocks stand still for milliseconds."""
    now = time.time_ns()
    with contextlib.suppress(OSError):  # evicted since, or a folder that is read only
        os.utime(path, ns=(now, now))


def digest(key: Key) -> str:
    """Return the name of a key: the SHA-256 of its JSON text."""
    return hashlib.sha256(_text(key).encode()).hexdigest()


def _text(key: Key) -> str:
    return json.dumps(key, sort_keys=True, allow_nan=False)


def _plain(tensor: Tensor) -> Tensor:
    """Return a copy that shares its memory with no other, row by row, as safetensors wants it."""
    import torch

    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _checksum(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    parts = {name: tensor_sha256(tensor) for name, tensor in tensors.items()}
    return digest({"key": about.get("key"), "data": about.get("data"), "tensors": parts})


@cache
def source_digest(*parts: str) -> str:
    """Return the SHA-256 of this package's source code in some of its folders and files."""
    root = Path(__file__).parents[1]
    found = hashlib.sha256()
    for part in parts:
        whole = root / part
        for file in sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]:
            found.update(f"{file.relative_to(root).as_posix()}\n".encode())
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()
