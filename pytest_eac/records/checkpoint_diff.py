"""What tells two checkpoints apart: plain data, without a model."""

# The reference pages show annotations as they are written.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pytest_eac.strict_json import Count, Size

DifferenceKind = Literal[
    "same", "changed", "added", "removed", "renamed", "retyped", "reshaped", "untied"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDifference:
    """A tensor that is not as in the base, or that holds what is no number.

    Attributes:
        name: the tensor's name; for one that is renamed, the new one.
        kind: ``same`` is listed only for what is not finite; ``renamed`` has the base's content
            under another name; ``untied`` is an output matrix that the base has no tensor for: it
            shares that with the embeddings.
        file: the file that holds it; for a removed one, that of the base.
        shape: its shape there.
        dtype: its type there, as safetensors names it (``F32``, ``BF16``).
        was: what the base has instead: another name, type or shape; empty otherwise.
        entries: how many entries differ bit by bit.
        l1: sum of absolute differences, over the entries that are finite in both.
        frobenius: root of the sum of their squares.
        base_l1: the same sums of the base's tensor.
        base_frobenius: likewise.
        rank: effective rank of a changed matrix (:mod:`pytest_eac.measuring.rank`), one above
            :attr:`Changes.rank_limit` if it is above that; ``None`` for what is no matrix.
        not_finite: how many entries are NaN or infinite.
        sha256: of dtype, shape and bytes; of a removed tensor, the base's.
        base_sha256: of the base's tensor, if it has one.
    """

    name: str
    kind: DifferenceKind
    file: str
    shape: tuple[Count, ...]
    dtype: str
    was: str = ""
    entries: Count = 0
    l1: Size = 0.0
    frobenius: Size = 0.0
    base_l1: Size = 0.0
    base_frobenius: Size = 0.0
    rank: Count | None = None
    not_finite: Count = 0
    sha256: str | None = None
    base_sha256: str | None = None

    @property
    def relative(self) -> float:
        """``||W - W_0||_1 / ||W_0||_1``; infinite for a tensor that was all zeros."""
        if self.base_l1 == 0:
            return math.inf if self.l1 else 0.0
        return self.l1 / self.base_l1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraFile:
    """A file of a release that is neither the base's nor known to be harmless.

    Attributes:
        name: its path in the release.
        why: what is wrong with it, and what to do.
    """

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs between a released checkpoint and its base.

    Attributes:
        tensors: how many tensors the base has.
        differences: the tensors that differ, by name.
        troubles: what is wrong with files, configuration and tokenizer, a line each that begins
            with the file.
        rank_limit: how far ranks were counted.
        extra: files that the base does not have and that are not known to be harmless.
        unedited: other weights that the release has, byte for byte the base's own.
        fingerprint: SHA-256 over the names and contents of the release's tensors, as its files have
            them; empty if they cannot be read.
        base_fingerprint: that of the base.
        listed: whether all files of the release are known; those of a hub model are not if the
            list of its repository was never fetched.
    """

    tensors: Count
    differences: tuple[TensorDifference, ...]
    troubles: tuple[str, ...]
    rank_limit: Count
    extra: tuple[ExtraFile, ...] = ()
    unedited: tuple[str, ...] = ()
    fingerprint: str = ""
    base_fingerprint: str = ""
    listed: bool = True

    @property
    def compared(self) -> bool:
        """Whether the tensors were compared; those of a release that cannot be read were not."""
        return bool(self.fingerprint or self.differences or not self.troubles)
