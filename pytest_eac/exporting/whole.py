"""A whole model: the base's files, with some tensors replaced and all else as it was."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pytest_eac.cache.folders import SEAL
from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.model_folder import ADAPTER, COMPANIONS, TEMPLATES
from pytest_eac.lm.loading.tensors import CheckpointFolder
from pytest_eac.lm.loading.untrusted_files import require_inside
from pytest_eac.records.manifest import MANIFEST, SIGNATURE
from pytest_eac.store import read_tensors, write_tensors

# What comes with a model and is neither weights nor code.
_COPIED = (*COMPANIONS, f"{TEMPLATES}/*.jinja", "*.txt", "LICENSE*", "NOTICE*")
_NOT_COPIED = {ADAPTER, MANIFEST, SIGNATURE, SEAL}


def write_model(base: CheckpointFolder, replaced: Mapping[str, Tensor], folder: Path) -> None:
    """Write a base's files into an empty folder, with the content of some tensors replaced.

    One file of the weights is in memory at a time.

    Raises:
        ModelError: a file of the base has been cut off since or is a link out of its folder, or a
            tensor has another type or shape than the base's.
        RecordError: a file cannot be written.
    """
    copied = _files_to_copy(base.folder)
    require_inside(base.folder, copied)
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
    for name in copied:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(base.folder / name, folder / name)


def _files_to_copy(folder: Path) -> list[str]:
    found = {path for pattern in _COPIED for path in folder.glob(pattern) if path.is_file()}
    names = {path.relative_to(folder).as_posix() for path in found}
    return sorted(names - _NOT_COPIED)
