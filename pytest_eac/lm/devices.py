"""The device that a model is on, and its memory."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from pytest_eac.errors import DeviceUnavailableError, first_line

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_CPU_BYTES = 176 * 2**20


def find_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` is a GPU if there is one.

    Raises:
        DeviceUnavailableError: it cannot be used on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceUnavailableError(
            f"device {name!r} cannot be used here ({first_line(error)})",
            remedy="try --eac-device=cpu",
        ) from None
    return device


def spare_bytes(device: torch.device) -> int:
    """Return how much memory work that can be split may take at once: half of what a GPU has free.

    On a CPU it is a fixed amount, chosen so that an edit takes at most 400 MB beside its model.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    return _CPU_BYTES


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
    """Return the resident memory of the process now; ``None`` where the platform does not say."""
    try:
        return _resident("VmRSS")
    except OSError:
        return None


def _resident(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {name}")
