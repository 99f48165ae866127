"""The only writer: caches, results and pictures, locked, and renamed into place when whole."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import platformdirs
from filelock import Timeout

from pytest_eac.atomic_write import OutputKind, acquire_lock, is_stream, replacing, stream, target
from pytest_eac.data.files import open_regular, utf8
from pytest_eac.errors import RecordError
from pytest_eac.records.json_files import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from io import FileIO

    from torch import Tensor

    from pytest_eac.records.run import Record

Result = TypeVar("Result")


def default_cache_dir() -> Path:
    """Return the cache folder of this user: ``$PYTEST_EAC_CACHE`` or the platform's own place."""
    named = os.environ.get("PYTEST_EAC_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("pytest-eac"))


def unusable(folder: Path, error: OSError) -> RecordError:
    """Return the error for a cache folder that cannot be used."""
    return RecordError(
        f"cache folder {folder}: cannot be used: {error.strerror or error}; give another with "
        "--eac-cache-dir"
    )


def require_new(folder: Path) -> None:
    """Find out before any work is done whether a folder is free to be written.

    Raises:
        RecordError: there is something in its place.
    """
    with _writing(folder):
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken or folder.is_symlink():
        raise RecordError(f"{folder}: is there already; give a folder that is new or empty")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn the errors of a block that writes a file or folder into a ``RecordError``."""
    from safetensors import SafetensorError

    try:
        yield
    except Timeout:
        raise RecordError(f"{path}: is being written by another process") from None
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordError(f"{path}: cannot be written: {why}") from error


def new_folder(folder: Path, build: Callable[[Path], Result]) -> Result:
    """Make a folder, filled by ``build`` beside its place: it is there whole or not at all.

    Raises:
        RecordError: there is something in its place, another process is making it, or it cannot be
            written.
    """
    require_new(folder)
    with _writing(folder), replacing(folder, wait=False) as part:
        require_new(folder)  # another process may have made it since
        part.mkdir()
        return build(part)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for the time of the block; other processes wait.

    Raises:
        RecordError: the file or its folder cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = acquire_lock(path)
    except OSError as error:
        raise unusable(path.parent, error) from error
    with held:
        yield


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors and texts about them as safetensors; the old file stays until it is whole.

    Raises:
        RecordError: the file cannot be written.
    """
    from safetensors.torch import save_file

    with _writing(path), replacing(path) as part:
        part.touch()
        mode = part.stat().st_mode  # safetensors lets nobody else read the file
        save_file(dict(tensors), part, metadata=dict(about))
        part.chmod(mode)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Read what :func:`write_tensors` wrote; ``None`` when there is no whole file.

    The tensors are copies: the file is not mapped, so that nobody can change or cut them off later.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", backend="pread") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError):
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a results file; the old one stays until the new one is whole.

    Raises:
        RecordError: the file cannot be written.
    """
    write_text(path, to_json(record))


def update_record(path: Path, change: Callable[[Record | None], Record]) -> None:
    """Replace a results file by what ``change`` makes of it (of ``None``, where there is none).

    Processes that update the same file wait for each other, so that none undoes what another one
    has written.

    Raises:
        RecordError: the file is no results file, or cannot be written.
    """
    with _writing(path), replacing(target(path)) as part:
        old = read_record(path) if path.exists() else None
        part.write_text(to_json(change(old)), encoding="utf-8")


def require_writable(path: Path, kind: OutputKind | None = None) -> None:
    """Find out before any work is done whether a file, a device or a pipe can be written.

    Args:
        path: of it.
        kind: the only kind of file that may be replaced; ``None`` if any may.

    Raises:
        RecordError: it cannot, or there is a file of another kind, which would be lost.
    """
    with _writing(path):
        if is_stream(path):
            if path.stat() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        folder = target(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        is_free = kind is None or kind.may_replace(path)
    if kind is not None and not is_free:
        raise RecordError(
            f"{path}: there is a file that does not hold the {kind.name.lower()} of an earlier "
            "run, and would be lost; give another name, or remove the file"
        )


def write_text(path: Path, text: str) -> None:
    """Write a file; the old one stays until the new one is whole.

    A symbolic link stays, and the file that it leads to is replaced. A device or a pipe is written
    to.

    Raises:
        RecordError: the file cannot be written.
    """
    with _writing(path):
        if _is_streamed(path, text):
            return
        with replacing(target(path)) as part:
            part.write_text(text, encoding="utf-8")


def append_text(path: Path, text: str) -> None:
    """Add a text to the end of a file: the whole of it, or nothing.

    Raises:
        RecordError: the file cannot be written.
    """
    with _writing(path):
        if _is_streamed(path, text):
            return
        with path.open("ab", buffering=0) as file:
            _append(file, text.encode())


def _is_streamed(path: Path, text: str) -> bool:
    """Write a text to a device or a pipe, and say whether ``path`` is one."""
    opened = stream(path)
    if opened is None:
        return False
    with opened:
        opened.write(text)
    return True


def _append(file: FileIO, data: bytes) -> None:
    end = file.seek(0, os.SEEK_END)
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        file.truncate(end)
        raise


def read_record(path: Path) -> Record:
    """Read a results file.

    Raises:
        RecordError: the file is missing, is not JSON, or is not a record of this schema; or the
            path leads to a pipe or a device without being in ``/dev`` itself, as a link in somebody
            else's project may.
    """
    try:
        with path.open("rb") if path.parts[:2] == ("/", "dev") else open_regular(path) as file:
            return from_json(utf8(file.read()))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise RecordError(f"{path}: not a results file of pytest-eac: {error}") from None
