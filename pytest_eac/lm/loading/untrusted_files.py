"""Files of a model, opened only if they are what they claim to be, and read up to a bound.

Anybody may have written them: they can be links out of their folder, pipes, git-lfs pointers, or
larger than the memory.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from pytest_eac.data.files import open_regular
from pytest_eac.errors import ModelError
from pytest_eac.strict_json import parse_json

TEXT_BYTES = 64 * 2**20
"""How large a file of configuration or tokenizer may be, and the header of a file of weights."""
_BLOCK = 2**20
_POINTER = b"version https://git-lfs.github.com/spec/"


def files_below(folder: Path, skipped: Collection[str] = ()) -> Iterator[tuple[str, int]]:
    """Yield all that is in a folder and its subfolders, except for folders: path in it, and bytes.

    Links to folders are not followed; they, and what is no regular file, are yielded with 0 bytes.

    Args:
        folder: where to look.
        skipped: subfolders that are not looked into, by their paths in the folder.

    Raises:
        ModelError: a subfolder cannot be read, or its path is longer than the system takes.
    """
    try:
        for place, folders, files in os.walk(folder, onerror=_refuse):
            inside = Path(place).relative_to(folder)
            links = [each for each in folders if Path(place, each).is_symlink()]
            folders[:] = sorted(
                each for each in folders if (inside / each).as_posix() not in skipped
            )
            for name in sorted([*files, *links]):
                path = Path(place, name)
                yield (inside / name).as_posix(), path.stat().st_size if path.is_file() else 0
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _refuse(error: OSError) -> NoReturn:
    raise error


def read_text(path: Path) -> str:
    """Read a text that comes with a checkpoint.

    Raises:
        ModelError: it cannot be read, or is larger than any such file is.
    """
    try:
        with open_regular(path) as file:
            found = file.read(TEXT_BYTES + 1)
        if len(found) > TEXT_BYTES:
            raise ModelError(f"{path}: is larger than {TEXT_BYTES:,} bytes, which no such file is")
        return found.decode("utf-8-sig")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: cannot be read: {error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint.

    Raises:
        ModelError: the file is none, gives a key twice (readers differ in which one counts), is
            nested too deeply, or is larger than any such file is.
    """
    try:
        found = parse_json(read_text(path))
    except ValueError as error:
        raise ModelError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path}: found a {type(found).__name__}, expected a JSON object")
    return found


def read_json_if_there(path: Path) -> dict[str, Any]:
    """Return what :func:`read_json` does; an empty object where there is no such file."""
    return read_json(path) if path.is_file() else {}


def read_object(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one if it has none, which its reader reports.

    Not as strict as :func:`read_json`: what other readers accept must be seen.
    """
    try:
        found = json.loads(read_text(path))
    except (ModelError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def same_bytes(one: Path, two: Path) -> bool:
    """Return whether two files are there and are the same, byte for byte."""
    try:
        with open_regular(one) as first, open_regular(two) as second:
            while True:
                blocks = first.read(_BLOCK), second.read(_BLOCK)
                if blocks[0] != blocks[1]:
                    return False
                if not blocks[0]:
                    return True
    except OSError:
        return False


def require_inside(folder: Path, names: Iterable[str]) -> None:
    """Raise if one of these files is a link to a file outside the folder, or its folder is one.

    A snapshot in the hub's cache links to the blobs of its own repository; those are inside.

    Raises:
        ModelError: names the link and its target.
    """
    inside = folder.resolve()
    own = [inside]
    if inside.parent.name == "snapshots" and inside.parents[1].name.startswith("models--"):
        own.append(inside.parents[1] / "blobs")
    for name in dict.fromkeys(names):
        path = folder / name
        try:
            target = path.resolve()
        except (OSError, RuntimeError):  # links in a circle, or a name that is too long
            raise ModelError(f"{path}: is a link that leads nowhere; remove it") from None
        if not any(target.is_relative_to(each) for each in own):
            raise ModelError(
                f"{path}: is a link to {target}, expected a file of the same folder; copy "
                "the file there, or give the folder that it is in"
            )


def require_fetched(folder: Path, names: Iterable[str]) -> None:
    """Raise if one of these files is a git-lfs pointer.

    Raises:
        ModelError: names each pointer and the command that fetches the files.
    """
    pointers = [name for name in names if _is_pointer(folder / name)]
    if pointers:
        raise ModelError(
            f"{folder}: {', '.join(pointers)}: found a git-lfs pointer, expected the file itself; "
            f"run: git lfs pull (in {folder})"
        )


def _is_pointer(path: Path) -> bool:
    """Return whether a file is a git-lfs pointer, in place of a file that was not fetched."""
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False
