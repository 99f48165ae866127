"""Two checkpoints are compared tensor by tensor, without loading either.

Only a few rows of one tensor of each are in memory, whatever the size of the model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.configuration import compare_companions
from pytest_eac.lm.checkpoints.inventory import side, take_inventory
from pytest_eac.lm.checkpoints.metadata import compare_notes
from pytest_eac.lm.loading.model_folder import ListedFile
from pytest_eac.lm.loading.tensors import TensorFile, fingerprint_of, open_checkpoint
from pytest_eac.lm.loading.unchanged_files import files_of
from pytest_eac.measuring.rank import effective_rank
from pytest_eac.measuring.time_left import StepProgress
from pytest_eac.records.checkpoint_diff import Changes, DifferenceKind, TensorDifference
from pytest_eac.tensor_bytes import as_bytes

RANK_LIMIT = 64
# What the effective rank leaves out: this share of the difference's norm, or what rounding alone
# can make of it, in units of one rounding of the whole matrix. Four are enough for some 80 updates:
# errors of rounding add up like the root of their number, and one is below half a unit.
_RANK_SHARE = 1e-3
_ROUNDINGS = 4
_UNITS = {"F64": 2.0**-53, "F32": 2.0**-24, "F16": 2.0**-11, "BF16": 2.0**-8}
_HEADS = ("lm_head.weight", "embed_out.weight")


def compare_checkpoints(
    base: Path,
    edited: Path,
    *,
    files: Sequence[ListedFile] = (),
    base_files: Sequence[ListedFile] = (),
    rank_limit: int = RANK_LIMIT,
    progress: StepProgress | None = None,
) -> Changes:
    """Find what differs between a released checkpoint and its base.

    A release whose files are missing, cut off or in the wrong place is no error: that is among the
    ``troubles`` that are returned.

    Args:
        base: the base's folder.
        edited: the release's folder.
        files: what the release's repository lists, besides the files of its folder.
        base_files: what the base's repository lists, likewise.
        rank_limit: count ranks up to this one.
        progress: called with (tensors done, tensors in all).

    Raises:
        ModelError: the base cannot be read, or a file of either is changed meanwhile.
    """
    watched = files_of(base), files_of(edited)
    checkpoint = open_checkpoint(base)
    original = checkpoint.tensors
    troubles: list[str] = []
    found = _Compared()
    placed: dict[str, str] | None = None
    try:
        opened = open_checkpoint(edited)
    except ModelError as error:
        troubles.append(str(error).removeprefix(f"{edited}/"))
    else:
        placed = {name: each.file.name for name, each in opened.tensors.items()}
        found = _compare_all(original, opened.tensors, rank_limit, progress)
        troubles += compare_notes(checkpoint, opened)
    inventory = take_inventory(side(base, base_files), side(edited, files), placed)
    troubles += inventory.troubles
    troubles += compare_companions(base, edited, inventory.as_written)
    for each in watched:
        each.require_unchanged("while it was compared")
    return Changes(
        tensors=len(original),
        differences=tuple(sorted(found.differences, key=lambda each: each.name)),
        troubles=tuple(troubles),
        rank_limit=rank_limit,
        extra=inventory.extra,
        unedited=inventory.unedited,
        fingerprint=fingerprint_of(found.hashes) if found.hashes else "",
        base_fingerprint=fingerprint_of(found.base_hashes) if found.base_hashes else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """What the tensors of both sides are: the differences, and the SHA-256 of each by its name."""

    differences: list[TensorDifference] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    base_hashes: dict[str, str] = field(default_factory=dict)


def _compare_all(
    original: Mapping[str, TensorFile],
    released: Mapping[str, TensorFile],
    rank_limit: int,
    progress: StepProgress | None,
) -> _Compared:
    found = _Compared()
    total = len(original.keys() | released.keys())
    for done, name in enumerate(sorted(original.keys() & released.keys()), start=1):
        difference = _compare(original[name], released[name], rank_limit)
        found.base_hashes[name] = difference.base_sha256 or ""
        found.hashes[name] = difference.sha256 or ""
        if difference.kind != "same" or difference.not_finite:
            found.differences.append(difference)
        if progress:
            progress(done, total)
    added = [released[name] for name in released.keys() - original.keys()]
    removed = [original[name] for name in original.keys() - released.keys()]
    found.hashes.update((each.name, each.sha256()) for each in added)
    found.base_hashes.update((each.name, each.sha256()) for each in removed)
    found.differences.extend(_without_twin(added, removed, found))
    return found


def _without_twin(
    added: list[TensorFile], removed: list[TensorFile], known: _Compared
) -> Iterator[TensorDifference]:
    """Report tensors that only one side has; equal content under another name is renamed."""
    left = {(each.dtype, each.shape, known.base_hashes[each.name]): each for each in removed}
    for tensor in sorted(added, key=lambda each: each.name):
        digest = known.hashes[tensor.name]
        twin = left.pop((tensor.dtype, tensor.shape, digest), None)
        kind: DifferenceKind = "untied" if tensor.name.endswith(_HEADS) else "added"
        yield _describe(
            tensor,
            "renamed" if twin else kind,
            was=twin.name if twin else "",
            sha256=digest,
            not_finite=_not_finite(tensor),
        )
    for (_, _, digest), tensor in left.items():
        yield _describe(tensor, "removed", base_sha256=digest)


def _compare(base: TensorFile, edited: TensorFile, rank_limit: int) -> TensorDifference:
    """Compare two tensors of one name."""
    if base.shape == edited.shape and base.dtype == edited.dtype:
        if digest := _same(base, edited):
            bad = _not_finite(edited)
            return _describe(edited, "same", not_finite=bad, sha256=digest, base_sha256=digest)
        return _changed(base, edited, rank_limit)
    reshaped = base.shape != edited.shape
    return _describe(
        edited,
        "reshaped" if reshaped else "retyped",
        was=str(base.shape) if reshaped else base.dtype,
        not_finite=_not_finite(edited),
        sha256=edited.sha256(),
        base_sha256=base.sha256(),
    )


def _changed(base: TensorFile, edited: TensorFile, rank_limit: int) -> TensorDifference:
    entries = not_finite = 0
    l1 = squares = base_l1 = base_squares = 0.0
    for one, two in zip(base.chunks(), edited.chunks(), strict=True):
        not_finite += _not_finite_in(two)
        whole = one.double()
        finite = whole[torch.isfinite(whole)]
        base_l1 += float(finite.abs().sum())
        base_squares += float(finite.square().sum())
        entries += _differing(one, two)
        change = _change(one, two)
        l1 += float(change.abs().sum())
        squares += float(change.square().sum())
    rounding = _ROUNDINGS * _UNITS.get(base.dtype, 0.0) * sqrt(base_squares)
    tolerance = max(_RANK_SHARE * sqrt(squares), rounding)
    return _describe(
        edited,
        "changed",
        entries=entries,
        l1=l1,
        frobenius=sqrt(squares),
        base_l1=base_l1,
        base_frobenius=sqrt(base_squares),
        rank=_rank(base, edited, rank_limit, tolerance) if len(base.shape) == 2 else None,
        not_finite=not_finite,
        sha256=edited.sha256(),
        base_sha256=base.sha256(),
    )


def _describe(tensor: TensorFile, kind: DifferenceKind, **found: Any) -> TensorDifference:
    return TensorDifference(
        name=tensor.name,
        kind=kind,
        file=tensor.file.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        **found,
    )


def _same(base: TensorFile, edited: TensorFile) -> str | None:
    """Return the SHA-256 of two tensors that are the same bit by bit, in one reading of both.

    Looks no further than a difference.
    """
    different = False

    def alike() -> Iterator[Tensor]:
        nonlocal different
        for one, two in zip(base.chunks(), edited.chunks(), strict=True):
            if different := not torch.equal(as_bytes(one), as_bytes(two)):
                return
            yield two

    digest = edited.sha256_of(alike())
    return None if different else digest


def _not_finite(tensor: TensorFile) -> int:
    return sum(map(_not_finite_in, tensor.chunks()))


def _not_finite_in(chunk: Tensor) -> int:
    """Count NaNs and infinities; the sum, which is quick to get, shows whether there may be any."""
    if not chunk.is_floating_point():
        return 0
    numbers = chunk.float()  # 8-bit types cannot be asked themselves
    return 0 if torch.isfinite(numbers.sum()) else int((~torch.isfinite(numbers)).sum())


def _differing(one: Tensor, two: Tensor) -> int:
    different = as_bytes(one) != as_bytes(two)
    return int(different.view(-1, one.element_size()).any(dim=1).sum())


def _change(one: Tensor, two: Tensor) -> Tensor:
    """Return the difference in float64, 0 where either side is not finite."""
    return (two.double() - one.double()).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _rank(base: TensorFile, edited: TensorFile, limit: int, tolerance: float) -> int:
    def rows() -> Iterator[Tensor]:
        for one, two in zip(base.chunks(), edited.chunks(), strict=True):
            yield _change(one, two)

    return effective_rank(rows, (base.shape[0], base.shape[1]), limit=limit, tolerance=tolerance)
