"""The cache folder as a table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pytest_eac.cache.kinds import GIB, KINDS, kept

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 2**20


def cache_lines(root: Path) -> list[str]:
    """Return what a cache folder holds, a line for each kind; times are of the last use.

    The time of a converted model is when it was made.
    """
    lines = [f"{root}", f"  {'kind':<14}{'entries':>8}{'size':>12}  {'oldest':<18}newest"]
    for kind in KINDS:
        found = kept(root, kind)
        size = sum(each.size for each in found)
        times = [_when(found[0].used), _when(found[-1].used)] if found else ["-", "-"]
        lines.append(f"  {kind:<14}{len(found):>8}{_size(size):>12}  {times[0]:<18}{times[1]}")
    return lines


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / _MIB:.1f} MiB"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
