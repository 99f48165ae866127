"""How much memory a piece of work takes at its peak."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Peak:
    """The peak in bytes, known once the work is done; ``None`` where the platform keeps no count.

    On a GPU it is what torch had allocated there, elsewhere the resident memory of the process.
    """

    bytes: int | None = None


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure the peak during the block; blocks do not nest.

    The resident memory is that of Linux, whose counter can be set back; others have only a peak
    since the process began, which says nothing of a later part of it.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = int(torch.cuda.max_memory_allocated(device))
        return
    try:
        _RESET.write_text("5")
    except OSError:
        yield peak
        return
    yield peak
    with suppress(OSError):
        peak.bytes = _resident("VmHWM")


def resident_bytes() -> int | None:
    """Return the resident memory of the process now; ``None`` where the platform does not tell."""
    try:
        return _resident("VmRSS")
    except OSError:
        return None


def _resident(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {name}")
