"""What a pytest run shares: its parts put together, and the record of what they have measured."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pytest_eac.errors import NamedModelError
from pytest_eac.plugin.chains import Chains
from pytest_eac.plugin.collection_order import CollectionOrder
from pytest_eac.plugin.models import Models
from pytest_eac.plugin.overrides import overridden
from pytest_eac.plugin.releases import Releases
from pytest_eac.plugin.run_outputs import RunFiles
from pytest_eac.plugin.stopping import EarlyEnd
from pytest_eac.plugin.verdicts import Verdicts
from pytest_eac.plugin.workers import SharedFolder
from pytest_eac.records.run import EDITED, Record, samples_id
from pytest_eac.untrusted_text import line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from pytest_eac.judging.stored_chains import StoredRecord
    from pytest_eac.plugin.baseline_records import Baseline
    from pytest_eac.plugin.options import Options
    from pytest_eac.records.run import Pooled
    from pytest_eac.reporting.outcomes import Outcome
    from pytest_eac.spec.spec import Spec


_VERDICTS_ALONE = -2  # the verbosity of -qq


class EacSession:
    """The parts of a run.

    Attributes:
        options: of the run.
        specs: what was collected, with what the options override.
        baseline: what the run is compared with.
        order: the order of collection, in which everything is written.
        early_end: what ended the run before its end.
        chains: the outcome of each chain.
        releases: what was found of each released model.
        files: the files that the run writes.
    """

    def __init__(
        self, config: pytest.Config, options: Options, *, shared: Path | None = None
    ) -> None:
        """Create it; ``shared`` is where workers of pytest-xdist find each other's chains."""
        self.options = options
        self.specs: list[Spec] = []
        self.baseline = _baseline(options)
        self.order = CollectionOrder(config)
        self.early_end = EarlyEnd()
        self.files = RunFiles(options, results=not hasattr(config, "workerinput"))
        self._config = config
        self._workers = SharedFolder(shared)
        self._shown: dict[int | str, tuple[Exception, str]] = {}
        self.chains = Chains(self.order, self._workers, self.write_results)
        self._models = Models(config, options, self.early_end)
        self.releases = Releases(options=options, models=self._models, ended=self.write_results)

    def read_files(self) -> None:
        """Read the records that replace a run, and those that a run is compared with.

        Raises:
            RecordError: a file is missing or is none of ours.
        """
        _ = self._stored
        if self.baseline:
            self.baseline.read()

    @cached_property
    def _stored(self) -> StoredRecord | None:
        from pytest_eac.judging.stored_chains import StoredRecord
        from pytest_eac.store import read_record

        file = self.options.from_results
        if file is None:
            return None
        return StoredRecord(file=file, record=read_record(file))

    @cached_property
    def verdicts(self) -> Verdicts:
        """What judges the checks."""
        return Verdicts(
            options=self.options,
            specs=self.specs,
            chains=self.chains,
            models=self._models,
            releases=self.releases,
            stored=self._stored,
        )

    def adapt(self, spec: Spec) -> Spec:
        """Return a collected spec with what the options override, and keep it.

        Raises:
            SettingsError: an option names a method that does not exist.
        """
        self.specs.append(overridden(spec, self.options))
        return self.specs[-1]

    def header(self) -> list[str]:
        """Return what is printed of the collected specs."""
        from pytest_eac.plugin.run_summary import header_lines

        if self._config.get_verbosity() < 0:
            return []
        return [line(each) for each in header_lines(self.specs, self.options)]

    def first_to_show(self, error: Exception, node: str) -> str:
        """Return the id of the item that shows an error in full: the first that met it.

        What is wrong with a model that an option names is one error, wherever it is met, and
        whichever worker of pytest-xdist meets it.
        """
        is_named = isinstance(error, NamedModelError)
        key = str(error) if is_named else id(error)
        if key not in self._shown:
            first = self._workers.text(key, lambda: node) if is_named else node
            self._shown[key] = error, first
        return self._shown[key][1]

    def record(self) -> Record:
        """Return what has been measured and judged so far, in the order of collection."""
        return Record(
            environment=self._environment(),
            chains=self.chains.completed,
            comparisons=self.order.sorted(
                self.verdicts.comparisons.values(), lambda each: (each.spec, "compare", each.check)
            ),
            releases=self.order.sorted(self.releases.all, lambda each: (each.spec, EDITED)),
            unfinished=self.chains.unfinished,
            pooled=self._pooled,
        )

    @property
    def _pooled(self) -> tuple[Pooled, ...]:
        return self.order.sorted(
            self.verdicts.pooled.values(),
            lambda each: (each.spec, samples_id(each.method), each.check),
        )

    def _environment(self) -> dict[str, str]:
        if self._stored:
            return self._stored.record.environment
        from pytest_eac.measuring.environment import describe_environment

        return describe_environment()

    def absorb(self, record: Record) -> None:
        """Take over what a worker of pytest-xdist has measured."""
        for chain in record.chains:
            if wrong := self.chains.absorb(chain):
                self.files.troubles["edits"] = wrong
        for stopped in record.unfinished:
            self.chains.note_stopped(stopped)
        for comparison in record.comparisons:
            self.verdicts.comparisons[comparison.spec, comparison.check] = comparison
        for pooled in record.pooled:
            self.verdicts.pooled[pooled.spec, pooled.method, pooled.check] = pooled
        for release in record.releases:
            self.releases.absorb(release)

    def write_results(self, *, last: bool = False) -> None:
        """Write the results file, or leave it to a later call."""
        chains = self.chains
        measured = bool(chains.completed or chains.unfinished or self.releases.all)
        self.files.write_results(self.record, has_measured=measured, last=last)

    def finish(self, outcomes: Sequence[Outcome], *, complete: bool) -> None:
        """Write what is written at the end of the run.

        Args:
            outcomes: of the checks.
            complete: whether pytest has run all it had to run.
        """
        if self._is_collecting:
            return
        complete = complete and not self.early_end.was_stopped
        complete = complete and "edits" not in self.files.troubles
        self.write_results(last=True)
        self.files.write_reports(
            self.record,
            outcomes,
            arguments=[str(each) for each in self._config.invocation_params.args],
            baseline=self.baseline,
            complete=complete,
        )

    @property
    def _is_collecting(self) -> bool:
        return bool(self._config.getoption("collectonly", False))

    def print_summary(self, reporter: pytest.TerminalReporter) -> None:
        """Print what was measured, what it was compared with, and which files were written."""
        from pytest_eac.plugin.run_summary import edits_lines

        if self._config.get_verbosity() > _VERDICTS_ALONE:
            require = self.options.require
            pooled = self._pooled if self.chains.completed else ()
            lines = list(edits_lines(self.chains, pooled, require=require))
            if lines:
                reporter.write_sep("=", "edits")
            lines += self.baseline.lines(self.record()) if self.baseline else ()
            for each in lines:
                reporter.write_line(line(each))
        if not self._is_collecting and (note := self.files.results_note()):
            reporter.write_line(line(note))
        for each in self.files.troubles.values():
            reporter.write_line(line(each), red=True)
        for text, is_error in self.early_end.lines(keeps_edits=self._models.cache is not None):
            reporter.write_line(line(text), red=is_error)
        for each in self.files.notes:
            reporter.write_line(line(each))


def _baseline(options: Options) -> Baseline | None:
    if options.baseline is None:
        return None
    from pytest_eac.plugin.baseline_records import Baseline

    return Baseline(
        options.baseline,
        options.compare_fail,
        update=options.update_baseline,
        across=options.compare_across,
    )
