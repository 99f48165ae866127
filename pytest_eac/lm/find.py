"""Where a model's files are: a hub id, a folder, a ``.gguf`` file, or an installed package."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import snapshot_download
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as hf_logging

from pytest_eac.errors import ModelError, UnavailableError
from pytest_eac.lm.layout import find_layout
from pytest_eac.manifest import MANIFEST
from pytest_eac.spec.files import expanded
from pytest_eac.store import cached_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)
# What transformers reads of a model; other formats of the same weights are left where they are.
_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "model.safetensors", "model-*.safetensors"]


def find_files(model_id: str, revision: str | None, cache: Path) -> tuple[str, str | None, bool]:
    """Return what to give to transformers, the revision if known, and whether it is a hub id.

    Raises:
        UnavailableError: the file, folder or package is not there.
        ModelError: it is there, but holds no model that may be loaded.
    """
    if model_id.startswith("package:"):
        path = find_in_package(model_id.removeprefix("package:"))
    else:
        path = expanded(model_id)
        looks_like_path = model_id.startswith((".", "/", "~")) or path.suffix == ".gguf"
        if not path.exists():
            if looks_like_path:
                raise UnavailableError(
                    f"model {model_id!r}: there is no such file or folder",
                    remedy="give the path of a model folder or .gguf file",
                )
            return model_id, None, True
    if revision is not None:
        raise ModelError(f"{model_id}: revision {revision!r} is for hub models; this is a file")
    if path.suffix == ".gguf":
        return *_converted(path, cache), False
    if not (path / "config.json").is_file():
        hint = ""
        if (path / MANIFEST).is_file():
            hint = (
                "; it is an export of deltas or an adapter: put it on its base first, with "
                "pytest-eac apply or peft's merge_and_unload"
            )
        raise ModelError(
            f"{path}: no config.json in it; expected a folder of save_pretrained{hint}"
        )
    if not any(path.glob("*.safetensors")):
        pickles = [file.name for file in (*path.glob("*.bin"), *path.glob("*.pt"))]
        found = f"found {', '.join(pickles)}" if pickles else "found none"
        raise ModelError(
            f"{path}: {found}, expected weights as .safetensors (pickle files can run code: "
            "convert with model.save_pretrained)"
        )
    return str(path), None, False


def fetch(
    model_id: str, revision: str | None, tell: Callable[[str], None], *, code: bool = False
) -> None:
    """Bring a hub model's files to this machine, saying how far that is.

    Nothing is raised: what cannot be fetched is told by whoever reads the files.

    Args:
        model_id: the hub id.
        revision: branch, tag or commit.
        tell: called with a sentence as the bytes come in.
        code: whether the model's own code is wanted.
    """

    class Told(tqdm):  # type: ignore[misc]
        """A progress bar that nobody sees; it tells instead."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "file": StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> None:
            """Count, and tell if it is bytes."""
            super().update(n)
            if self.unit == "B" and self.total:
                with self.get_lock():
                    tell(_told_bytes(self.n, self.total, self.format_dict["rate"]))

    patterns = [*_FILES, "*.py"] if code else _FILES
    with suppress(Exception):
        snapshot_download(model_id, revision=revision, allow_patterns=patterns, tqdm_class=Told)


def _told_bytes(done: float, total: float, rate: float | None) -> str:
    mega = f"fetching the model, {done / 1e6:.0f} of {total / 1e6:.0f} MB"
    seconds = (total - done) / rate if rate else 0
    return f"{mega}, about {seconds / 60:.0f} min left" if seconds > 90 else mega


def find_in_package(name: str) -> Path:
    """Find a model file inside an installed package, without importing the package.

    Args:
        name: ``PACKAGE`` or ``PACKAGE/FILE``.

    Raises:
        UnavailableError: the package is not installed.
        ModelError: it holds no model, or several.
    """
    package, _, inner = name.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        pip_name = package.replace("_", "-")
        raise UnavailableError(
            f"package {package!r} is not installed here",
            remedy=f"pip install --no-deps {pip_name}",
        )
    roots = [Path(root) for root in spec.submodule_search_locations]
    if inner:
        found = [root / inner for root in roots if (root / inner).exists()]
    else:
        found = [file for root in roots for file in sorted(root.rglob("*.gguf"))]
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


def _converted(path: Path, cache: Path) -> tuple[str, str]:
    """Convert a GGUF file to float32 safetensors, once; return the folder and the file's hash."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{path}: cannot be read as GGUF: it does not start with 'GGUF'")
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    def build(folder: Path) -> None:
        _log.info("converting %s; this is done once", path.name)
        with quiet():
            _convert(path, folder)

    folder = cached_folder(cache, f"models/{path.stem}-{digest[:16]}", build)
    return str(folder), f"sha256:{digest}"


def _convert(path: Path, folder: Path) -> None:
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"reading {path.name} needs {' and '.join(missing)}",
            remedy="pip install 'pytest-eac[gguf]'",
        )
    try:
        source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        find_layout(AutoConfig.from_pretrained(**source))
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**source)
    except (ValueError, OSError, KeyError, IndexError, NotImplementedError) as error:
        raise ModelError(f"{path}: cannot be read as GGUF: {error}") from error
    # The dequantised model still carries its quantizer's mark, which makes it refuse to be saved.
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(model, mark):
            delattr(model, mark)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and advice out of the user's terminal."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
