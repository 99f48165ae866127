"""Several results files held against the first of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_eac.judging.changes import Change, changes
from pytest_eac.judging.matching import Mismatch, environment_changes, mismatches
from pytest_eac.judging.stored import find_chain

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_eac.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A results file: its name and what is in it."""

    file: str
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A chain that two runs have.

    Attributes:
        spec: the spec's file.
        chain: the chain's name.
        there: the file of the older run.
        here: that of the newer one.
        differs: what makes the two something else than the same thing run again.
        changes: how the metrics have moved.
    """

    spec: str
    chain: str
    there: str
    here: str
    differs: tuple[Mismatch, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs against the first of them; ``unmatched`` says which chains are in one alone."""

    runs: tuple[Run, ...]
    pairs: tuple[Pair, ...]
    unmatched: tuple[str, ...]


def compare_runs(runs: Sequence[Run], *, metrics: Collection[str] = ()) -> Comparison:
    """Hold every run against the first, chain by chain.

    Args:
        runs: two or more.
        metrics: only these; all by default.
    """
    first, *others = runs
    pairs: list[Pair] = []
    unmatched: list[str] = []
    for run in others:
        environment = environment_changes(first.record, run.record)
        found = []
        for chain in run.record.chains:
            old = find_chain(
                first.record.chains, spec=chain.spec, method=chain.method, seed=chain.seed
            )
            if old is None:
                unmatched.append(f"{chain.name} of {chain.spec}: only in {run.file}")
                continue
            found.append(old)
            moved = [each for each in changes(old, chain) if not metrics or each.metric in metrics]
            pairs.append(
                Pair(
                    spec=chain.spec,
                    chain=chain.name,
                    there=first.file,
                    here=run.file,
                    differs=(*mismatches(old, chain), *environment),
                    changes=tuple(moved),
                )
            )
        unmatched += [
            f"{chain.name} of {chain.spec}: in {first.file}, not in {run.file}"
            for chain in first.record.chains
            if chain not in found
        ]
    return Comparison(runs=tuple(runs), pairs=tuple(pairs), unmatched=tuple(unmatched))
