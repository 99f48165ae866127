"""Data sets of the Hugging Face hub: their files on this machine, and the rows in them."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from pytest_eac.data.files import RECORD_BYTES, require_size
from pytest_eac.data.tables import Rows
from pytest_eac.errors import DataError, UnavailableError, first_line

# Where no split is asked for: labels of test splits are often withheld.
_PREFERRED = ("validation", "test", "train")


def read_hub(name: str, *, revision: str | None, offline: bool) -> Rows:
    """Yield the rows of a data set, each with its number, from 1.

    Args:
        name: ``ID[/CONFIG][@SPLIT]``, the ID as ``OWNER/NAME`` or, without a config, ``NAME``.
            By default the split ``validation``, else ``test``, else ``train``.
        revision: branch, tag or commit.
        offline: fetch nothing.

    Raises:
        UnavailableError: the data set is not on this machine and cannot be fetched.
        DataError: the name, the config or the split is wrong, or the data cannot be read.
    """
    place, _, split = name.partition("@")
    parts = place.split("/")
    if not all(parts) or len(parts) > 3:
        raise DataError(f"found the data set {name!r}; expected OWNER/NAME[/CONFIG][@SPLIT]")
    folder = fetch_data_set("/".join(parts[:2]), revision=revision, offline=offline)
    yield from read_data_set(folder, name, config="".join(parts[2:]), split=split)


def read_data_set(
    folder: str, name: str, *, config: str, split: str, limit: int = RECORD_BYTES
) -> Rows:
    """Yield the rows of a data set whose files are in a folder, each with its number, from 1.

    The files themselves are read: the cache of prepared data sets would give the newest revision
    that it has.

    Args:
        folder: that of :func:`fetch_data_set`.
        name: of the data set, for messages.
        config: its configuration; empty for the only one.
        split: by default the first of ``validation``, ``test`` and ``train`` that there is.
        limit: how many bytes a row may have, as JSON.

    Raises:
        DataError: the config or the split is not there, or the data cannot be read.
    """
    import datasets
    import pyarrow

    try:
        found = datasets.load_dataset(folder, config or None)
        table = found[_choose(split, list(found), name)]
        for number, row in enumerate(table, start=1):
            size = len(json.dumps(row, ensure_ascii=False, default=str))
            require_size(size, f"hub:{name}:{number}", "record", limit=limit)
            yield number, dict(row)
    except (
        OSError,
        ValueError,
        RuntimeError,
        pyarrow.ArrowException,
        datasets.exceptions.DatasetsError,
    ) as error:
        raise DataError(f"data set {name!r}: {first_line(error)}") from error


def _choose(split: str, there: list[str], name: str) -> str:
    for wanted in (split,) if split else (*_PREFERRED, *there[:1]):
        if wanted in there:
            return wanted
    raise DataError(f"data set {name!r}: found the splits {', '.join(there)}; expected {split!r}")


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
        absent = isinstance(error, LocalEntryNotFoundError)  # words it for callers of the library
        why = "" if absent else f" ({first_line(error)})"
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
