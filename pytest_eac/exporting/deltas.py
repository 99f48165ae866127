"""What edits added to a base: as factors, which are small, and bit by bit, which is exact.

Subtracting factors in floating point does not bring back what rounding has taken. So there is a
second file: the difference of the weights' bit patterns, read as whole numbers. Adding it to the
base gives the edited weights, subtracting it from those gives the base, both to the last bit.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from pytest_eac.data.files import open_regular
from pytest_eac.errors import ModelError
from pytest_eac.exporting.card import model_card
from pytest_eac.exporting.edited_chain import WeightChange
from pytest_eac.exporting.whole import write_model
from pytest_eac.lm.loading.tensors import TensorFile, fingerprint_of, open_checkpoint
from pytest_eac.lm.loading.unchanged_files import files_of
from pytest_eac.measuring.release import read_manifest
from pytest_eac.records.manifest import MANIFEST, Manifest, manifest_to_json
from pytest_eac.store import write_tensors, write_text

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


def write_deltas(changes: Mapping[str, WeightChange], folder: Path) -> None:
    """Write both files; tensors have the names and the orientation of the checkpoint.

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


def apply_deltas(
    deltas: Path, model: Path, out: Path, *, reverse: bool = False, signed: str | None = None
) -> bool:
    """Write a model with the deltas of an export added, or taken away again.

    Where ``exact.safetensors`` is, the result is exact and is proved to be what the manifest says;
    it has a manifest of its own then, as an export of the whole model has. With the factors alone
    it is so up to rounding.

    Args:
        deltas: the folder of an export as deltas.
        model: the folder of the base; in reverse, of the edited model.
        out: an empty folder.
        reverse: take the deltas away.
        signed: the SHA-256 that the signature lists for the manifest; that vouches for all else.

    Returns:
        Whether the result is exact.

    Raises:
        ModelError: a tensor of the model, edited or not, is not that of the model that the deltas
            are for, a file is not what the manifest says or does not fit the model, or deltas
            cannot be taken away because the exact ones are missing.
        RecordError: a file cannot be written.
    """
    manifest = read_manifest(deltas, signed=signed)
    if manifest.form != "deltas":
        raise ModelError(f"{deltas}: is an export as {manifest.form}, expected deltas")
    exact = (deltas / EXACT).exists()
    if reverse and not exact:
        raise ModelError(
            f"{deltas / EXACT}: is missing; without it deltas cannot be taken away bit for bit"
        )
    source = deltas / (EXACT if exact else DELTAS)
    tensors = _read(source, manifest)
    _require_listed(tensors, manifest, source)
    watched = files_of(model)
    checkpoint = open_checkpoint(model)
    hashes = checkpoint.hashes()
    replaced, results = {}, {}
    for name, promised in manifest.changed.items():
        start, end = (
            (promised.after, promised.before) if reverse else (promised.before, promised.after)
        )
        if hashes.get(name) != start:
            raise _other_model(model, name, deltas, reverse=reverse)
        file = checkpoint.tensors[name]
        new = _changed(file, tensors, source, reverse=reverse)
        if exact and file.sha256_of([new]) != end:
            raise ModelError(f"{source}: {name} does not give what {MANIFEST} says")
        replaced[name], results[name] = new, end
    before, after = manifest.base.fingerprint, manifest.edited_fingerprint
    if reverse:
        before, after = after, before
    if fingerprint_of(hashes) != before:
        raise _other_model(model, "a tensor that was not edited", deltas, reverse=reverse)
    if fingerprint_of({**hashes, **results}) != after:
        raise ModelError(
            f"{deltas / MANIFEST}: contradicts itself: its tensors and the model's do not have the "
            "fingerprint that it says the result has; export the edits again"
        )
    write_model(checkpoint, replaced, out)
    watched.require_unchanged("while deltas were applied")
    if exact and not reverse:  # what the whole model's export would be
        whole = replace(manifest, form="model", files={})
        write_text(out / MANIFEST, manifest_to_json(whole))
        write_text(out / "README.md", model_card(whole))
    return exact


def _other_model(model: Path, what: str, deltas: Path, *, reverse: bool) -> ModelError:
    which = "edited" if reverse else "unedited"
    return ModelError(
        f"{model}: {what} is not that of the {which} model which {deltas / MANIFEST} is for"
    )


def _read(path: Path, manifest: Manifest) -> dict[str, Tensor]:
    """Read a file of an export, and check the bytes that were read against the manifest."""
    try:
        with open_regular(path) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() == manifest.files.get(path.name):
            return load(data)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except (SafetensorError, KeyError, RuntimeError, ValueError):  # or a type that torch has not
        pass
    raise ModelError(f"{path}: is not the file that {MANIFEST} is for")


def _changed(
    file: TensorFile, tensors: Mapping[str, Tensor], source: Path, *, reverse: bool
) -> Tensor:
    """Return a tensor of the model with its delta added, or taken away."""
    weight = file.whole()
    if source.name == EXACT:
        added = _fitting(file.name, tensors, source, file.shape, _WHOLE[file.kind.itemsize])
        return put(weight, added, reverse=reverse)
    return (weight.float() + _dense(file, tensors, source)).to(weight.dtype)


def _dense(file: TensorFile, tensors: Mapping[str, Tensor], source: Path) -> Tensor:
    """Return what is to be added to a tensor, multiplied out if it is there as factors."""
    left, right = f"{file.name}.left", f"{file.name}.right"
    if len(file.shape) != 2 or left not in tensors:
        return _fitting(f"{file.name}.dense", tensors, source, file.shape)
    rank = tensors[left].shape[-1] if tensors[left].dim() == 2 else 1
    rows, columns = file.shape
    return (
        _fitting(left, tensors, source, (rows, rank))
        @ _fitting(right, tensors, source, (columns, rank)).T
    )


def _fitting(
    name: str,
    tensors: Mapping[str, Tensor],
    source: Path,
    shape: tuple[int, ...],
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return a tensor of an export's file that fits the model's; in float32 unless it has a dtype.

    Raises:
        ModelError: it is missing, has another shape or type, or holds what is no number.
    """
    found = tensors.get(name)
    if found is None:
        raise _misfit(source, name, "is missing")
    fits = found.is_floating_point() if dtype is None else found.dtype == dtype
    if tuple(found.shape) != shape or not fits:
        expected = f"{dtype or 'numbers in floating point'}, {list(shape)}"
        raise _misfit(
            source, name, f"found {found.dtype}, {list(found.shape)}, expected {expected}"
        )
    if dtype is not None:
        return found
    if not found.float().isfinite().all():
        raise _misfit(source, name, "holds NaN or infinities")
    return found.float()


def _require_listed(tensors: Mapping[str, Tensor], manifest: Manifest, source: Path) -> None:
    """Refuse a file that holds deltas of a tensor which the manifest does not list."""
    for name in tensors:
        tensor = name if source.name == EXACT else name.rpartition(".")[0]
        if tensor not in manifest.changed:
            raise _misfit(source, name, f"{MANIFEST} lists no such tensor")


def _misfit(source: Path, name: str, found: str) -> ModelError:
    return ModelError(f"{source}: {name}: {found}; export the edits again")
