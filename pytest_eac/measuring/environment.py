"""Which model, libraries and machine a record was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.records.run import ModelRecord


def describe_model(loaded: LoadedModel) -> ModelRecord:
    """Return the record of an unedited model."""
    return ModelRecord(
        id=loaded.id,
        revision=loaded.revision,
        fingerprint=loaded.fingerprint,
        architecture=str(loaded.shape["model_type"]),
        dtype=str(loaded.dtype).removeprefix("torch."),
        device=str(loaded.device),
        attention=str(getattr(loaded.model.config, "_attn_implementation", None)),
        shape=loaded.shape,
    )


def describe_environment() -> dict[str, str]:
    """Return the versions and settings that can move a score."""
    packages = ("pytest-eac", "torch", "transformers", "tokenizers", "numpy", "pytest")
    return {
        **{name: _version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # a checkout on the path
