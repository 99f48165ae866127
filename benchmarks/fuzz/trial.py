"""One input is made and read, within bounds; what came of it is a word or two."""

from __future__ import annotations

import random
import signal
import time
import traceback
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError, SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.fuzz.kind import Kind

SECONDS = 1.0
"""How much processor time an input may take."""
WALL_SECONDS = 20.0
"""How long it may take on a busy machine; waiting for something that never comes takes longer."""
BAD = "! "
"""What an outcome that is a fault of the reader begins with."""


_WARM: set[str] = set()  # kinds of which this process has read an input


class HangError(BaseException):
    """An input took too long; no ``except Exception`` may swallow it."""


def make(kind: Kind, seed: int, number: int) -> bytes:
    """Return an input; it depends on nothing but these three."""
    return kind.make(random.Random(f"{seed}-{kind.name}-{number}"))


def attempt(kind: Kind, folder: Path, data: bytes) -> tuple[str, str]:
    """Have an input read and return its outcome, and the traceback if that is bad.

    The outcome is ``read``, the class of an ``EacError``, or begins with ``BAD``: another exception
    left the reader, or it took too long. Changes how SIGPROF and SIGALRM are handled.
    """
    if kind.name not in _WARM:  # what is read first imports libraries, and takes its time
        _attempt(kind, folder, data, seconds=WALL_SECONDS)
        _WARM.add(kind.name)
    found = _attempt(kind, folder, data, seconds=SECONDS)
    if found[0].startswith(f"{BAD}{HangError.__name__}"):  # or the machine was busy: try again
        found = _attempt(kind, folder, data, seconds=WALL_SECONDS / 2)
    return found


def _attempt(kind: Kind, folder: Path, data: bytes, *, seconds: float) -> tuple[str, str]:
    file = folder / kind.file
    file.write_bytes(data)
    for each in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(each, _ring)
    start = time.process_time()
    try:
        try:
            # Once is not enough: in a finalizer the exception is reported and forgotten.
            signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS, WALL_SECONDS)
            outcome = _outcome(kind, file)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        if time.process_time() - start > seconds:
            raise HangError
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        name = f"{BAD}{type(error).__name__} in {where.name}, line {where.lineno}"
        return name, traceback.format_exc()
    return outcome, ""


def _outcome(kind: Kind, file: Path) -> str:
    try:
        kind.read(file)
    except EacError as error:
        str(error).encode()
        if isinstance(error, SpecError):
            _check_places(error)
        return type(error).__name__
    return "read"


def _check_places(error: SpecError) -> None:
    if not error.problems:
        raise ValueError("an error without a problem")
    if any(each.line < 1 or each.column < 1 for each in error.problems):
        raise ValueError("a problem without a place")


def _ring(*_: object) -> None:
    raise HangError
