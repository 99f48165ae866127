from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest
import torch

from pytest_eac.lm import devices
from pytest_eac.lm.devices import peak_memory, resident_bytes

CPU = torch.device("cpu")
SIZE = 200 * 2**20

linux = pytest.mark.skipif(sys.platform != "linux", reason="the counter is Linux's")


def _use(size: int) -> None:
    """Take memory from the system itself: an allocator may have some left from before."""
    with mmap.mmap(-1, size) as memory:
        for page in range(0, size, mmap.PAGESIZE):
            memory[page] = 1


@linux
def test_the_peak_is_that_of_the_block_alone() -> None:
    _use(2 * SIZE)
    before = resident_bytes()
    assert before is not None
    with peak_memory(CPU) as small:
        _use(2**20)
    with peak_memory(CPU) as large:
        _use(SIZE)
    assert small.bytes is not None
    assert large.bytes is not None
    assert small.bytes - before < SIZE / 2
    assert large.bytes - before == pytest.approx(SIZE, rel=0.1)


def test_a_platform_without_the_counter_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_RESET", Path("/nowhere/clear_refs"))
    monkeypatch.setattr(devices, "_STATUS", Path("/nowhere/status"))
    with peak_memory(CPU) as unknown:
        _use(2**20)
    assert unknown.bytes is None
    assert resident_bytes() is None
