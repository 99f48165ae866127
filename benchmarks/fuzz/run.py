"""Many inputs are read, in this process or in workers; a worker that dies is counted."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.fuzz.table import KINDS
from benchmarks.fuzz.trial import BAD, WALL_SECONDS, attempt, make

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_CHUNK = 500
_MEMORY_BYTES = 4 * 2**30
_GRACE_SECONDS = 10.0  # for a signal to end what a worker is at, after ``WALL_SECONDS``


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def bad(self) -> Counter[str]:
        """The outcomes that are faults of a reader."""
        return Counter({name: n for name, n in self.outcomes.items() if name.startswith(BAD)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Inputs of one kind, the first one's number to the last one's."""

    kind: str
    numbers: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How inputs are made, and where bad ones are kept."""

    seed: int = 0
    keep: Path | None = None


def shares(count: int, kinds: Sequence[str], *, each: bool = False) -> dict[str, int]:
    """Return how many inputs of each kind there are among ``count``, or ``count`` of each."""
    if each:
        return dict.fromkeys(kinds, count)
    total = sum(KINDS[name].weight for name in kinds)
    bounds, passed = [0], 0
    for name in kinds:
        passed += KINDS[name].weight
        bounds.append(count * passed // total)
    return {name: bounds[n + 1] - bounds[n] for n, name in enumerate(kinds)}


def run(wanted: Mapping[str, int], plan: Plan, *, jobs: int = 0) -> dict[str, Tally]:
    """Read the wanted number of inputs of each kind, and return the outcomes.

    Args:
        wanted: how many inputs of each kind.
        plan: how they are made.
        jobs: worker processes; with none, an input that kills the process kills this one.
    """
    found = {name: Tally() for name in wanted}
    results = _by_workers(_parts(wanted), plan, jobs) if jobs else _here(_parts(wanted), plan)
    for part, tally in results:
        found[part.kind].outcomes += tally.outcomes
        found[part.kind].seconds += tally.seconds
    return found


def _parts(wanted: Mapping[str, int]) -> Iterator[Part]:
    for name, count in wanted.items():
        for first in range(0, count, _CHUNK):
            yield Part(kind=name, numbers=range(first, min(first + _CHUNK, count)))


def _here(parts: Iterable[Part], plan: Plan) -> Iterator[tuple[Part, Tally]]:
    with _Reader(plan) as reader:
        for part in parts:
            yield part, reader.read(part)


class _Reader:
    """Reads parts in a temporary folder, which has a folder for each kind."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._temporary = TemporaryDirectory(prefix="pytest-eac-fuzz-", ignore_cleanup_errors=True)

    def __enter__(self) -> _Reader:
        self._root = Path(self._temporary.__enter__())
        return self

    def __exit__(self, *error: Any) -> None:
        self._temporary.__exit__(*error)

    def read(self, part: Part, at: Any = None) -> Tally:
        """Read a part; ``at`` is a shared number: which input it is at."""
        kind = KINDS[part.kind]
        folder = self._root / kind.name
        if not folder.is_dir():
            folder.mkdir()
            kind.prepare(folder)
        tally = Tally()
        start = time.process_time()
        for number in part.numbers:
            if at is not None:
                at.value = number
            data = make(kind, self._plan.seed, number)
            outcome, trace = attempt(kind, folder, data)
            if trace and not tally.outcomes[outcome]:
                keep_input(self._plan, part.kind, number, trace)
            tally.outcomes[outcome] += 1
        tally.seconds = time.process_time() - start
        return tally


def keep_input(plan: Plan, kind: str, number: int, trace: str) -> None:
    """Write an input and how it was read into the folder for that, if there is one."""
    if plan.keep is not None:
        plan.keep.mkdir(parents=True, exist_ok=True)
        file = plan.keep / f"{kind}-{number}-{Path(KINDS[kind].file).name}"
        file.write_bytes(make(KINDS[kind], plan.seed, number))
        file.with_name(f"{file.name}.txt").write_text(trace, "utf-8", "backslashreplace")


def _work(pipe: Any, at: Any, plan: Plan) -> None:
    """Read the parts that come through a pipe; this is what a worker runs."""
    _bound_memory()
    with _Reader(plan) as reader:
        while (part := pipe.recv()) is not None:
            pipe.send(reader.read(part, at))


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # on Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))


class _Worker:
    """A process that reads one part at a time."""

    def __init__(self, plan: Plan) -> None:
        # A fork has imported everything already, and what reads files has not begun any thread.
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self._at = context.Value("q", 0, lock=False)
        self._process = context.Process(target=_work, args=(other, self._at, plan), daemon=True)
        self._process.start()
        other.close()
        self._seen = (-1, 0.0)
        self.part: Part | None = None

    def start(self, part: Part) -> None:
        """Have a part read."""
        self.part = part
        self._at.value, self._seen = -1, (-1, time.monotonic())
        self.pipe.send(part)

    @property
    def number(self) -> int:
        """Which input it is at; -1 while it is not at any."""
        return int(self._at.value)

    def is_stuck(self) -> bool:
        """Say whether it has been at one input for too long for a signal to end that."""
        if self.number != self._seen[0]:
            self._seen = (self.number, time.monotonic())
        waited = time.monotonic() - self._seen[1]
        return self.number >= 0 and waited > WALL_SECONDS + _GRACE_SECONDS

    def end(self) -> int:
        """End the process; returns its exit code, which is negative for a signal."""
        if self._process.is_alive():
            self._process.join(0.5)  # it may be about to end: that code says more
            self._process.kill()
        self._process.join()
        return self._process.exitcode or 0


def _by_workers(parts: Iterator[Part], plan: Plan, jobs: int) -> Iterator[tuple[Part, Tally]]:
    pending = list(parts)[::-1]
    with _workers() as workers:
        while pending or workers:
            while pending and len(workers) < jobs:
                workers.append(_Worker(plan))
                workers[-1].start(pending.pop())
            ready = connection.wait([each.pipe for each in workers], timeout=1.0)
            for worker in list(workers):
                if worker.part is None or not (worker.pipe in ready or worker.is_stuck()):
                    continue
                tally = _answer(worker) if worker.pipe in ready else None
                if tally is not None:
                    yield worker.part, tally
                    if pending:
                        worker.start(pending.pop())
                        continue
                workers.remove(worker)
                code = worker.end()
                if tally is None:
                    lost, again = _without(worker.part, worker.number)
                    pending += again
                    outcome = f"{BAD}the process died (exit code {code})"
                    keep_input(plan, lost.kind, lost.numbers.start, outcome)
                    yield lost, Tally(outcomes=Counter([outcome]))


@contextmanager
def _workers() -> Iterator[list[_Worker]]:
    found: list[_Worker] = []
    try:
        yield found
    finally:
        for each in found:
            each.end()


def _answer(worker: _Worker) -> Tally | None:
    """Return what a worker has sent; ``None`` if it has died."""
    try:
        found: Tally = worker.pipe.recv()
    except (EOFError, OSError):
        return None
    return found


def _without(part: Part, number: int) -> tuple[Part, list[Part]]:
    """Split a part into the input that ended a worker, and what is to be read again."""
    if number < 0:
        raise RuntimeError(f"a worker died before it read any input of {part.kind!r}")
    before = range(part.numbers.start, number)
    after = range(number + 1, part.numbers.stop)
    rest = [Part(kind=part.kind, numbers=each) for each in (before, after) if each]
    return Part(kind=part.kind, numbers=range(number, number + 1)), rest
