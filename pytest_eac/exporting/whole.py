"""A whole model: the base's files, with some tensors replaced and all else as it was."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pytest_eac.cache.folders import SEAL
from pytest_eac.errors import ModelError
from pytest_eac.manifest import MANIFEST
from pytest_eac.store import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from pytest_eac.lm.checkpoint import Checkpoint

# What comes with a model and is neither weights nor code.
_COMPANIONS = ("*.json", "*.jinja", "*.txt", "*.model", "LICENSE*", "NOTICE*")
_NOT_COPIED = {"adapter_config.json", MANIFEST, SEAL}


def write_model(base: Checkpoint, replaced: Mapping[str, Tensor], folder: Path) -> None:
    """Write a base's files into an empty folder, with the content of some tensors replaced.

    One file of the weights is in memory at a time.

    Raises:
        ModelError: a file of the base has been cut off since, or a tensor has another type or shape
            than the base's.
        RecordError: a file cannot be written.
    """
    for file in base.files:
        mine = {name: each for name, each in replaced.items() if base.tensors[name].file == file}
        if not mine:
            shutil.copyfile(file, folder / file.name)
            continue
        found = read_tensors(file)
        if found is None:
            raise ModelError(f"{file}: is damaged or cut off; fetch it again")
        tensors, about = found
        for name, tensor in mine.items():
            old = tensors[name]
            if (old.shape, old.dtype) != (tensor.shape, tensor.dtype):
                raise ModelError(
                    f"{file}: {name} is {old.dtype} {tuple(old.shape)}, expected the same instead "
                    f"of it, found {tensor.dtype} {tuple(tensor.shape)}"
                )
            tensors[name] = tensor.contiguous()
        write_tensors(folder / file.name, tensors, about)
    for pattern in _COMPANIONS:
        for path in sorted(base.folder.glob(pattern)):
            if path.is_file() and path.name not in _NOT_COPIED:
                shutil.copyfile(path, folder / path.name)
