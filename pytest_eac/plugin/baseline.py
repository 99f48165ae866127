"""A run held against stored records, or stored in their place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_eac.errors import MismatchError, RecordError, SettingsError
from pytest_eac.judging.changes import Change, changes, metric_names
from pytest_eac.judging.limits import undecided
from pytest_eac.judging.matching import describe, environment_changes, mismatches
from pytest_eac.judging.regression import judge_regression
from pytest_eac.judging.stored import find_chain
from pytest_eac.record import Chain, Record, Verdict
from pytest_eac.reporting.comparison import change_lines, changes_table
from pytest_eac.reporting.markdown import escape
from pytest_eac.spec.abilities import BUILT_IN, LM_EVAL
from pytest_eac.spec.names import closest
from pytest_eac.spec.registry import ABILITIES, METRICS, names
from pytest_eac.store import read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_eac.spec.ready import Spec


class Baseline:
    """The records of an earlier run.

    Args:
        file: where they are; need not be there yet if they are to be stored.
        tolerated: the metrics that must not become worse, and by how much they may.
        update: whether this run takes their place.
    """

    def __init__(self, file: Path, tolerated: Sequence[tuple[str, float]], *, update: bool) -> None:
        self.file = file
        self.tolerated = {} if update else dict(tolerated)
        self.update = update
        self._record: Record | None = None

    def read(self) -> Record:
        """Return the stored records.

        Raises:
            RecordError: the file is missing, or is none of ours.
        """
        if self._record is None:
            if self.file.exists():
                self._record = read_record(self.file)
            elif self.update:
                self._record = Record(environment={}, chains=())
            else:
                raise RecordError(
                    f"--eac-baseline: {self.file} is not there; run once with "
                    "--eac-update-baseline to make it"
                )
        return self._record

    def require_known(self, spec: Spec) -> None:
        """Refuse a metric that no spec could have.

        Raises:
            SettingsError: nothing of that name is measured, by this or any other spec.
        """
        own = (*spec.checks.metrics, *spec.checks.abilities, *names(METRICS), *names(ABILITIES))
        known = tuple(dict.fromkeys((*metric_names(()), *BUILT_IN, *own)))
        for metric in self.tolerated:
            if metric not in known and not metric.startswith(LM_EVAL):
                raise SettingsError(
                    f"--eac-compare-fail: unknown metric {metric!r}{closest(metric, known)}"
                )

    def judge(self, chain: Chain, metric: str) -> Verdict:
        """Judge whether a chain has become worse, in one of the metrics that must not.

        Raises:
            MismatchError: what is stored is of other edits, another model, ...
        """
        old = self._find(chain)
        if old is None:
            reason = f"undecided: no such chain in {self.file}; --eac-update-baseline adds it"
            return undecided(f"baseline-{metric}", f"{metric} of {chain.name}: {reason}", "")
        if wrong := mismatches(old, chain):
            raise MismatchError(
                f"{self.file}: the baseline of {chain.name} was made with another spec, model or "
                f"scoring: {describe(wrong)}; undo the change, or store the new one by "
                "--eac-update-baseline"
            )
        return judge_regression(old, chain, metric, self.tolerated[metric])

    def lines(self, record: Record) -> Iterator[str]:
        """Yield the tables of what has changed in the chains that ran, if they can be compared."""
        if self.update or not record.chains:
            return
        yield f"against the baseline {self.file}"
        yield from (f"  {each} (only told)" for each in environment_changes(self.read(), record))
        for chain, found in self.changes(record.chains):
            yield from change_lines(chain.name, found)

    def markdown(self, record: Record) -> str:
        """Return the same as Markdown."""
        if self.update or not record.chains:
            return ""
        lines = ["", f"### Against the baseline {escape(str(self.file))}"]
        found = environment_changes(self.read(), record)
        lines += ["", *(f"- {escape(str(each))} (only told)" for each in found)]
        for chain, moved in self.changes(record.chains):
            lines += ["", escape(chain.name), "", *changes_table(moved)]
        return "\n".join(lines) + "\n"

    def changes(self, chains: Sequence[Chain]) -> Iterator[tuple[Chain, tuple[Change, ...]]]:
        """Yield what has changed in each chain whose baseline is of the same thing."""
        for chain in chains:
            old = self._find(chain)
            if old is not None and not mismatches(old, chain):
                yield chain, changes(old, chain)

    def store(self, record: Record, *, complete: bool) -> str:
        """Store a run's chains; those of the file that did not run this time stay in it.

        Args:
            record: the run.
            complete: whether it came to its end; nothing is stored of any other.

        Returns:
            What was done, in words.

        Raises:
            RecordError: the file cannot be written.
        """
        if not complete or not record.chains:
            why = "nothing was measured" if complete else "the run did not come to its end"
            return f"baseline {self.file} left as it was: {why}"
        ran = {(each.spec, each.method, each.seed) for each in record.chains}
        kept = [
            each for each in self.read().chains if (each.spec, each.method, each.seed) not in ran
        ]
        chains = (*kept, *record.chains)
        write_record(self.file, replace(record, chains=chains, comparisons=(), unfinished=()))
        return f"baseline written to {self.file}: {len(record.chains)} chains, {len(kept)} kept"

    def _find(self, chain: Chain) -> Chain | None:
        chains = self.read().chains
        return find_chain(chains, spec=chain.spec, method=chain.method, seed=chain.seed)
