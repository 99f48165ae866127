"""The files that a model is read from, and whether they are still what they were.

A loaded model has its weights in memory of its own, so a file that is rewritten changes no number.
But then the model that a record names is no longer the one that was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pytest_eac.data.files import file_sha256
from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.model_folder import files_read


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
    """The files of a model's folder that loading may read, at one time."""

    folder: Path
    files: tuple[_File, ...]

    def hashed(self, when: str = "while it was loaded") -> ModelFiles:
        """Return the same files with their hashes; takes about a second per gigabyte.

        Raises:
            ModelError: a file has changed since; the message says ``when``.
        """
        found = tuple(replace(each, sha256=model_file_sha256(each.path)) for each in self.files)
        self.require_unchanged(when)
        return replace(self, files=found)

    def require_unchanged(self, when: str = "since it was loaded") -> None:
        """Raise if the content of a file has changed, or files have been added or removed.

        A file is read again only if its signature is another one.

        Raises:
            ModelError: names the files.
        """
        known = {each.path for each in self.files}
        added = set(_paths(self.folder)) - known
        _refuse(added | {each.path for each in self.files if _is_changed(each)}, when)

    def require_same(self, later: ModelFiles, when: str) -> None:
        """Raise unless the same files are there later, with the same content.

        This does not go by signatures: a file that is written through a mapping into memory can
        keep its own.

        Args:
            later: the files at a later time; both have been hashed.
            when: how long the content must have stayed, for the message.

        Raises:
            ModelError: names the files.
        """
        one, two = ({(each.path, each.sha256) for each in side.files} for side in (self, later))
        _refuse({path for path, _ in one ^ two}, when)


def files_of(folder: Path) -> ModelFiles:
    """Return the files of a folder that loading may read, known by their signatures."""
    return ModelFiles(
        folder=folder,
        files=tuple(
            _File(path=path, signature=_signature(path), sha256=None) for path in _paths(folder)
        ),
    )


def _paths(folder: Path) -> list[Path]:
    return [path for name in files_read(folder) if (path := folder / name).is_file()]


def _refuse(changed: set[Path], when: str) -> None:
    if changed:
        raise ModelError(
            f"{', '.join(map(str, sorted(changed)))}: was changed, added or removed {when}, by "
            "something else than pytest-eac; what was measured is of the model as it was before. "
            "Leave the files of a model alone during a run, and run again"
        )


def _is_changed(file: _File) -> bool:
    try:
        if _signature(file.path) == file.signature:
            return False
        return file.sha256 is None or model_file_sha256(file.path) != file.sha256
    except (OSError, ModelError):
        return True


def _signature(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def model_file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        ModelError: it cannot be read, or is no regular file.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
