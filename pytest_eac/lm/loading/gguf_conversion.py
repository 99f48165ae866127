"""A GGUF file as a model's folder: converted once, and kept in the cache."""

import logging
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from pytest_eac.cache.folders import take_folder
from pytest_eac.errors import ModelError, RecordError, UnavailableError
from pytest_eac.lm.layout import find_layout
from pytest_eac.lm.library_calls import quiet, refusing
from pytest_eac.lm.loading.config_limits import require_few_parts, require_sizes
from pytest_eac.lm.loading.gguf import Described, read_header
from pytest_eac.lm.loading.kernels import no_kernels
from pytest_eac.lm.loading.pretrained import require_all_weights
from pytest_eac.lm.loading.unchanged_files import model_file_sha256
from pytest_eac.lm.loading.untrusted_files import require_fetched

_log = logging.getLogger(__name__)
_COPY = "model.gguf"


def require_gguf_packages(path: Path) -> None:
    """Raise an ``UnavailableError`` unless the packages that read GGUF files are installed."""
    missing = [name for name in ("gguf", "accelerate") if find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"reading {path.name} needs {' and '.join(missing)}",
            remedy="pip install 'pytest-eac[gguf]'",
        )


def converted(path: Path, cache: Path) -> tuple[Path, str]:
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
    require_gguf_packages(path)
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
