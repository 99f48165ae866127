"""Models of the hub: what a repository lists, what is fetched of it, and where that is kept.

Only the files that transformers reads are fetched. The others are known from the repository's list
of files, which is kept in the cache folder, so that a fetched model can be judged without a
network.
"""

import glob
import shlex
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatchcase
from io import StringIO
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import RepoFile
from tqdm import tqdm

from pytest_eac.cache.entries import Cache, Entry
from pytest_eac.cache.kinds import LISTINGS
from pytest_eac.errors import ModelError, UnavailableError
from pytest_eac.lm.loading.model_folder import (
    ADAPTER,
    COMPANIONS,
    CONFIG,
    INDEX,
    SIGNATURE_BYTES,
    TEMPLATES,
    WEIGHTS,
    ListedFile,
    list_folder,
    placed_tensors,
    require_names,
)
from pytest_eac.lm.loading.untrusted_files import read_object
from pytest_eac.records.manifest import SIGNATURE

_REPORTED = 500_000  # bytes; smaller downloads are over at once
_TEMPLATES = f"{TEMPLATES}/*.jinja"


def fetch_model(
    model_id: str,
    revision: str | None,
    cache: Path,
    report: Callable[[str], None],
    *,
    code: bool = False,
    released: bool = False,
) -> None:
    """Fetch the files of a hub model that transformers reads, and keep the list of all its files.

    A missing network raises nothing: :func:`find_snapshot` reports what is missing.

    Args:
        model_id: the hub id.
        revision: branch, tag or commit.
        cache: the cache folder, where the list is kept.
        report: called with the progress while bytes arrive.
        code: whether the model's own code is wanted.
        released: as for :func:`pytest_eac.lm.loading.model_folder.require_names`.

    Raises:
        ModelError: the repository holds no model that may be loaded; its list shows that before
            anything is fetched, or its index, before any weights are.
    """
    try:
        commit = str(HfApi().model_info(model_id, revision=revision).sha)
        listed = _list(model_id, commit)
    except Exception:
        return
    names = [each.name for each in listed]
    require_names(model_id, names, released=released)
    kept = Entry(data=[asdict(each) for each in listed])
    Cache(cache).write(LISTINGS, _listing(model_id, commit), kept)
    with suppress(UnavailableError):
        if find_snapshot(model_id, revision, cache).name == commit and not code:
            return
    try:
        folder = _download(model_id, revision, _companions(listed, code=code), report)
        _download(model_id, revision, _weights(folder, names), report)
    except ModelError:
        raise
    except Exception:
        return


def _list(model_id: str, commit: str) -> tuple[ListedFile, ...]:
    tree = HfApi().list_repo_tree(model_id, recursive=True, revision=commit)
    return tuple(
        ListedFile(
            name=each.path, size=each.size, hash=each.lfs.sha256 if each.lfs else each.blob_id
        )
        for each in tree
        if isinstance(each, RepoFile)
    )


def _companions(listed: Sequence[ListedFile], *, code: bool) -> list[str]:
    """Return the files that come with the weights, and the index if the weights need it.

    A signature that is larger than any is left out: the gate reports it by its listed size.
    """
    patterns = [*COMPANIONS, *(["*.py"] if code else [])]
    names = [each.name for each in listed if each.name != SIGNATURE or each.size <= SIGNATURE_BYTES]
    return [
        name
        for name in names
        if fnmatchcase(name, _TEMPLATES)
        or ("/" not in name and any(fnmatchcase(name, pattern) for pattern in patterns))
        if name != ADAPTER
        if not name.endswith(".index.json") or (name == INDEX and WEIGHTS not in names)
    ]


def _weights(folder: Path, names: Collection[str]) -> list[str]:
    """Return the files that transformers reads weights from: one, or else those of the index.

    Raises:
        ModelError: the index names a file that must not be read.
    """
    if WEIGHTS in names or INDEX not in names:
        return [WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    placed = read_object(folder / INDEX).get("weight_map")
    return sorted({*placed_tensors(folder / INDEX, placed).values()})


def _download(
    model_id: str, revision: str | None, names: Sequence[str], report: Callable[[str], None]
) -> Path:
    class Reported(tqdm):  # type: ignore[misc]
        """A hidden progress bar that reports how far it is."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "file": StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> None:
            """Count, and report if bytes are counted."""
            super().update(n)
            if self.unit == "B" and (self.total or 0) >= _REPORTED:
                with self.get_lock():
                    report(_progress(self.n, self.total, self.format_dict["rate"]))

    wanted = [glob.escape(name) for name in names]
    return Path(
        snapshot_download(model_id, revision=revision, allow_patterns=wanted, tqdm_class=Reported)
    )


def _progress(done: float, total: float, rate: float | None) -> str:
    mega = f"fetching the model, {done / 1e6:.0f} of {total / 1e6:.0f} MB"
    seconds = (total - done) / rate if rate else 0
    return f"{mega}, about {seconds / 60:.0f} min left" if seconds > 90 else mega


def find_snapshot(model_id: str, revision: str | None, cache: Path) -> Path:
    """Return the folder of a hub model's files on this machine; its name is the commit.

    Raises:
        UnavailableError: the model is not there, or some of its files are missing.
        ModelError: its index names a file that must not be read.
    """
    command = ["hf", "download", model_id, *(["--revision", revision] if revision else [])]
    remedy = shlex.join(command)
    try:
        config = try_to_load_from_cache(model_id, CONFIG, revision=revision)
    except HFValidationError:
        config = None
    if not isinstance(config, str):
        raise UnavailableError(f"model {model_id!r} is not on this machine", remedy=remedy)
    folder = Path(config).parent
    if missing := _missing(folder, read_listing(cache, model_id, folder.name)):
        raise UnavailableError(
            f"model {model_id!r} is not complete on this machine (missing: {', '.join(missing)})",
            remedy=remedy,
        )
    return folder


def _missing(folder: Path, listed: Sequence[ListedFile] | None) -> list[str]:
    """Return the needed files that are missing; without a list, only weights are looked for."""
    names = [each.name for each in (list_folder(folder) if listed is None else listed)]
    wanted = [] if listed is None else _companions(listed, code=False)
    return [name for name in (*wanted, *_weights(folder, names)) if not (folder / name).exists()]


def read_listing(cache: Path, model_id: str, commit: str) -> tuple[ListedFile, ...] | None:
    """Return the files that a repository lists at a commit; ``None`` if the list was not kept."""
    found = Cache(cache).read(LISTINGS, _listing(model_id, commit))
    return None if found is None else tuple(ListedFile(**each) for each in found.data)


def _listing(model_id: str, commit: str) -> dict[str, str]:
    return {"model": model_id, "commit": commit}
