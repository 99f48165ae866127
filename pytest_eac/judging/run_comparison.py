"""Results files compared with the first of them, or the chains of one with each other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pytest_eac.errors import SettingsError
from pytest_eac.judging.comparable import Mismatch, environment_changes, mismatches
from pytest_eac.judging.run_diff import Change, changes, metric_names
from pytest_eac.judging.stored_chains import find_chain
from pytest_eac.records.run import Chain, Record
from pytest_eac.spec.nearest_name import closest


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun:
    """A results file: its name and what is in it."""

    file: str
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two chains: one that two runs have, or two of the same run.

    Attributes:
        spec: the spec's file.
        chain: the newer chain's name.
        to: the name of the chain that it is compared with.
        there: the file of that one.
        here: the file of the newer one.
        differs: what makes the two something else than the same thing run again; for two chains of
            the same run, but for the method's own settings.
        changes: how the metrics have moved.
    """

    spec: str
    chain: str
    to: str
    there: str
    here: str
    differs: tuple[Mismatch, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Runs against the first of them.

    ``unmatched`` says which chains are in one run alone, and which an error stopped.
    """

    runs: tuple[NamedRun, ...]
    pairs: tuple[Pair, ...]
    unmatched: tuple[str, ...]


def compare_runs(runs: Sequence[NamedRun], *, metrics: Collection[str] = ()) -> RunComparison:
    """Compare every run with the first, chain by chain; one alone, with itself.

    Of a single run, each chain is compared with that of its method's first seed, and with that of
    the first method with its own seed.

    Args:
        runs: one or more.
        metrics: only these; all by default.

    Raises:
        SettingsError: no run has one of the metrics, or a single run has nothing to compare.
    """
    known = metric_names(chain for run in runs for chain in run.record.chains)
    for metric in metrics:
        if metric not in known:
            raise SettingsError(f"--metric: no run has {metric!r}{closest(metric, known)}")
    first, *others = runs
    pairs: list[Pair] = []
    unmatched: list[str] = []
    if not others:
        pairs += _within(first, metrics)
    for run in others:
        environment = environment_changes(first.record, run.record)
        found = []
        for chain in run.record.chains:
            old = find_chain(first.record.chains, chain.key)
            if old is None:
                unmatched.append(f"{chain.name} of {chain.spec}: only in {run.file}")
                continue
            found.append(old)
            differs = (*mismatches(old, chain), *environment)
            pairs.append(_pair((first.file, old), (run.file, chain), differs, metrics))
        unmatched += [
            f"{chain.name} of {chain.spec}: in {first.file}, not in {run.file}"
            for chain in first.record.chains
            if chain not in found
        ]
    unmatched += [
        f"{each} (of {each.chain.spec}, in {run.file}: not compared)"
        for run in runs
        for each in run.record.unfinished
    ]
    return RunComparison(runs=tuple(runs), pairs=tuple(pairs), unmatched=tuple(unmatched))


def _within(run: NamedRun, metrics: Collection[str]) -> list[Pair]:
    """Compare the seeds of each method with its first, and the methods with the first one."""
    pairs = []
    for chain in run.record.chains:
        same = (chain.spec, chain.sample)
        mine = [each for each in run.record.chains if (each.spec, each.sample) == same]
        seeds = [each for each in mine if each.method == chain.method]
        methods = [each for each in mine if each.seed == chain.seed]
        for old in (seeds[0], methods[0]):
            if old is not chain:
                own = ("hyperparameters", "covariance")  # that is what is compared
                differs = [m for m in mismatches(old, chain) if not m.what.startswith(own)]
                pairs.append(_pair((run.file, old), (run.file, chain), differs, metrics))
    if not pairs:
        raise SettingsError(
            f"{run.file}: has no two chains of the same spec to compare; run with two methods or "
            "seeds, or give another file"
        )
    return pairs


def _pair(
    there: tuple[str, Chain],
    here: tuple[str, Chain],
    differs: Sequence[Mismatch],
    metrics: Collection[str],
) -> Pair:
    """Compare a chain of one file with a chain of another."""
    (old_file, old), (file, chain) = there, here
    moved = (each for each in changes(old, chain) if not metrics or each.metric in metrics)
    return Pair(
        spec=chain.spec,
        chain=chain.name,
        to=old.name,
        there=old_file,
        here=file,
        differs=tuple(differs),
        changes=tuple(moved),
    )
