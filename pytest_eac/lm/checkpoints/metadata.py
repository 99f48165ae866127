"""What files of weights say beside their tensors: the metadata of safetensors and of an index.

Some loaders go by it: an index may name the type in which transformers loads the weights.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.contrast import described, differences
from pytest_eac.lm.loading.model_folder import INDEX
from pytest_eac.lm.loading.tensors import METADATA, CheckpointFolder
from pytest_eac.lm.loading.untrusted_files import read_json, read_json_if_there, same_bytes

_FORMAT = "format"  # without it, or with another one, versions of transformers refuse the file
_TORCH = "pt"
_SIZES = ("total_size", "total_parameters")  # of all weights; nothing is loaded by them


def compare_notes(base: CheckpointFolder, edited: CheckpointFolder) -> list[str]:
    """Return what a release's files of weights say and the base's do not, a line each.

    Weights may be cut into other files, so each file is held against all of the base's, and what
    the base says may be left out. ``format: pt`` may always be there.

    Raises:
        ModelError: the base's index cannot be read.
    """
    return [*_compare_metadata(base, edited), *_compare_index(base.folder, edited.folder)]


def _compare_metadata(base: CheckpointFolder, edited: CheckpointFolder) -> Iterator[str]:
    files = base.metadata.values()
    for file, about in edited.metadata.items():
        for key in sorted(about.keys() | {_FORMAT}):
            known = [each.get(key) for each in files if key in each or key == _FORMAT]
            value = about.get(key)
            if value not in known and (key, value) != (_FORMAT, _TORCH):
                yield f"{file}: {described(f'{METADATA}.{key}', next(iter(known), None), value)}"


def _compare_index(base: Path, edited: Path) -> list[str]:
    path = edited / INDEX
    if not path.is_file() or same_bytes(base / INDEX, path):
        return []
    was = _notes(read_json_if_there(base / INDEX))
    try:
        now = _notes(read_json(path))
    except ModelError:
        return []  # reported as an index
    return [f"{INDEX}: {line}" for line in differences(_also_in(now, was), now, every_key=True)]


def _notes(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an index says beside where each tensor is, and how much all of them are."""
    found = {key: value for key, value in index.items() if key != "weight_map"}
    if isinstance(about := found.setdefault("metadata", {}), dict):
        numbers = {key for key in _SIZES if type(about.get(key)) in (int, float)}
        found["metadata"] = {key: about[key] for key in about.keys() - numbers}
    return found


def _also_in(now: Mapping[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    """Return of an object the keys that another has as well, in objects inside them, too."""
    return {
        key: _also_in(now[key], value)
        if isinstance(value, dict) and isinstance(now[key], dict)
        else value
        for key, value in was.items()
        if key in now
    }
