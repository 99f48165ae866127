"""The files that a model is read from, and whether they are still what they were.

A loaded model has its weights in memory of its own, so a file that is rewritten changes no number.
But then the model that a record names is no longer the one that was measured.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_eac.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

_READ = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "vocab.txt", "merges.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file as it was.

    Attributes:
        path: where it is.
        signature: its inode, size and times of change; another is a sign that it was rewritten.
        sha256: of its content; ``None`` where the signature must do.
    """

    path: Path
    signature: tuple[int, ...]
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of a model's folder at one time."""

    files: tuple[_File, ...]

    def hashed(self) -> ModelFiles:
        """Return the same files with their hashes; takes about a second per gigabyte.

        Raises:
            ModelError: a file has changed since.
        """
        found = tuple(
            _File(path=each.path, signature=each.signature, sha256=_sha256(each.path))
            for each in self.files
        )
        self.require_unchanged("while it was loaded")
        return ModelFiles(files=found)

    def require_unchanged(self, when: str = "since it was loaded") -> None:
        """Raise if the content of a file has changed.

        A file is read again only if its signature is another one.

        Raises:
            ModelError: names the files.
        """
        changed = [str(each.path) for each in self.files if _is_changed(each)]
        if changed:
            raise ModelError(
                f"{', '.join(changed)}: was changed or removed {when}, by something else than "
                "pytest-eac; what was measured is of the model as it was before. Leave the files "
                "of a model alone during a run, and run again"
            )


def files_of(folder: Path) -> ModelFiles:
    """Return the files of a folder that loading may read, known by their signatures."""
    return ModelFiles(
        files=tuple(
            _File(path=path, signature=_signature(path), sha256=None)
            for path in sorted(folder.iterdir())
            if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in _READ)
        )
    )


def _is_changed(file: _File) -> bool:
    try:
        if _signature(file.path) == file.signature:
            return False
        return file.sha256 is None or _sha256(file.path) != file.sha256
    except (OSError, ModelError):
        return True


def _signature(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
