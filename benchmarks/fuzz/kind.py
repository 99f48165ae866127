"""A kind of input: how one is made, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path


def _nothing(_: Path) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of input, each of which is one file that is read in a folder of its kind.

    Attributes:
        name: its name on the command line, and the folder's.
        file: the name of the file that an input is written to.
        make: returns an input, by the generator alone.
        read: reads the file with the code of the product. It returns, or raises an ``EacError``;
            any other exception is a crash.
        prepare: writes what lies beside the file into the empty folder, once.
        weight: how many inputs of a run are of this kind, compared with the other kinds.
    """

    name: str
    file: str
    make: Callable[[random.Random], bytes]
    read: Callable[[Path], object]
    prepare: Callable[[Path], None] = _nothing
    weight: int = 1
