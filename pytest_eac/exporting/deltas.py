"""What edits added to a base: as factors, which are small, and bit by bit, which is exact.

Subtracting factors in floating point does not bring back what rounding has taken. So there is a
second file: the difference of the weights' bit patterns, read as whole numbers. Adding it to the
base gives the edited weights, subtracting it from those gives the base, both to the last bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from pytest_eac.errors import ModelError
from pytest_eac.exporting.card import model_card
from pytest_eac.exporting.whole import write_model
from pytest_eac.lm.checkpoint import open_checkpoint
from pytest_eac.manifest import MANIFEST, manifest_to_json
from pytest_eac.measuring.gate import read_manifest
from pytest_eac.store import read_tensors, write_tensors, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from pytest_eac.exporting.edited import Change
    from pytest_eac.lm.checkpoint import TensorFile
    from pytest_eac.manifest import Manifest

DELTAS = "deltas.safetensors"
EXACT = "exact.safetensors"
_WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(tensor: Tensor) -> Tensor:
    """View floating-point numbers as the whole numbers of the same bits."""
    return tensor.contiguous().view(_WHOLE[tensor.element_size()])


def between(before: Tensor, after: Tensor) -> Tensor:
    """Return the whole numbers that :func:`put` adds; sums wrap around, so that none overflows."""
    return bits(after) - bits(before)


def put(tensor: Tensor, exact: Tensor, *, reverse: bool) -> Tensor:
    """Add a difference of bit patterns, or take it away; one undoes the other bit for bit."""
    whole = bits(tensor)
    return (whole - exact if reverse else whole + exact).view(tensor.dtype)


def write_deltas(changes: Mapping[str, Change], folder: Path) -> None:
    """Write both files; the tensors have the names, and lie the way, that the checkpoint has them.

    ``NAME.left`` and ``NAME.right`` mean ``W += left @ right.T``; ``NAME.dense``, for a change that
    is not of low rank, ``W += dense``.

    Args:
        changes: by the tensor's name in the checkpoint.
        folder: where to.

    Raises:
        RecordError: a file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, change in changes.items():
        if change.factors is None:
            tensors[f"{name}.dense"] = (change.after.double() - change.before.double()).float()
            continue
        left, right = reversed(change.factors) if change.transposed else change.factors
        tensors |= {f"{name}.left": left.contiguous(), f"{name}.right": right.contiguous()}
    write_tensors(folder / DELTAS, tensors, {"format": "pt"})
    exact = {name: between(each.before, each.after) for name, each in changes.items()}
    write_tensors(folder / EXACT, exact, {"format": "pt"})


def apply_deltas(deltas: Path, model: Path, out: Path, *, reverse: bool = False) -> bool:
    """Write a model with the deltas of an export added, or taken away again.

    Where ``exact.safetensors`` is, the result is exact and is proved to be what the manifest says;
    it has a manifest of its own then, as an export of the whole model has. With the factors alone
    it is so up to rounding.

    Args:
        deltas: the folder of an export as deltas.
        model: the folder of the base; in reverse, of the edited model.
        out: an empty folder.
        reverse: take the deltas away.

    Returns:
        Whether the result is exact.

    Raises:
        ModelError: the model is not the one that the deltas are for, a file is not what the
            manifest says, or deltas cannot be taken away for want of the exact ones.
        RecordError: a file cannot be written.
    """
    manifest = read_manifest(deltas)
    if manifest.form != "deltas":
        raise ModelError(f"{deltas}: is an export as {manifest.form}, expected deltas")
    exact = (deltas / EXACT).is_file()
    if reverse and not exact:
        raise ModelError(
            f"{deltas / EXACT}: is missing; without it deltas cannot be taken away bit for bit"
        )
    tensors = _read(deltas, EXACT if exact else DELTAS, manifest)
    checkpoint = open_checkpoint(model)
    replaced = {}
    for name, promised in manifest.changed.items():
        start, end = (
            (promised.after, promised.before) if reverse else (promised.before, promised.after)
        )
        file = checkpoint.tensors.get(name)
        if file is None or file.sha256() != start:
            which = "edited" if reverse else "unedited"
            raise ModelError(
                f"{model}: {name} is not that of the {which} model which {deltas / MANIFEST} is for"
            )
        new = put(file.whole(), tensors[name], reverse=reverse) if exact else _add(file, tensors)
        if exact and file.sha256_of([new]) != end:
            raise ModelError(f"{deltas / EXACT}: {name} does not give what {MANIFEST} says")
        replaced[name] = new
    write_model(checkpoint, replaced, out)
    if exact and not reverse:  # what the whole model's export would be
        whole = replace(manifest, form="model", files={})
        write_text(out / MANIFEST, manifest_to_json(whole))
        write_text(out / "README.md", model_card(whole))
    return exact


def _read(folder: Path, name: str, manifest: Manifest) -> dict[str, Tensor]:
    """Read a file of an export whose content the manifest vouches for."""
    path = folder / name
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    found = read_tensors(path) if digest == manifest.files.get(name) else None
    if found is None:
        raise ModelError(f"{path}: is not the file that {MANIFEST} is for")
    return found[0]


def _add(file: TensorFile, tensors: Mapping[str, Tensor]) -> Tensor:
    weight = file.whole()
    if (dense := tensors.get(f"{file.name}.dense")) is None:
        dense = tensors[f"{file.name}.left"] @ tensors[f"{file.name}.right"].T
    return (weight.float() + dense).to(weight.dtype)
