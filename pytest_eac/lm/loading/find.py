"""Where a model's files are: a hub id, a folder, a ``.gguf`` file, or an installed package."""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import shutil
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as hf_logging

from pytest_eac.cache.folders import take_folder
from pytest_eac.data.files import exists, expanded, is_gguf
from pytest_eac.errors import ModelError, RecordError, UnavailableError
from pytest_eac.lm.layout import find_layout
from pytest_eac.lm.library_errors import refusing
from pytest_eac.lm.loading.gguf import Described, read_header
from pytest_eac.lm.loading.hub_models import fetch_model, find_snapshot, read_listing
from pytest_eac.lm.loading.kernels import no_kernels
from pytest_eac.lm.loading.model_files import model_file_sha256
from pytest_eac.lm.loading.model_folder import (
    ListedFile,
    list_folder,
    require_fetched,
    require_few_parts,
    require_model,
    require_names,
)
from pytest_eac.lm.loading.sizes import require_sizes
from pytest_eac.store import default_cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

_log = logging.getLogger(__name__)
_COPY = "model.gguf"


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
        path, digest = _converted(path, cache)
    require_model(path, released=released)
    return FoundModel(folder=path, revision=digest, files=list_folder(path))


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


def _converted(path: Path, cache: Path) -> tuple[Path, str]:
    """Convert a GGUF file to float32 safetensors, once; return the folder and the file's hash."""
    require_fetched(path.parent, [path.name])
    described = read_header(path)
    digest = model_file_sha256(path)

    def build(folder: Path) -> None:
        _log.info("converting %s; this is done once", path.name)
        alone = folder / "alone"
        alone.mkdir()
        _copy(path, alone / _COPY, digest)
        with quiet(), no_kernels():
            _convert(path, alone, folder, described)
        shutil.rmtree(alone)

    folder = take_folder(cache, f"{path.stem}-{digest[:16]}", build)
    return folder, f"sha256:{digest}"


def _copy(path: Path, copy: Path, digest: str) -> None:
    """Copy a file that has been hashed, so that nobody can replace it while it is read.

    Raises:
        ModelError: its content is no longer what was hashed.
    """
    shutil.copyfile(path, copy)
    if model_file_sha256(copy) != digest:
        raise ModelError(
            f"{path}: was changed while it was converted; leave the file alone during a run, and "
            "run again"
        )


def _convert(path: Path, alone: Path, folder: Path, described: Described) -> None:
    """Convert the copy in ``alone`` of a file whose header was read.

    transformers would read files beside it.
    """
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"reading {path.name} needs {' and '.join(missing)}",
            remedy="pip install 'pytest-eac[gguf]'",
        )
    source: dict[str, Any] = {
        "pretrained_model_name_or_path": str(alone),
        "gguf_file": _COPY,
        "trust_remote_code": False,
    }
    with refusing(f"{path}: cannot be read as GGUF", "fetch or convert it again"):
        config = AutoConfig.from_pretrained(**source)
        find_layout(config)
        require_few_parts(path, config.to_dict(), described.layers)
        require_sizes(path, config, described.numbers)
        model, info = AutoModelForCausalLM.from_pretrained(
            **source, dtype=torch.float32, output_loading_info=True
        )
        require_all_weights(path, info)
        tokenizer = AutoTokenizer.from_pretrained(**source)
    # The dequantised model still carries its quantizer's mark, which makes it refuse to be saved.
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(model, mark):
            delattr(model, mark)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{folder}: cannot be written: {error}") from error


def require_all_weights(model: object, info: Mapping[str, Collection[str]]) -> None:
    """Raise if transformers made up weights, as what it says of its loading has it.

    Raises:
        ModelError: names some of them.
    """
    if info["missing_keys"]:
        names = ", ".join(sorted(info["missing_keys"])[:5])
        raise ModelError(f"{model}: the checkpoint lacks weights that the model needs: {names}")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and advice out of the user's terminal.

    They may quote a hostile file as it is. What goes wrong is raised, not only logged.
    """
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), _unprinted():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


@contextmanager
def _unprinted() -> Iterator[None]:
    """Drop what Rust code prints, which knows nothing of ``sys.stdout``: names of keys, panics."""
    _flush()
    try:
        saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    except OSError:  # there are none, as in a service
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in saved:
            os.dup2(null, descriptor)
        yield
    finally:
        _flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(null)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed
            stream.flush()
