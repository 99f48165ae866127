"""The tensors of a checkpoint on disk, read a few rows at a time; nothing is loaded as a model."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pytest_eac.data.files import open_regular
from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.model_folder import INDEX, WEIGHTS, placed_tensors
from pytest_eac.lm.loading.untrusted_files import (
    TEXT_BYTES,
    read_json,
    require_fetched,
    require_inside,
)
from pytest_eac.strict_json import parse_json
from pytest_eac.tensor_bytes import as_bytes, tensors_sha256

# How many entries are read at once: a few copies in float64 stay below 100 MB.
_ENTRIES = 2**20
METADATA = "__metadata__"
"""The key under which a header of safetensors has texts about the file."""
_LENGTH = 8  # bytes of a file of safetensors say how long its header is
_TYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E8M0": torch.float8_e8m0fnu,
    "I16": torch.int16,
    "U16": torch.uint16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "F32": torch.float32,
    "F64": torch.float64,
    "I64": torch.int64,
    "U64": torch.uint64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """A tensor and where it is.

    Attributes:
        name: the tensor's.
        file: where it is.
        start: at which byte of the file it begins.
        shape: its own; a size of 0 makes it empty, whatever the others claim.
        dtype: as safetensors names it (``F32``, ``BF16``).
    """

    name: str
    file: Path
    start: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def kind(self) -> torch.dtype:
        """The same as torch names it."""
        return _TYPES[self.dtype]

    def chunks(self) -> Iterator[Tensor]:
        """Yield the tensor in order as matrices of whole rows, (rows, entries of a row).

        A vector has rows of one entry, an empty tensor has no chunks. The file is opened once and
        its header is not read again. It is read, not mapped: what is yielded stays as it is, and a
        file that is cut off meanwhile is an error.

        Raises:
            ModelError: the file has changed or cannot be read.
        """
        if 0 in self.shape:
            return
        width = prod(self.shape[1:])
        step = max(1, _ENTRIES // width)
        count = self.shape[0] if self.shape else 1
        kind = self.kind
        try:
            with open_regular(self.file) as file:
                file.seek(self.start)
                for first in range(0, count, step):
                    data = bytearray(min(step, count - first) * width * kind.itemsize)
                    if file.readinto(data) != len(data):
                        raise ModelError(f"{self.file}: {self.name} is cut off; fetch it again")
                    yield torch.frombuffer(data, dtype=kind).reshape(-1, width)
        except OSError as error:
            raise ModelError(
                f"{self.file}: {self.name} cannot be read: {error.strerror}"
            ) from error

    def whole(self) -> Tensor:
        """Return a copy of the tensor in memory.

        Raises:
            ModelError: as for :meth:`chunks`.
        """
        chunks = list(self.chunks()) or [torch.empty(0, dtype=self.kind)]
        return torch.cat(chunks).reshape(self.shape)

    def sha256(self) -> str:
        """Return the SHA-256 of the tensor's dtype, shape and bytes."""
        return self.sha256_of(self.chunks())

    def sha256_of(self, chunks: Iterable[Tensor]) -> str:
        """Return what :meth:`sha256` would be if these were the tensor's content, in order."""
        return tensors_sha256([(f"{self.dtype} {self.shape}", chunks)])


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFolder:
    """The tensors of a folder of ``save_pretrained``, by name.

    Attributes:
        folder: where they are.
        tensors: each by its name.
        metadata: what each file says beside its tensors, by the file's name.
    """

    folder: Path
    tensors: dict[str, TensorFile]
    metadata: dict[str, dict[str, str]]

    def find(self, module: str, weight: Tensor) -> TensorFile:
        """Return the tensor that a module's weight was loaded from: its content is the weight's.

        Names may differ between a checkpoint and the model that is made of it, but not their ends.

        Raises:
            ModelError: there is none; the weight was cast, or put together from several tensors.
        """
        path = f"{module}.weight".split(".")
        raw = as_bytes(weight.cpu())
        alike = {name: _common_end(path, name.split(".")) for name in self.tensors}
        for name in sorted(alike, key=lambda name: -alike[name]):
            tensor = self.tensors[name]
            if tensor.shape != tuple(weight.shape) or alike[name] < 2:
                continue
            found = tensor.whole()
            if found.dtype == weight.dtype and torch.equal(as_bytes(found), raw):
                return tensor
            if alike[name] == len(path) and found.dtype != weight.dtype:
                raise ModelError(
                    f"{tensor.file}: {name} is {found.dtype}, but was edited as {weight.dtype}; "
                    "edit it in its own type (dtype: auto), so that a release changes nothing else"
                )
        raise ModelError(
            f"{self.folder}: no tensor has the content of {module}.weight; it may be cast, or put "
            "together from several tensors, when the model is loaded"
        )

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each tensor by its name; reads them all."""
        return {name: each.sha256() for name, each in self.tensors.items()}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold them."""
        return tuple(dict.fromkeys(each.file for each in self.tensors.values()))


