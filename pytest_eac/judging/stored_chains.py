"""Chains that were recorded earlier: found in a results file, and fit for a spec of today."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from pytest_eac.errors import MismatchError, UnavailableError
from pytest_eac.judging.comparable import describe, mismatches_with_spec
from pytest_eac.judging.limits import undecided
from pytest_eac.judging.stored_texts import filled_in, texts_by_hash
from pytest_eac.records.run import Chain, ChainKey, Record, Verdict
from pytest_eac.spec.spec import Spec, SpecMethod


def find_chain(chains: Sequence[Chain], key: ChainKey) -> Chain | None:
    """Return the chain of a spec, if it is there.

    Specs go by their paths; where no path is the same (the run had another working directory), by
    the file's name, if one chain alone has it.
    """
    wanted = _by_file_name(key)
    named = [each for each in chains if _by_file_name(each.key) == wanted]
    same = [each for each in named if each.spec == key.spec]
    return same[0] if same else named[0] if len(named) == 1 else None


def _by_file_name(key: ChainKey) -> ChainKey:
    return key._replace(spec=PurePath(key.spec).name)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A results file whose chains are judged in place of a run."""

    file: Path
    record: Record

    def chain(self, key: ChainKey, spec: Spec, method: SpecMethod) -> Chain:
        """Return a chain as it was measured, without the verdicts of its time.

        It has only those checkpoints that the spec names today; texts that the file leaves out are
        the spec's.

        Raises:
            UnavailableError: the file has no such chain.
            MismatchError: it has one of other edits, or edited in another way.
            RecordError: it does not fit the spec's edits.
        """
        found = find_chain(self.record.chains, key)
        if found is None:
            raise UnavailableError(
                self._why_missing(key), remedy="run the spec without --eac-from-results"
            )
        if wrong := mismatches_with_spec(found, spec, method):
            raise MismatchError(
                f"{self.file}: {key.name} of {key.spec} was recorded from another spec: "
                f"{describe(wrong)}; only limits may change: run the spec without "
                "--eac-from-results, or undo the change"
            )
        asked = tuple(point for point in found.checkpoints if point.at in spec.checkpoints)
        full = filled_in(found, texts_by_hash(spec.edits), self.file)
        return replace(full, spec=key.spec, checkpoints=asked, verdicts=())

    def _why_missing(self, key: ChainKey) -> str:
        """Return the message that a chain is missing, or that an error stopped it."""
        stopped = {id(each.chain): each for each in self.record.unfinished}
        found = find_chain([each.chain for each in stopped.values()], key)
        if found is not None:
            return f"{self.file}: {stopped[id(found)]} (of {key.spec})"
        return f"{self.file}: no chain {key.name} of {key.spec} in it"


def unrecorded(chain: Chain, spec: Spec, name: str) -> Verdict | None:
    """Return the verdict on a check that asks for what a stored chain lacks; else nothing.

    That is a check of every checkpoint where some were not recorded, or a metric that was not. What
    else may be lacking, checks themselves see.
    """
    missing = sorted(set(spec.checkpoints) - {point.at for point in chain.checkpoints})
    if missing and getattr(spec.checks[name], "at", None) == "every":
        lacks = f"at every checkpoint, but nothing was recorded after {missing[0]} edits"
    elif name in spec.checks.metrics and name not in chain.checkpoints[-1].metrics:
        lacks = "it was not recorded"
    else:
        return None
    return undecided(name, f"{name} of {chain.name}: undecided: {lacks}; run the spec again", "")
