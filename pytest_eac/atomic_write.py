"""How an output is put in place: whole and under its name, or into a device or a pipe.

:mod:`pytest_eac.store` is the only module that writes, and writes through these.
"""

import contextlib
import errno
import os
import re
import shutil
import stat
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import TextIO

from filelock import BaseFileLock, FileLock, SoftFileLock

_PEEKED = 4096  # bytes


class OutputKind(Enum):
    """The kinds of files that users name as outputs, each with how such a file begins."""

    RESULTS = rb'\s*\{\s*"(?:environment|chains|comparisons|releases|unfinished|schema)"'
    SUMMARY = rb"## Edits: "
    REPORT = rb"\s*<!doctype html>.*pytest-eac</title>"
    PICTURE = rb"<svg [^>]*>\s*<title>(?:Causal tracing|Sweep) of "

    def may_replace(self, path: Path) -> bool:
        """Whether a path is free, or has an empty file or an earlier one of this kind.

        Results may also replace a file that is called ``.json`` and holds no JSON.

        Raises:
            OSError: there is a file, which cannot be read.
        """
        try:
            with path.open("rb") as file:
                start = file.read(_PEEKED)
        except FileNotFoundError:
            return True
        is_useless = path.suffix == ".json" and not start.lstrip().startswith((b"{", b"["))
        if not start or (self is OutputKind.RESULTS and is_useless):
            return True
        return re.match(self.value, start, re.DOTALL) is not None


_MOST_LINKS = 40  # in a row, as on Linux
# What flock answers on file systems without locks: some network, cluster and FUSE ones.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def acquire_lock(path: Path, *, wait: bool = True) -> AbstractContextManager[BaseFileLock]:
    """Acquire a lock file; it is released at the end of a ``with`` block.

    Where the file system has no locks, a file that is there means that the lock is held. What a
    process of this machine leaves of that when it is killed is found out and removed.

    Raises:
        OSError: the file cannot be made.
        Timeout: another process holds the lock, and ``wait`` is not set.
    """
    timeout = -1 if wait else 0
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flock not supported")
            return FileLock(path, timeout=timeout).acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    with contextlib.suppress(OSError):
        path.unlink()
    return SoftFileLock(f"{path}.soft", timeout=timeout).acquire()


@contextlib.contextmanager
def replacing(path: Path, *, wait: bool = True) -> Iterator[Path]:
    """Yield a name beside ``path``; what is made there takes the place of ``path`` at the end.

    Until then, and if an exception leaves the block, what ``path`` was stays as it is. Under the
    lock nobody else uses the name, so what is found there was left by a run that was killed, and is
    removed.

    Raises:
        OSError: it cannot be written.
        Timeout: another process is writing it, and ``wait`` is not set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock_beside(path, wait=wait):
        part = path.with_name(f".{path.name}.part")
        _remove(part)
        try:
            yield part
            part.replace(path)
        finally:
            with contextlib.suppress(OSError):
                _remove(part)


@contextlib.contextmanager
def _lock_beside(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file beside ``path``.

    The lock file is removed while it is held: who waits for it notices, and makes a new one.
    """
    with acquire_lock(path.with_name(f".{path.name}.lock"), wait=wait) as lock:
        try:
            yield
        finally:
            if not isinstance(lock, SoftFileLock):  # which removes its file by itself
                with contextlib.suppress(OSError):  # Windows removes no file that is open
                    Path(lock.lock_file).unlink()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or an open file of this process.

    What is written there cannot be replaced by something else later.

    Raises:
        OSError: it leads nowhere, or to a disk or a socket.
    """
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        kind = "disk" if stat.S_ISBLK(mode) else "socket"
        raise OSError(errno.EINVAL, f"it is a {kind}; expected a file, a pipe or a terminal")
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _descriptor(path: Path) -> int | None:
    """Return the number of an open file that a path names, as ``/dev/stdout`` or ``/dev/fd/3``.

    Opened by its path, a regular file would be written from its start.
    """
    own = Path("/dev/fd").resolve()
    for _ in range(_MOST_LINKS):
        if path.name.isdecimal() and path.parent.resolve() == own:
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def stream(path: Path) -> TextIO | None:
    """Open a device, a pipe or an open file of this process for writing; ``None`` for a file."""
    if not is_stream(path):
        return None
    number = _descriptor(path)
    if number is not None:
        return os.fdopen(os.dup(number), "w", encoding="utf-8")
    try:  # a pipe that nobody reads is an error at once, rather than waited for
        opened = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it is a pipe that no process reads") from None
        raise
    os.set_blocking(opened, True)
    return os.fdopen(opened, "w", encoding="utf-8")


def target(path: Path) -> Path:
    """Return the file that a symbolic link leads to, whether it is there yet or not."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path