def fingerprint_of(hashes: Mapping[str, str]) -> str:
    """Return a SHA-256 over tensors' names and their :meth:`TensorFile.sha256`.

    It depends on neither how the tensors are cut into files nor in which type they are loaded.
    """
    found = hashlib.sha256()
    for name in sorted(hashes):
        found.update(f"{json.dumps(name)} {hashes[name]}\n".encode())
    return found.hexdigest()


def _common_end(one: list[str], two: list[str]) -> int:
    """Return how many parts two dotted names end alike with."""
    pairs = zip(reversed(one), reversed(two), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def open_checkpoint(folder: Path) -> CheckpointFolder:
    """Find out what tensors a folder holds; reads the headers of its files only.

    Raises:
        ModelError: there are no weights as safetensors, a file is missing, cut off or in another
            place, or files and index contradict one another.
    """
    tensors: dict[str, TensorFile] = {}
    listed = None if (folder / WEIGHTS).is_file() else _read_index(folder / INDEX)
    metadata: dict[str, dict[str, str]] = {}
    for file in sorted(set(listed.values())) if listed is not None else [WEIGHTS]:
        found, metadata[file] = _read_header(folder / file)
        for tensor in found:
            if tensor.name in tensors:
                other = tensors[tensor.name].file.name
                raise ModelError(f"{folder / file}: {tensor.name} is also in {other}")
            tensors[tensor.name] = tensor
    for name, file in (listed or {}).items():
        if name not in tensors or tensors[name].file.name != file:
            raise ModelError(f"{folder / file}: has no {name}, which {INDEX} says is in it")
    if listed and (unlisted := tensors.keys() - listed.keys()):
        name = min(unlisted)
        raise ModelError(f"{tensors[name].file}: has {name}, which {INDEX} does not list")
    ordered = dict(sorted(tensors.items()))
    return CheckpointFolder(folder=folder, tensors=ordered, metadata=metadata)


def _read_index(path: Path) -> dict[str, str]:
    """Return which file of the folder each tensor is in."""
    if not path.is_file():
        raise ModelError(f"{path.parent}: found neither {WEIGHTS} nor {INDEX}, expected one")
    require_inside(path.parent, [path.name])
    return placed_tensors(path, read_json(path).get("weight_map"))


def _read_header(path: Path) -> tuple[list[TensorFile], dict[str, str]]:
    """Return a file's tensors and metadata; safetensors checks the header, which is read once."""
    if not path.is_file():
        raise ModelError(f"{path}: is missing; expected a part of the weights")
    require_inside(path.parent, [path.name])
    require_fetched(path.parent, [path.name])
    try:
        with open_regular(path) as file:
            size = int.from_bytes(file.read(_LENGTH), "little")
            if size > TEXT_BYTES:
                raise ValueError(f"its header has {size:,} bytes, expected at most {TEXT_BYTES:,}")
            header = file.read(size)
        with safe_open(path, framework="pt", backend="pread") as checked:
            names = set(checked.keys())
        described = parse_json(header)
        start = _LENGTH + size
        tensors = [_described(path, start, name, described[name]) for name in names]
        return tensors, dict(described.get(METADATA) or {})
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: is damaged or cut off: {error}; fetch it again") from error


def _described(path: Path, start: int, name: str, found: dict[str, Any]) -> TensorFile:
    if found["dtype"] not in _TYPES:
        raise ModelError(f"{path}: {name} is {found['dtype']}, expected one of {', '.join(_TYPES)}")
    return TensorFile(
        name=name,
        file=path,
        start=start + int(found["data_offsets"][0]),
        shape=tuple(map(int, found["shape"])),
        dtype=found["dtype"],
    )
