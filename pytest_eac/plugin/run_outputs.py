"""The files that a run writes: results while it is running, all others at its end."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pytest_eac.atomic_write import is_stream
from pytest_eac.errors import RecordError
from pytest_eac.store import write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_eac.plugin.baseline_records import Baseline
    from pytest_eac.plugin.options import Options
    from pytest_eac.records.run import Record
    from pytest_eac.reporting.outcomes import Outcome


_SHARE = 20  # writing takes at most this fraction of a run's time: one in 20


class ResultsFile:
    """Writes all records so far, as often as it can without slowing the run down.

    Each write has all chains in it. One after every chain would make writing quadratic in chains;
    so the next one waits for nineteen times as long as the last one took. A run that is killed
    loses no more than what it measured in the meantime, and that is in the cache.

    Args:
        file: where to; a device or a pipe cannot be written again, and gets the whole at the end.
        clock: the time in seconds, from any start.
    """

    def __init__(self, file: Path, *, clock: Callable[[], float] = monotonic) -> None:
        self.file = file
        self._clock = clock
        self._next = clock()
        self._once = is_stream(file)

    @property
    def is_there(self) -> bool:
        """Whether there is a file already that an earlier run has written."""
        return not self._once and self.file.is_file() and self.file.stat().st_size > 0

    def write(self, record: Callable[[], Record], *, last: bool) -> None:
        """Write the records now, or leave it to a later call; the last one always writes.

        Raises:
            RecordError: the file cannot be written.
        """
        if not last and (self._once or self._clock() < self._next):
            return
        start = self._clock()
        try:
            write_record(self.file, record())
        finally:
            end = self._clock()
            self._next = end + (_SHARE - 1) * (end - start)


class RunFiles:
    """Writes what the options ask for; one that cannot be written does not stop the others.

    Args:
        options: of the run.
        results: whether this process writes the results file; workers of pytest-xdist do not.

    Attributes:
        troubles: what makes the run fail, by output.
        notes: what was written, in words.
    """

    def __init__(self, options: Options, *, results: bool) -> None:
        self.troubles: dict[str, str] = {}
        self.notes: list[str] = []
        self._options = options
        self._results = ResultsFile(options.results) if results and options.results else None
        self._keeps_results = False

    def write_results(
        self, record: Callable[[], Record], *, has_measured: bool, last: bool = False
    ) -> None:
        """Write the results file, if one was asked for; it may leave that to the next call.

        A disk that is full costs the file, not the verdicts: it is reported at the end. A run that
        has measured nothing leaves the file of an earlier one as it is.
        """
        results = self._results
        if results is None:
            return
        self._keeps_results = results.is_there and not has_measured
        if not self._keeps_results:
            self._attempt(
                "results", lambda: results.write(lambda: self._stored(record()), last=last)
            )

    def _stored(self, record: Record) -> Record:
        """Return a record as files hold it."""
        from pytest_eac.records.results_file import without_texts

        return without_texts(record) if self._options.results_without_texts else record

    def results_note(self) -> str | None:
        """Say whether the results file was written."""
        if not self._results or "results" in self.troubles:
            return None
        if self._keeps_results:
            return f"results {self._options.results} left as they were: nothing was measured"
        return f"results written to {self._options.results}"

    def write_reports(
        self,
        record: Callable[[], Record],
        outcomes: Sequence[Outcome],
        *,
        arguments: Sequence[str],
        baseline: Baseline | None,
        complete: bool,
    ) -> None:
        """Write baseline, summary and report.

        Args:
            record: returns the run.
            outcomes: of the checks.
            arguments: pytest's, as they were given.
            baseline: what the run was compared with.
            complete: whether nothing has stopped the run; a baseline is made of no other.
        """
        from pytest_eac.plugin.outcomes import write_report, write_summary
        from pytest_eac.reporting.outcomes import stopped

        if not complete:
            outcomes = (stopped(), *outcomes)
        options = self._options
        if baseline and baseline.update:
            texts = not options.results_without_texts
            self._attempt(
                "baseline", lambda: baseline.store(record(), complete=complete, texts=texts)
            )
        if file := options.summary:
            self._attempt("summary", lambda: write_summary(file, record(), outcomes, baseline))
        if page := options.report:
            self._attempt("report", lambda: write_report(page, record(), outcomes, arguments))

    def _attempt(self, output: str, write: Callable[[], str | None]) -> None:
        try:
            note = write()
        except RecordError as error:
            self.troubles[output] = str(error)
            return
        self.troubles.pop(output, None)
        if note:
            self.notes.append(note)
