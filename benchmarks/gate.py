"""What the gate takes: memory and time for two large sharded checkpoints."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from benchmarks.timing import Result, timed
from pytest_eac.lm.loading.model_folder import INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator

GIB = 2**30
MIB = 2**20
_BASE = Path(__file__).parents[1] / "fixtures" / "tiny-llama"
_EMBEDDINGS = (131_072, 1024)  # 512 MiB, the largest tensor
_MATRIX = (4096, 4096)  # 64 MiB
_MATRICES = 56
_PER_SHARD = 8
_RANK = 10
# Runs in a process of its own, whose resident memory nothing else has touched.
_COMPARE = """
import sys
from pathlib import Path
import torch
from pytest_eac.lm.devices import peak_memory, resident_bytes
from pytest_eac.measuring.checkpoint_diff import compare_checkpoints
before = resident_bytes()
with peak_memory(torch.device("cpu")) as peak:
    found = compare_checkpoints(Path(sys.argv[1]), Path(sys.argv[2]))
print(before, peak.bytes, [(each.kind, each.rank) for each in found.differences])
"""


def gate() -> Iterator[Result]:
    """Compare two synthetic checkpoints of 4 GiB that differ in one matrix; needs 9 GB of disk.

    Raises:
        RuntimeError: the difference was not found, or the memory not measured.
    """
    with TemporaryDirectory() as root:
        base, edited = Path(root) / "base", Path(root) / "edited"
        _make(base)
        shutil.copytree(base, edited)
        _edit(edited)
        command = [sys.executable, "-c", _COMPARE, str(base), str(edited)]
        took, done = timed(
            lambda: subprocess.run(command, capture_output=True, text=True, check=True)
        )
    before, peak, found = done.stdout.split(maxsplit=2)
    if found.strip() != f"[('changed', {_RANK})]":
        raise RuntimeError(f"found {found}, expected one changed matrix of rank {_RANK}")
    largest = 4 * _EMBEDDINGS[0] * _EMBEDDINGS[1]
    bound = (2 * largest + 300 * MIB) // MIB
    yield Result(
        name="gate: memory beside the libraries'",
        measured=f"{(int(peak) - int(before)) / MIB:.0f} MiB (peak in all {int(peak) / MIB:.0f})",
        goal=f"{bound} MiB",
        about="4 GiB, 8 shards, largest tensor 512 MiB",
    )
    yield Result(name="gate: time", measured=f"{took:.0f} s", goal="-", about="start included")


def _make(folder: Path) -> None:
    """Write random weights in shards, with the companions of a small model."""
    folder.mkdir()
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        shutil.copyfile(_BASE / name, folder / name)
    generator = torch.Generator().manual_seed(0)
    placed = {"embeddings": "part-0.safetensors"}
    tensors = {"embeddings": torch.randn(_EMBEDDINGS, generator=generator)}
    for number in range(_MATRICES):
        name = f"layers.{number}.weight"
        tensors[name] = torch.randn(_MATRIX, generator=generator)
        placed[name] = f"part-{number // _PER_SHARD}.safetensors"
        if number % _PER_SHARD == _PER_SHARD - 1:
            save_file(tensors, folder / placed[name])
            tensors = {}
    (folder / INDEX).write_text(json.dumps({"weight_map": placed}), encoding="utf-8")


def _edit(folder: Path) -> None:
    """Add a matrix of rank 10 to one of the weights."""
    file = folder / "part-3.safetensors"
    tensors = load_file(file)
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(size, _RANK, generator=generator) for size in _MATRIX)
    tensors["layers.30.weight"] += 0.01 * left @ right.T
    save_file(tensors, file)
