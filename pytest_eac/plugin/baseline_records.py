"""A run held against stored records, or stored in their place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_eac.errors import MismatchError, RecordError, SettingsError
from pytest_eac.judging.comparable import ACROSS, describe, environment_changes, mismatches
from pytest_eac.judging.limits import undecided
from pytest_eac.judging.regression import judge_regression
from pytest_eac.judging.run_diff import changes, metric_names
from pytest_eac.judging.stored_chains import find_chain
from pytest_eac.judging.stored_texts import with_texts
from pytest_eac.records.results_file import without_texts
from pytest_eac.records.run import Chain, ChainKey, Record, Verdict
from pytest_eac.reporting.run_diff import change_lines, changes_table
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.registry import ABILITIES, METRICS, names
from pytest_eac.spec.schema.abilities import BUILT_IN, LM_EVAL
from pytest_eac.store import read_record, update_record
from pytest_eac.untrusted_text import markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_eac.judging.comparable import Mismatch
    from pytest_eac.spec.spec import Spec


_SHOWN_DIFFERENCES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """How a chain differs from its baseline.

    Attributes:
        across: the differences that are allowed.
        forbidding: those that forbid the comparison.
    """

    across: tuple[Mismatch, ...]
    forbidding: tuple[Mismatch, ...]

    def told(self) -> tuple[str, ...]:
        """Return the differences that are allowed, a line each."""
        lines = [f"compared across {each.moved}" for each in self.across[:_SHOWN_DIFFERENCES]]
        more = len(self.across) - _SHOWN_DIFFERENCES
        return (*lines, f"and across {more} more") if more > 0 else tuple(lines)


def _by_key(record: Record) -> dict[ChainKey, Chain]:
    return {each.key: each for each in record.chains}


class Baseline:
    """The records of an earlier run.

    Args:
        file: where they are; need not be there yet if they are to be stored.
        tolerated: the metrics that must not become worse, and by how much they may.
        update: whether this run takes their place. It is still compared with them, and may differ
            in all that ``ACROSS`` lists, but no check can fail: the user has
            accepted the change.
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
        if self._record is None:
            if self.file.exists():
                self._record = with_texts(read_record(self.file), self.file.parent)
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
        held = self._hold(old, chain)
        if held.forbidding:
            raise self._wrong.setdefault(chain.key, self._mismatch(chain, held))
        verdict = judge_regression(old, chain, metric, self.tolerated[metric])
        return replace(verdict, message="\n".join([verdict.message, *held.told()]))

    def lines(self, record: Record) -> Iterator[str]:
        """Yield the tables of what has changed in the chains that ran, if they can be compared."""
        if not (record.chains and self.read().chains):
            return
        yield f"against the baseline {self.file}"
        yield from (f"  {each} (only told)" for each in environment_changes(self.read(), record))
        for chain, old, held in self._pairs(record.chains):
            if held.forbidding:
                yield f"{chain.name}: {self._reason(held)}"
                continue
            yield from change_lines(chain.name, changes(old, chain))
            yield from (f"  {line}" for line in held.told())
            yield from (f"  {line}" for line in self._accepted(old, chain))

    def markdown(self, record: Record) -> str:
        """Return the same as Markdown."""
        if not (record.chains and self.read().chains):
            return ""
        lines = ["", f"### Against the baseline {markdown(str(self.file))}"]
        found = environment_changes(self.read(), record)
        lines += ["", *(f"- {markdown(str(each))} (only told)" for each in found)]
        for chain, old, held in self._pairs(record.chains):
            if held.forbidding:
                lines += ["", markdown(f"{chain.name}: {self._reason(held)}")]
                continue
            lines += ["", markdown(chain.name), "", *changes_table(changes(old, chain)), ""]
            more = (*held.told(), *self._accepted(old, chain))
            lines += [f"- {markdown(line)}" for line in more]
        return "\n".join(lines).rstrip("\n") + "\n"

    def _pairs(self, chains: Sequence[Chain]) -> Iterator[tuple[Chain, Chain, _Held]]:
        """Yield each chain that has a baseline, that baseline, and how they differ."""
        for chain in chains:
            if old := self._find(chain):
                yield chain, old, self._hold(old, chain)

    def _hold(self, old: Chain, chain: Chain) -> _Held:
        found = mismatches(old, chain)
        return _Held(
            across=tuple(each for each in found if each.is_of(self._across)),
            forbidding=tuple(each for each in found if not each.is_of(self._across)),
        )

    def _remedy(self, held: _Held) -> str | None:
        """Return the option that allows what forbids a comparison, if there is one."""
        needed = [name for name in ACROSS if any(each.is_of([name]) for each in held.forbidding)]
        if not all(each.is_of(needed) for each in held.forbidding):
            return None
        return f"--eac-compare-across={','.join(needed)}"

    def _reason(self, held: _Held) -> str:
        remedy = self._remedy(held)
        more = f"; {remedy} compares them anyway" if remedy else ""
        return f"not compared: {describe(held.forbidding)}{more}"

    def _mismatch(self, chain: Chain, held: _Held) -> MismatchError:
        remedy = self._remedy(held)
        ways = [f"compare anyway by {remedy}"] if remedy else []
        ways += ["undo the change", "or store the new one by --eac-update-baseline"]
        return MismatchError(
            f"{self.file}: the baseline of {chain.name} was made with another spec, model or "
            f"scoring: {describe(held.forbidding)}; {', '.join(ways)}"
        )

    def _accepted(self, old: Chain, chain: Chain) -> Iterator[str]:
        """Yield metrics that are worse than is tolerated, where the run is stored anyway."""
        for metric, tolerance in self.tolerated.items() if self.update else ():
            verdict = judge_regression(old, chain, metric, tolerance)
            if verdict.outcome == "failed":
                first = verdict.message.partition("\n")[0]
                yield f"accepted by --eac-update-baseline: {first}"

    def store(self, record: Record, *, complete: bool) -> str:
        """Store a run's chains and releases; those that did not run this time stay in the file.

        The file is read again, since another run may have stored its own in the meantime.

        Args:
            record: the run.
            complete: whether it came to its end; nothing is stored of any other.

        Returns:
            What was done, in words.

        Raises:
            RecordError: the file cannot be written, or is no results file any more.
        """
        if not complete or not record.chains:
            why = "nothing was measured" if complete else "the run did not come to its end"
            return f"baseline {self.file} left as it was: {why}"
        told = ""

        def merge(there: Record | None) -> Record:
            nonlocal told
            there = there or Record(environment={}, chains=())
            told = self._describe(there, record)
            chains = _by_key(there) | _by_key(record)
            releases = {each.spec: each for each in (*there.releases, *record.releases)}
            return replace(
                record,
                chains=tuple(chains.values()),
                releases=tuple(releases.values()),
                comparisons=(),
                unfinished=(),
            )

        update_record(self.file, merge)
        return f"baseline written to {self.file}: {told}"

    def _describe(self, there: Record, record: Record) -> str:
        """Say what becomes of the chains in the file, those of other runs included."""
        # Without texts, since those that were read may have been filled in.
        before, now = (_by_key(without_texts(each)) for each in (self.read(), there))
        ran = _by_key(record)
        replaced = [key for key in ran if key in now]
        told = f"chains: {len(replaced)} replaced, {len(ran) - len(replaced)} added"
        told += f", {len(now) - len(replaced)} of other runs kept"
        twice = [ran[key].name for key in replaced if now[key] != before.get(key)]
        if twice:
            told += f"; another run had stored {', '.join(twice)} since this one began"
        return told

    def _find(self, chain: Chain) -> Chain | None:
        return find_chain(self.read().chains, chain.key)
