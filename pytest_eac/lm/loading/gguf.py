"""The header of a GGUF file, checked before any library reads it.

The reader of GGUF files that transformers uses trusts every length in them: past the end of the
file it reads nothing, as many times as a count of 2^60 says, and it makes a layer for each that the
header claims. Format: ggml, docs/gguf.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.config_limits import require_few_parts

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
# The kinds of numbers as :mod:`struct` names them: 0 to 7, and those of 64 bits.
_SCALARS = {**dict(enumerate("BbHhIif?")), 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_NAME_BYTES = 200  # ggml allows 64 for tensors, 2^16 for keys
TEXT_SPLITS = 2**30
"""What the squared lengths of a list of texts may sum to, in bytes.

transformers tries each place where a token could be split, and copies both parts. The tokens of a
large vocabulary have about 2^24; one token of 32,768 bytes has as much as is allowed.
"""
_DIMENSIONS = 4  # GGML_MAX_DIMS
# Types of one number an entry, and its bytes; all others pack at least 16 numbers in 2 bytes.
_ENTRY_BYTES = {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2}
_LEAST_ENTRIES_A_BYTE = 8


class _Header:
    """A cursor in a file, which never reads beyond its end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.left = size

    def skip(self, count: int) -> None:
        """Skip bytes."""
        self._take(count)
        self._file.seek(count, 1)

    def bytes(self, count: int) -> bytes:
        """Read bytes."""
        self._take(count)
        return self._file.read(count)

    def _take(self, count: int) -> None:
        if count > self.left:
            raise ValueError(f"claims {count:,} bytes where {self.left:,} are left")
        self.left -= count

    def number(self, kind: str = "Q") -> int | float:
        """Read a number of a kind of :mod:`struct`."""
        found: int | float = struct.unpack(f"<{kind}", self.bytes(struct.calcsize(f"<{kind}")))[0]
        return found

    def count(self, each: int) -> int:
        """Read how many entries follow, each of at least ``each`` bytes."""
        found = int(self.number())
        if found * each > self.left:
            raise ValueError(f"claims {found:,} entries where {self.left:,} bytes are left")
        return found

    def name(self) -> str:
        """Read the name of a key or a tensor; of a long one, the start."""
        length = int(self.number())
        start = self.bytes(min(length, _NAME_BYTES)).decode("utf-8", "replace")
        self.skip(max(0, length - _NAME_BYTES))
        return start

    def value(self) -> int | float | None:
        """Read a value and its type; return numbers, and skip anything else."""
        kind = int(self.number("I"))
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            self.skip(int(self.number()))
        elif kind == _ARRAY:
            self._skip_array()
        else:
            raise ValueError(f"has a value of type {kind}, which is unknown")
        return None

    def _skip_array(self) -> None:
        kind = int(self.number("I"))
        if kind in _SCALARS:
            width = struct.calcsize(f"<{_SCALARS[kind]}")
            self.skip(self.count(width) * width)
        elif kind == _STRING:
            self._skip_texts()
        else:
            raise ValueError(f"has an array of type {kind}, expected numbers or texts")

    def _skip_texts(self) -> None:
        splits = 0
        for _ in range(self.count(8)):
            length = int(self.number())
            self.skip(length)
            splits += length**2
        if splits > TEXT_SPLITS:
            raise ValueError(
                f"has a list of texts whose lengths squared sum to {splits:,}, expected at most "
                f"{TEXT_SPLITS:,}: no vocabulary has tokens that long"
            )

    def tensor(self) -> _TensorHeader:
        """Read the description of a tensor."""
        name = self.name()
        dimensions = int(self.number("I"))
        if dimensions > _DIMENSIONS:
            raise ValueError(f"says that {name} has {dimensions} dimensions")
        shape = [int(self.number()) for _ in range(dimensions)]
        kind, start = int(self.number("I")), int(self.number())
        numbers = prod(shape)
        size = numbers * _ENTRY_BYTES.get(kind, 0) or numbers // _LEAST_ENTRIES_A_BYTE
        return _TensorHeader(name=name, numbers=numbers, end=start + size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TensorHeader:
    """The description of a tensor; ``end`` is where its bytes end, at the earliest."""

    name: str
    numbers: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the header of a GGUF file describes, all of which fits into the file.

    Attributes:
        layers: how many layers have tensors.
        numbers: how many entries all tensors have.
    """

    layers: int
    numbers: int


def read_header(path: Path) -> Described:
    """Read the header of a GGUF file.

    Raises:
        ModelError: the file is shorter than its header claims, or claims more layers than a model
            has.
    """
    size = path.stat().st_size
    values: dict[str, object] = {}
    try:
        with path.open("rb") as file:
            header = _Header(file, size)
            if header.bytes(4) != _MAGIC:
                raise ValueError("does not start with 'GGUF'")
            version = header.number("I")
            if version not in _VERSIONS:
                raise ValueError(f"is of version {version}, expected 2 or 3 in little-endian order")
            tensors, keys = header.count(1), header.count(1)
            for _ in range(keys):
                name = header.name()
                values[name] = header.value()
            layers: set[str] = set()
            numbers = 0
            for _ in range(tensors):
                tensor = header.tensor()
                numbers += tensor.numbers
                if tensor.name.startswith("blk."):
                    layers.update(tensor.name.split(".")[1:2])
                if tensor.end > size:
                    raise ValueError(f"says that {tensor.name} ends after the file")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: cannot be read as GGUF: it {error}; it may be cut off: fetch it again"
        ) from error
    require_few_parts(path, values, len(layers))
    return Described(layers=len(layers), numbers=numbers)
