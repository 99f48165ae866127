"""Two checkpoints held against each other tensor by tensor; neither is ever in memory.

What is held is a few rows of one tensor of each, whatever the size of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import TYPE_CHECKING

import torch

from pytest_eac.changes import Changes, Difference, Kind
from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoint import TensorFile, as_bytes, open_checkpoint
from pytest_eac.lm.companions import compare_companions, other_weights
from pytest_eac.lm.files import files_of
from pytest_eac.lm.folder import list_folder
from pytest_eac.measuring.rank import effective_rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from pytest_eac.lm.folder import ListedFile

    Progress = Callable[[int, int], None]

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
    files: Sequence[ListedFile] | None = None,
    base_files: Sequence[ListedFile] = (),
    rank_limit: int = RANK_LIMIT,
    progress: Progress | None = None,
) -> Changes:
    """Find what differs between a released checkpoint and its base.

    A release whose files are missing, cut off or in the wrong place is no error: that is among the
    ``troubles`` that are returned.

    Args:
        base: the base's folder.
        edited: the release's folder.
        files: what the release's repository lists; by default the files of its folder.
        base_files: what the base's repository lists.
        rank_limit: count ranks up to this one.
        progress: called with (tensors done, tensors in all).

    Raises:
        ModelError: the base cannot be read, or a file of either is changed meanwhile.
    """
    watched = files_of(base), files_of(edited)
    original = open_checkpoint(base).tensors
    files = list_folder(edited) if files is None else files
    troubles = compare_companions(base, edited, files, base_files)
    differences: list[Difference] = []
    read: set[str] = set()
    try:
        opened = open_checkpoint(edited)
    except ModelError as error:
        troubles.insert(0, str(error).removeprefix(f"{edited}/"))
    else:
        read = {file.name for file in opened.files}
        differences = _compare_all(original, opened.tensors, rank_limit, progress)
    for each in watched:
        each.require_unchanged("while it was compared")
    return Changes(
        tensors=len(original),
        differences=tuple(differences),
        troubles=tuple(troubles),
        rank_limit=rank_limit,
        not_compared=other_weights(files, read, base_files),
    )


def _compare_all(
    original: Mapping[str, TensorFile],
    released: Mapping[str, TensorFile],
    rank_limit: int,
    progress: Progress | None,
) -> list[Difference]:
    found: list[Difference] = []
    total = len(original.keys() | released.keys())
    for done, name in enumerate(sorted(original.keys() & released.keys()), start=1):
        difference = _compare(original[name], released[name], rank_limit)
        found += [difference] if difference else []
        if progress:
            progress(done, total)
    added = [released[name] for name in released.keys() - original.keys()]
    removed = [original[name] for name in original.keys() - released.keys()]
    return sorted(found + _without_twin(added, removed), key=lambda each: each.name)


def _without_twin(added: list[TensorFile], removed: list[TensorFile]) -> list[Difference]:
    """Tell of tensors that only one side has; equal content under another name is renamed."""
    left = {(each.dtype, each.shape, each.sha256()): each for each in removed}
    found = []
    for tensor in sorted(added, key=lambda each: each.name):
        digest = tensor.sha256()
        twin = left.pop((tensor.dtype, tensor.shape, digest), None)
        kind: Kind = "untied" if tensor.name.endswith(_HEADS) else "added"
        told = _describe(tensor, "renamed" if twin else kind)
        bad = sum(_not_finite(chunk) for chunk in tensor.chunks())
        was = twin.name if twin else ""
        found.append(replace(told, was=was, sha256=digest, not_finite=bad))
    found += [
        replace(_describe(tensor, "removed"), base_sha256=digest)
        for (_, _, digest), tensor in left.items()
    ]
    return found


def _compare(base: TensorFile, edited: TensorFile, rank_limit: int) -> Difference | None:
    """Compare two tensors of one name; ``None`` if they are the same and finite."""
    told = _describe(edited, "changed")
    if base.shape != edited.shape or base.dtype != edited.dtype:
        bad = sum(_not_finite(chunk) for chunk in edited.chunks())
        if base.shape != edited.shape:
            return replace(told, kind="reshaped", was=str(base.shape), not_finite=bad)
        return replace(told, kind="retyped", was=base.dtype, not_finite=bad)
    if _same(base, edited):
        bad = sum(_not_finite(chunk) for chunk in edited.chunks())
        return replace(told, kind="same", not_finite=bad) if bad else None
    sums = _sum_up(base, edited)
    return replace(
        told,
        entries=sums.entries,
        l1=sums.l1,
        frobenius=sqrt(sums.squares),
        base_l1=sums.base_l1,
        base_frobenius=sqrt(sums.base_squares),
        rank=_rank(base, edited, sums, rank_limit) if len(base.shape) == 2 else None,
        not_finite=sums.not_finite,
        sha256=edited.sha256(),
        base_sha256=base.sha256(),
    )


def _describe(tensor: TensorFile, kind: Kind) -> Difference:
    return Difference(
        name=tensor.name,
        kind=kind,
        file=tensor.file.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
    )


@dataclass(slots=True, kw_only=True)
class _Sums:
    """What is added up over the chunks of a tensor; see :class:`pytest_eac.changes.Difference`."""

    entries: int = 0
    l1: float = 0.0
    squares: float = 0.0
    base_l1: float = 0.0
    base_squares: float = 0.0
    not_finite: int = 0


def _same(base: TensorFile, edited: TensorFile) -> bool:
    """Say whether two tensors are the same bit by bit; looks no further than a difference."""
    pairs = zip(base.chunks(), edited.chunks(), strict=True)
    return all(torch.equal(as_bytes(one), as_bytes(two)) for one, two in pairs)


def _sum_up(base: TensorFile, edited: TensorFile) -> _Sums:
    sums = _Sums()
    for one, two in zip(base.chunks(), edited.chunks(), strict=True):
        sums.not_finite += _not_finite(two)
        whole = one.double()
        finite = whole[torch.isfinite(whole)]
        sums.base_l1 += float(finite.abs().sum())
        sums.base_squares += float(finite.square().sum())
        sums.entries += _differing(one, two)
        change = _change(one, two)
        sums.l1 += float(change.abs().sum())
        sums.squares += float(change.square().sum())
    return sums


def _not_finite(chunk: Tensor) -> int:
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


def _rank(base: TensorFile, edited: TensorFile, sums: _Sums, limit: int) -> int:
    def rows() -> Iterator[Tensor]:
        for one, two in zip(base.chunks(), edited.chunks(), strict=True):
            yield _change(one, two)

    rounding = _ROUNDINGS * _UNITS.get(base.dtype, 0.0) * sqrt(sums.base_squares)
    return effective_rank(
        rows,
        (base.shape[0], prod(base.shape[1:])),
        limit=limit,
        tolerance=max(_RANK_SHARE * sqrt(sums.squares), rounding),
    )
