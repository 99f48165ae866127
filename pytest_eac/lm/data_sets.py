"""Data sets of the Hugging Face hub, as files on this machine."""

from __future__ import annotations

import shlex
from typing import Any

from pytest_eac.errors import DataError, UnavailableError


def fetch_data_set(identity: str, *, revision: str | None = None, offline: bool = False) -> str:
    """Return the folder with the files of a data set, ``.../snapshots/COMMIT`` of the hub's cache.

    Args:
        identity: ``OWNER/NAME`` or ``NAME``: of the hub, never a folder or a kind of file.
        revision: branch, tag or commit.
        offline: fetch nothing.

    Raises:
        DataError: the name is none that the hub can have.
        UnavailableError: the data set is not on this machine and cannot be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    pinned: dict[str, Any] = {"revision": revision} if revision else {}
    try:
        return str(
            snapshot_download(identity, repo_type="dataset", local_files_only=offline, **pinned)
        )
    except HFValidationError as error:
        raise DataError(f"found the data set {identity!r}: {error}") from None
    except OSError as error:
        first = str(error).strip().partition("\n")[0]
        absent = isinstance(error, LocalEntryNotFoundError)  # words it for callers of the library
        why = "" if absent else f" ({first})"
        command = ["hf", "download", "--repo-type", "dataset", identity]
        command += ["--revision", revision] if revision else []
        raise UnavailableError(
            f"data set {identity!r} is not on this machine and could not be fetched{why}",
            remedy=f"run: {shlex.join(command)}",
        ) from error
