"""Files as bytes and as text: opening, decoding, reading by lines, hashing."""

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

from pytest_eac.errors import DataError


class NotRegularError(OSError):
    """A directory, a pipe or a device where a file is expected; ``strerror`` says which."""


_KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def open_regular(path: Path) -> io.BufferedIOBase:
    """Open a regular file for reading, or what a link to one names.

    Never waits: neither for the other end of a pipe, nor for a device. A file that claims to be
    empty is read as empty; those of ``/proc`` do, whatever can be read from them.

    Raises:
        OSError: it is not there or cannot be opened; a :class:`NotRegularError` if it is no
            regular file.
        ValueError: no file can have this path.
    """
    _require_regular(path.stat())  # before it is opened: that alone can set a device going
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        found = os.fstat(file.fileno())  # it may have been replaced in between
        _require_regular(found)
    except OSError:
        file.close()
        raise
    if found.st_size == 0:
        file.close()
        return io.BytesIO()
    return file


def _require_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "a device")
        raise NotRegularError(errno.EINVAL, f"is {kind}; expected a regular file")


def exists(path: Path) -> bool:
    """Say whether a path exists; one that no file can have does not."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or not a path at all
        return False


def file_trouble(path: Path, expected: str = "a file") -> str | None:
    """Say what is wrong with a path that is to be a regular file, if so; nothing is opened."""
    if not exists(path):
        return f"expected {expected}"
    try:
        _require_regular(path.stat())
    except OSError as error:
        reason = str(error.strerror).partition(";")[0]
        return f"which {reason}: expected {expected}"
    return None


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file that a spec names.

    Raises:
        DataError: it is not there, is no regular file, or cannot be opened or read to its end.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file; the path is relative to the spec"
        ) from None
    except NotRegularError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{str(path)!r}: cannot be read: {error}") from None
    with file:
        try:
            yield file
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file's content, in hexadecimal.

    Raises:
        OSError, ValueError: as :func:`open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


RECORD_BYTES = 1_000_000
"""How many bytes a record of a data file may have, unless another limit is given."""


def lines(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[tuple[int, str]]:
    """Yield a file's lines with their ends and numbers, from 1; one line at a time is held.

    Raises:
        DataError: the file cannot be read, is not UTF-8, or a line has more than ``limit`` bytes.
    """
    with opened(path) as file:
        start = 0
        for number in count(1):
            line = file.readline(limit + 1)
            if not line:
                return
            require_size(len(line), f"{path}:{number}", "line", limit=limit)
            yield number, decoded(f"{path}:{number}", line, start=start)
            start += len(line)


def require_size(size: int, where: str, what: str, *, limit: int = RECORD_BYTES) -> None:
    """Refuse a line, record or cell that is larger than any record is.

    Raises:
        DataError: names the place and the limit, in bytes.
    """
    if size > limit:
        raise DataError(
            f"{where}: found a {what} of more than {limit / 1e6:g} MB; expected at most that for "
            "each record; is this a file of examples?"
        )


def expanded(written: str) -> Path:
    """Return a path with ``~`` and ``~user`` expanded; an unknown user stays."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        return Path(written)


_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# Without a byte order mark: which of the first four bytes are zero where ASCII comes first.
_ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "UTF-16",
    (True, False, True, False): "UTF-16",
    (False, True, True, True): "UTF-32",
    (True, True, True, False): "UTF-32",
}


class NotUtf8Error(ValueError):
    """Bytes that are no UTF-8; ``at`` is the first wrong one, counted from 0."""

    def __init__(self, found: str, at: int) -> None:
        self.at = at
        super().__init__(f"{found}; save the file as UTF-8")


def require_utf8_start(data: bytes) -> None:
    """Refuse the first four bytes of a file in UTF-16 or UTF-32, with or without a mark.

    Raises:
        NotUtf8Error: names the encoding.
    """
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if found := marked or _ZEROS.get(tuple(byte == 0 for byte in data[:4])):
        raise NotUtf8Error(f"found {found}, expected UTF-8", 0)


def utf8(data: bytes, *, start: int = 0) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Args:
        data: the bytes.
        start: at which byte of the file they begin.

    Raises:
        NotUtf8Error: they are not UTF-8; names the encoding that they are in, where that is clear.
    """
    if start == 0:
        require_utf8_start(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        raise NotUtf8Error(f"not UTF-8 (byte {at})", at) from None
    return text.removeprefix("\ufeff") if start == 0 else text


def is_gguf(path: str | Path) -> bool:
    """Return whether a path has the suffix of a GGUF file, in small letters or capitals."""
    return Path(path).suffix.lower() == ".gguf"


def decoded(where: object, data: bytes, *, start: int = 0) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Args:
        where: the place to name in an error.
        data: the bytes.
        start: at which byte of the file they begin.

    Raises:
        DataError: they are not UTF-8.
    """
    try:
        return utf8(data, start=start)
    except NotUtf8Error as error:
        raise DataError(f"{where}: {error}") from None


_NAME = re.compile(r"\w[\w .-]{0,39}")
_COLUMNS = 20  # of a table are named in a message


def columns(names: Iterable[str]) -> str:
    """Write the names of columns for a message.

    Any file can be named as data: what does not look like a name is not shown.
    """
    first = islice(names, _COLUMNS + 1)
    written = [name if _NAME.fullmatch(name) else "(no name)" for name in first]
    return ", ".join([*written[:_COLUMNS], *(["..."] if len(written) > _COLUMNS else [])])
