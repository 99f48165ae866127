"""Data sets of the Hugging Face hub, as files on this machine."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pytest_eac.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@contextmanager
def data_sets_offline(offline: bool) -> Iterator[None]:
    """Keep other libraries that load data sets from the network: they have no option for it."""
    if not offline:
        yield
        return
    import datasets.config
    import huggingface_hub.constants

    with (
        patch.object(datasets.config, "HF_HUB_OFFLINE", new=True),
        patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", new=True),
    ):
        yield
