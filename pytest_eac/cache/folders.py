"""Folders in the cache: each is built once, beside its place, and takes its name when it is whole.

Converted models are kept so, as transformers reads them as files. Their folder holds a list of its
files with their sizes and SHA-256, and is used only if that is right. A broken one is built again
with a warning.
"""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from pytest_eac.cache.entries import CacheWarning
from pytest_eac.cache.kinds import MODELS
from pytest_eac.data.files import file_sha256
from pytest_eac.errors import RecordError
from pytest_eac.store import locked, unusable, write_text

SEAL = "sealed-files.json"


def cached_folder(
    root: Path,
    name: str,
    build: Callable[[Path], None],
    *,
    sound: Callable[[Path], bool] = Path.is_dir,
) -> Path:
    """Return the folder ``root/name``, built by ``build`` if it is not there yet or not sound.

    ``build`` fills an empty folder beside it, which takes the name only once it is whole: a run
    that is killed leaves nothing that another one would take for finished. Two runs wait for each
    other.

    Raises:
        RecordError: the cache folder cannot be made or written to.
    """
    folder = root / name
    try:
        if folder.is_dir() and sound(folder):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(root, error) from error
    with locked(folder.parent / f".{folder.name}.lock"):
        if folder.is_dir() and sound(folder):
            return folder
        for leftover in folder.parent.glob(f".{folder.name}.part-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        part = folder.with_name(f".{folder.name}.part-{os.getpid()}")
        try:
            part.mkdir()
        except OSError as error:
            raise unusable(root, error) from error
        try:
            build(part)
            if folder.is_dir():
                folder.rename(part.with_name(f"{part.name}_broken"))
            part.rename(folder)
        finally:
            for leftover in folder.parent.glob(f".{folder.name}.part-*"):
                shutil.rmtree(leftover, ignore_errors=True)
    return folder


def cached_text(root: Path, name: str, make: Callable[[], str]) -> str:
    """Return the text kept under ``root/name``, made by ``make`` if it is not there yet.

    Raises:
        RecordError: the text cannot be kept, or what is kept cannot be read.
    """
    path = cached_folder(root, name, lambda folder: write_text(folder / "text", make())) / "text"
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise RecordError(f"{path}: cannot be read; remove the folder {path.parent}") from None


def take_folder(root: Path, name: str, build: Callable[[Path], None]) -> Path:
    """Return the folder of this name in the cache, built if it is not there or broken.

    Where the cache folder cannot be written to, the folder is a temporary one, which goes when the
    process ends.

    Args:
        root: the cache folder.
        name: of the folder, among the models.
        build: fills an empty folder with files.

    Warns:
        CacheWarning: the folder was broken, or cannot be kept.
    """
    faults: list[str] = []

    def sound(folder: Path) -> bool:
        fault = _find_fault(folder)
        faults.extend([fault] if fault else [])
        return fault is None

    def sealed(folder: Path) -> None:
        build(folder)
        seal(folder)

    try:
        found = cached_folder(root, f"{MODELS}/{name}", sealed, sound=sound)
    except (RecordError, OSError) as error:
        _warn(
            f"{root / MODELS / name}: cannot be kept: {error}. The run goes on with a temporary "
            "copy: make room, or give another folder with --eac-cache-dir"
        )
        found = Path(tempfile.mkdtemp(prefix="pytest-eac-"))
        atexit.register(shutil.rmtree, found, ignore_errors=True)
        build(found)
        return found
    if faults:
        _warn(f"{root / MODELS / name}: {faults[0]}; it has been built again")
    return found


def seal(folder: Path) -> None:
    """Write the list of a folder's files, and let others read these as the umask says."""
    files = _describe(folder)
    text = json.dumps({"files": files, "sha256": _digest(files)}, indent=1)
    write_text(folder / SEAL, text)
    for name in files:
        shutil.copymode(folder / SEAL, folder / name)  # safetensors are the owner's alone


def _find_fault(folder: Path) -> str | None:
    """Return what is wrong with a sealed folder; reads all of it, about a second per gigabyte."""
    try:
        sealed = json.loads((folder / SEAL).read_bytes())
        if sealed["sha256"] != _digest(sealed["files"]):
            return f"{SEAL} is damaged"
        there = _describe(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return f"has no readable {SEAL}, or files that cannot be read"
    wrong = sorted(
        name
        for name in sealed["files"].keys() | there.keys()
        if sealed["files"].get(name) != there.get(name)
    )
    return f"is damaged ({', '.join(wrong)})" if wrong else None


def _describe(folder: Path) -> dict[str, dict[str, str | int]]:
    found: dict[str, dict[str, str | int]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / SEAL:
            name = path.relative_to(folder).as_posix()
            found[name] = {"size": path.stat().st_size, "sha256": file_sha256(path)}
    return found


def _digest(files: object) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _warn(message: str) -> None:
    warnings.warn(CacheWarning(message), stacklevel=3)
