"""Where a model's files are: a hub id, a folder, a ``.gguf`` file, or an installed package."""

import importlib.util
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_eac.data.files import exists, expanded, is_gguf
from pytest_eac.errors import ModelError, UnavailableError
from pytest_eac.lm.loading.config_limits import require_companions
from pytest_eac.lm.loading.gguf_conversion import converted, require_gguf_packages
from pytest_eac.lm.loading.hub_models import fetch_model, find_snapshot, read_listing
from pytest_eac.lm.loading.model_folder import (
    ADAPTER,
    CONFIG,
    INDEX,
    WEIGHTS,
    ListedFile,
    list_folder,
    placed_tensors,
    require_names,
)
from pytest_eac.lm.loading.untrusted_files import read_object, require_fetched, require_inside
from pytest_eac.store import default_cache_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model that is on this machine, in a form that transformers loads without the hub.

    Attributes:
        folder: as ``save_pretrained`` writes it.
        revision: the hub commit, or the SHA-256 of a ``.gguf`` file; ``None`` for a folder.
        files: what the model's folder or repository lists.
        listed: whether ``files`` is complete. It is not for a hub model whose list of files was
            never fetched: it then has only the files on this machine.
    """

    folder: Path
    revision: str | None
    files: tuple[ListedFile, ...]
    listed: bool = True


def find_model(
    model_id: str,
    *,
    revision: str | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    code: bool = False,
    released: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> FoundModel:
    """Find a model's files, fetched from the hub or converted if need be; no code is run.

    Args:
        model_id: hub id, folder, ``.gguf`` file, or ``package:NAME[/FILE]``.
        revision: branch, tag or commit; hub models only.
        cache_dir: where converted models and lists of files are kept; by default the user's cache
            folder.
        offline: take hub models from the local cache only.
        code: whether a hub model's own code is wanted.
        released: as for :func:`pytest_eac.lm.loading.model_folder.require_names`.
        report: called with the progress of a hub model's download.

    Raises:
        UnavailableError: the model is not on this machine.
        ModelError: it is there, but holds no model that may be loaded.
    """
    cache = cache_dir or default_cache_dir()
    path = find_path(model_id, revision)
    if path is None:
        if not offline:
            fetch_model(model_id, revision, cache, report, code=code, released=released)
        try:
            folder = find_snapshot(model_id, revision, cache)
        except UnavailableError as error:
            what = f"{error.what} and could not be fetched"
            raise UnavailableError(what, remedy=f"run: {error.remedy}") from None
        require_model(folder, released=released)
        listed = read_listing(cache, model_id, folder.name)
        if listed is not None:
            require_names(model_id, [each.name for each in listed], released=released)
        return FoundModel(
            folder=folder,
            revision=folder.name,
            files=list_folder(folder) if listed is None else listed,
            listed=listed is not None,
        )
    digest = None
    if path.is_file():
        path, digest = converted(path, cache)
    require_model(path, released=released)
    return FoundModel(folder=path, revision=digest, files=list_folder(path))


def find_on_disk(model_id: str, *, revision: str | None, cache_dir: Path) -> Path:
    """Return a model's folder or ``.gguf`` file, without converting or fetching it.

    Raises:
        UnavailableError: it is not there, or a package that reads it is missing; says the remedy.
        ModelError: it is there, but cannot be used.
    """
    path = find_path(model_id, revision) or find_snapshot(model_id, revision, cache_dir)
    if path.is_file():
        require_gguf_packages(path)
    else:
        require_model(path)
    return path


def find_path(model_id: str, revision: str | None) -> Path | None:
    """Return a local model's folder or ``.gguf`` file; ``None`` for a hub id.

    Raises:
        UnavailableError: the file, folder or package is not there.
        ModelError: a package holds no model or several, or a local model has a revision.
    """
    if model_id.startswith("package:"):
        path = find_in_package(model_id.removeprefix("package:"))
    else:
        path = expanded(model_id)
        if not exists(path):
            if model_id.startswith((".", "/", "~")) or is_gguf(path):
                raise UnavailableError(
                    f"model {model_id!r}: there is no such file or folder",
                    remedy="give the path of a model folder or .gguf file",
                )
            return None
    if revision is not None:
        raise ModelError(f"{model_id}: revision {revision!r} is for hub models; this is a file")
    if path.is_file() and not is_gguf(path):
        raise ModelError(
            f"{path}: found a file, expected a folder of save_pretrained or a .gguf file"
        )
    return path


def require_model(folder: Path, *, released: bool = False) -> None:
    """Raise unless a folder holds a model that transformers loads as it is.

    Args:
        folder: of ``save_pretrained``.
        released: as for :func:`require_names`; what its index names, the gate reports, too.

    Raises:
        ModelError: says what was found, what was expected and what to do.
    """
    names = [each.name for each in list_folder(folder)]
    require_fetched(folder, names)
    require_companions(folder)
    base = read_object(folder / ADAPTER).get("base_model_name_or_path")
    require_names(folder, names, base=str(base or ""), released=released)
    single = WEIGHTS in names
    named = read_object(folder / CONFIG).get("transformers_weights")
    if named not in (None, WEIGHTS if single else INDEX):
        raise ModelError(
            f"{folder / CONFIG}: found transformers_weights: {named!r}, but weights are read from "
            f"{WEIGHTS if single else INDEX}; save the model again with model.save_pretrained"
        )
    if released:
        return
    require_inside(folder, [WEIGHTS] if single else [INDEX])
    if not single:
        placed = read_object(folder / INDEX).get("weight_map")
        require_inside(folder, placed_tensors(folder / INDEX, placed).values())


def find_in_package(name: str) -> Path:
    """Find a model file inside an installed package, without importing the package.

    Args:
        name: ``PACKAGE`` or ``PACKAGE/FILE``.

    Raises:
        UnavailableError: the package is not installed.
        ModelError: it holds no model, or several.
    """
    package, _, inner = name.partition("/")
    spec = None
    if package.isidentifier():
        with suppress(ValueError, ImportError):  # such as __main__
            spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pip_name = package.replace("_", "-")
        raise UnavailableError(
            f"package {package!r} is not installed here",
            remedy=f"pip install --no-deps {shlex.quote(pip_name)}",
        )
    roots = [Path(root) for root in spec.submodule_search_locations]
    if inner:
        found = [root / inner for root in roots if exists(root / inner)]
    else:
        found = [file for root in roots for file in sorted(root.rglob("*")) if is_gguf(file)]
        found += [file.parent for root in roots for file in sorted(root.rglob("config.json"))]
    if len(found) == 1:
        return found[0]
    if not found:
        wanted = inner or ".gguf file and no model folder"
        raise ModelError(f"package {package!r} holds no {wanted} ({roots[0]})")
    names = ", ".join(str(file.relative_to(roots[0])) for file in found)
    raise ModelError(
        f"package {package!r} holds {len(found)} models ({names}); name one: package:{package}/FILE"
    )
