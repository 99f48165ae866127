"""A run compared with stored records, or stored in their place."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_eac.errors import MismatchError, RecordError, SettingsError
from pytest_eac.judging.comparable import (
    ACROSS,
    Mismatch,
    describe,
    environment_changes,
    mismatches,
)
from pytest_eac.judging.limits import undecided
from pytest_eac.judging.regression import judge_regression
from pytest_eac.judging.run_diff import Change, changes, metric_names
from pytest_eac.judging.stored_chains import find_chain
from pytest_eac.records.results_file import without_texts
from pytest_eac.records.run import Chain, ChainKey, Record, Verdict
from pytest_eac.reporting.run_diff import change_lines, changes_table
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.registry import ABILITIES, METRICS, names
from pytest_eac.spec.schema.abilities import BUILT_IN, LM_EVAL
from pytest_eac.spec.spec import Spec
from pytest_eac.store import read_record, update_record
from pytest_eac.untrusted_text import markdown

_SHOWN_DIFFERENCES = 10


def _listed(allowed: Sequence[Mismatch]) -> list[str]:
    """Return the differences that were allowed, a line each."""
    lines = [f"compared across {each.moved}" for each in allowed[:_SHOWN_DIFFERENCES]]
    more = len(allowed) - _SHOWN_DIFFERENCES
    return [*lines, f"and across {more} more"] if more > 0 else lines


def _remedy(forbidding: Sequence[Mismatch]) -> str | None:
    """Return the option that allows what forbids a comparison, if there is one."""
    needed = [name for name in ACROSS if any(each.is_of([name]) for each in forbidding)]
    if not all(each.is_of(needed) for each in forbidding):
        return None
    return f"--eac-compare-across={','.join(needed)}"


def _by_key(record: Record) -> dict[ChainKey, Chain]:
    return {each.key: each for each in record.chains}


class Baseline:
    """The records of an earlier run.

    Args:
        file: where they are; need not be there yet if they are to be stored.
        tolerated: the metrics that must not become worse, and by how much they may.
        update: whether this run replaces them. It is still compared with them, and may differ in
            all that ``ACROSS`` lists, but no check fails: the user has accepted the change.
        across: what may differ, by the names of :data:`pytest_eac.judging.comparable.ACROSS`.
    """

    def __init__(
        self,
        file: Path,
        tolerated: Sequence[tuple[str, float]],
        *,
        update: bool,
        across: Sequence[str] = (),
    ) -> None:
        self.file = file
        self.tolerated = dict(tolerated)
        self.update = update
        self._across = tuple(ACROSS) if update else tuple(across)
        self._record: Record | None = None
        self._wrong: dict[ChainKey, MismatchError] = {}

    @property
    def checked(self) -> tuple[str, ...]:
        """The metrics that are checked."""
        return () if self.update else tuple(self.tolerated)

    def read(self) -> Record:
        """Return the stored records.

        Raises:
            RecordError: the file is missing, or is none of ours.
        """
        if self._record is None and self.update and not self.file.exists():
            self._record = Record(environment={}, chains=())
        if self._record is None:
            if not self.file.exists():
                raise RecordError(
                    f"--eac-baseline: {self.file} is not there; run once with "
                    "--eac-update-baseline to make it"
                )
            self._record = read_record(self.file)
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
        allowed, forbidding = self._differences(old, chain)
        if forbidding:
            raise self._wrong.setdefault(chain.key, self._mismatch(chain, forbidding))
        verdict = judge_regression(old, chain, metric, self.tolerated[metric])
        return replace(verdict, message="\n".join([verdict.message, *_listed(allowed)]))

    def lines(self, record: Record) -> Iterator[str]:
        """Yield the tables of what has changed in the chains that ran, if they can be compared."""
        if not (record.chains and self.read().chains):
            return
        yield f"against the baseline {self.file}"
        yield from (f"  {each}" for each in self._environment(record))
        for name, refused, found, notes in self._compared(record):
            if refused:
                yield f"{name}: {refused}"
                continue
            yield from change_lines(name, found)
            yield from (f"  {each}" for each in notes)

    def markdown(self, record: Record) -> str:
        """Return the same as Markdown."""
        if not (record.chains and self.read().chains):
            return ""
        lines = ["", f"### Against the baseline {markdown(str(self.file))}"]
        lines += ["", *(f"- {markdown(each)}" for each in self._environment(record))]
        for name, refused, found, notes in self._compared(record):
            if refused:
                lines += ["", markdown(f"{name}: {refused}")]
                continue
            lines += ["", markdown(name), "", *changes_table(found), ""]
            lines += [f"- {markdown(each)}" for each in notes]
        return "\n".join(lines).rstrip("\n") + "\n"

    def _environment(self, record: Record) -> Iterator[str]:
        for each in environment_changes(self.read(), record):
            yield f"{each} (for information only)"

    def _compared(
        self, record: Record
    ) -> Iterator[tuple[str, str, tuple[Change, ...], tuple[str, ...]]]:
        """Yield each chain with a baseline: its name, why it is not compared, changes, notes."""
        for chain in record.chains:
            old = self._find(chain)
            if old is None:
                continue
            allowed, forbidding = self._differences(old, chain)
            if forbidding:
                remedy = _remedy(forbidding)
                more = f"; {remedy} compares them anyway" if remedy else ""
                yield chain.name, f"not compared: {describe(forbidding)}{more}", (), ()
                continue
            notes = (*_listed(allowed), *self._accepted(old, chain))
            yield chain.name, "", changes(old, chain), notes

    def _differences(self, old: Chain, chain: Chain) -> tuple[list[Mismatch], list[Mismatch]]:
        """Return how a chain differs from its baseline: as is allowed, and as forbids comparing."""
        found = mismatches(old, chain)
        allowed = [each for each in found if each.is_of(self._across)]
        return allowed, [each for each in found if each not in allowed]

    def _mismatch(self, chain: Chain, forbidding: Sequence[Mismatch]) -> MismatchError:
        remedy = _remedy(forbidding)
        ways = [f"compare anyway by {remedy}"] if remedy else []
        ways += ["undo the change", "or store the new one by --eac-update-baseline"]
        return MismatchError(
            f"{self.file}: the baseline of {chain.name} was made with another spec, model or "
            f"scoring: {describe(forbidding)}; {', '.join(ways)}"
        )

    def _accepted(self, old: Chain, chain: Chain) -> Iterator[str]:
        """Yield metrics that are worse than is tolerated, where the run is stored anyway."""
        for metric, tolerance in self.tolerated.items() if self.update else ():
            verdict = judge_regression(old, chain, metric, tolerance)
            if verdict.outcome == "failed":
                yield f"accepted by --eac-update-baseline: {verdict.message.splitlines()[0]}"

    def store(self, record: Record, *, complete: bool, texts: bool = True) -> str:
        """Store a run's chains and releases; those that did not run this time stay in the file.

        The file is read again, since another run may have stored its own in the meantime.

        Args:
            record: the run.
            complete: whether it came to its end; nothing is stored of any other.
            texts: whether the file may have texts of edits, also those that it had before.

        Returns:
            What was done, in words.

        Raises:
            RecordError: the file cannot be written, or is no results file any more.
        """
        if not complete or not record.chains:
            why = "nothing was measured" if complete else "the run did not come to its end"
            return f"baseline {self.file} left as it was: {why}"
        done = ""

        def merge(there: Record | None) -> Record:
            nonlocal done
            there = there or Record(environment={}, chains=())
            done = self._describe(there, record)
            chains = _by_key(there) | _by_key(record)
            releases = {each.spec: each for each in (*there.releases, *record.releases)}
            merged = replace(
                record,
                chains=tuple(chains.values()),
                releases=tuple(releases.values()),
                comparisons=(),
                unfinished=(),
                pooled=(),
            )
            return merged if texts else without_texts(merged)

        update_record(self.file, merge)
        return f"baseline written to {self.file}: {done}"

    def _describe(self, there: Record, record: Record) -> str:
        """Say how many chains of the file are replaced, added and kept."""
        before, now = _by_key(self.read()), _by_key(there)
        ran = _by_key(record)
        replaced = [key for key in ran if key in now]
        done = f"chains: {len(replaced)} replaced, {len(ran) - len(replaced)} added"
        done += f", {len(now) - len(replaced)} of other runs kept"
        twice = [ran[key].name for key in replaced if now[key] != before.get(key)]
        if twice:
            done += f"; another run had stored {', '.join(twice)} since this one began"
        return done

    def _find(self, chain: Chain) -> Chain | None:
        return find_chain(self.read().chains, chain.key)
