"""A model of the hub: what its repository lists, what is fetched of that, and where it is kept.

Only what transformers reads of a model is fetched. All else is known by the repository's list of
files, which is kept in the cache folder, so that a model that has been fetched can be judged
without a network.
"""

from __future__ import annotations

import glob
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatchcase
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import RepoFile
from tqdm import tqdm

from pytest_eac.cache.entries import Cache, Entry
from pytest_eac.cache.kinds import LISTINGS
from pytest_eac.errors import UnavailableError
from pytest_eac.lm.folder import (
    ADAPTER,
    CONFIG,
    INDEX,
    WEIGHTS,
    ListedFile,
    list_folder,
    read_object,
    require_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

# Configuration and tokenizer. What lies in subfolders belongs to other formats of the same model,
# except for the templates that transformers keeps in a folder of their own.
_COMPANIONS = ("*.json", "*.jinja", "*.model", "*.tiktoken", "vocab.txt", "merges.txt")
_REPORTED = 500_000  # bytes; what is smaller is there at once
_TEMPLATES = "additional_chat_templates/*.jinja"


def fetch_model(
    model_id: str,
    revision: str | None,
    cache: Path,
    tell: Callable[[str], None],
    *,
    code: bool = False,
    released: bool = False,
) -> None:
    """Bring to this machine what transformers reads of a hub model, and keep the list of its files.

    Nothing is raised for want of a network: what is missing is reported by :func:`find_snapshot`.

    Args:
        model_id: the hub id.
        revision: branch, tag or commit.
        cache: the cache folder, where the list is kept.
        tell: called with a sentence as the bytes come in.
        code: whether the model's own code is wanted.
        released: as for :func:`pytest_eac.lm.folder.require_names`.

    Raises:
        ModelError: the repository holds no model that may be loaded; known by its list, before
            anything is fetched.
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
    with suppress(Exception):
        folder = _download(model_id, revision, _companions(names, code=code), tell)
        _download(model_id, revision, _weights(folder, names), tell)


def _list(model_id: str, commit: str) -> tuple[ListedFile, ...]:
    tree = HfApi().list_repo_tree(model_id, recursive=True, revision=commit)
    return tuple(
        ListedFile(
            name=each.path, size=each.size, hash=each.lfs.sha256 if each.lfs else each.blob_id
        )
        for each in tree
        if isinstance(each, RepoFile)
    )


def _companions(names: Collection[str], *, code: bool) -> list[str]:
    """Return the files that come with the weights, and the index if the weights need it."""
    patterns = [*_COMPANIONS, *(["*.py"] if code else [])]
    return [
        name
        for name in names
        if fnmatchcase(name, _TEMPLATES)
        or ("/" not in name and any(fnmatchcase(name, pattern) for pattern in patterns))
        if name != ADAPTER
        if not name.endswith(".index.json") or (name == INDEX and WEIGHTS not in names)
    ]


def _weights(folder: Path, names: Collection[str]) -> list[str]:
    """Return the files that transformers reads weights from: one, or else those of the index."""
    if WEIGHTS in names or INDEX not in names:
        return [WEIGHTS]
    placed = read_object(folder / INDEX).get("weight_map")
    shards = placed.values() if isinstance(placed, dict) else ()
    return sorted({each for each in shards if isinstance(each, str)})


def _download(
    model_id: str, revision: str | None, names: Sequence[str], tell: Callable[[str], None]
) -> Path:
    class Told(tqdm):  # type: ignore[misc]
        """A progress bar that nobody sees; it reports instead."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "file": StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> None:
            """Count, and report if it is bytes."""
            super().update(n)
            if self.unit == "B" and (self.total or 0) >= _REPORTED:
                with self.get_lock():
                    tell(_told_bytes(self.n, self.total, self.format_dict["rate"]))

    wanted = [glob.escape(name) for name in names]
    return Path(
        snapshot_download(model_id, revision=revision, allow_patterns=wanted, tqdm_class=Told)
    )


def _told_bytes(done: float, total: float, rate: float | None) -> str:
    mega = f"fetching the model, {done / 1e6:.0f} of {total / 1e6:.0f} MB"
    seconds = (total - done) / rate if rate else 0
    return f"{mega}, about {seconds / 60:.0f} min left" if seconds > 90 else mega


def find_snapshot(model_id: str, revision: str | None, cache: Path) -> Path:
    """Return the folder of what is on this machine of a hub model; its name is the commit.

    Raises:
        UnavailableError: the model is not there, or only a part of it.
    """
    more = f" --revision {revision}" if revision else ""
    remedy = f"hf download {model_id}{more}"
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
    """Return what is wanted of a model and not there; without a list, that is its weights alone."""
    names = [each.name for each in (list_folder(folder) if listed is None else listed)]
    wanted = [] if listed is None else _companions(names, code=False)
    return [name for name in (*wanted, *_weights(folder, names)) if not (folder / name).exists()]


def read_listing(cache: Path, model_id: str, commit: str) -> tuple[ListedFile, ...] | None:
    """Return the files that a repository lists at a commit; ``None`` if they have not been kept."""
    found = Cache(cache).read(LISTINGS, _listing(model_id, commit))
    return None if found is None else tuple(ListedFile(**each) for each in found.data)


def _listing(model_id: str, commit: str) -> dict[str, str]:
    return {"model": model_id, "commit": commit}
