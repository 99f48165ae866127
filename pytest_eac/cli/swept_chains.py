"""The chains of ``pytest-eac sweep``: kept as they end, and run again where a value is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_eac.judging.swept_values import Rule, SweptMethod, SweptValue, choose, confirmation
from pytest_eac.measuring.environment import describe_environment
from pytest_eac.measuring.sweep import Sweep
from pytest_eac.records.run import Chain, Record, Unfinished
from pytest_eac.spec.option_grid import Variant
from pytest_eac.spec.spec import Spec
from pytest_eac.store import write_record


@dataclass(kw_only=True)
class SweptChains:
    """The chains that have run; each is written to the results file as soon as it has."""

    file: Path | None
    ended: list[Chain] = field(default_factory=list)
    stopped: list[Unfinished] = field(default_factory=list)

    def add(self, outcome: Chain | Unfinished) -> None:
        """Note what came of a chain, and write the results file."""
        if isinstance(outcome, Chain):
            self.ended.append(outcome)
        else:
            self.stopped.append(outcome)
        if self.file is not None:
            write_record(self.file, self.record())

    def record(self) -> Record:
        """Return all that was measured so far."""
        return Record(
            environment=describe_environment(),
            chains=tuple(self.ended),
            unfinished=tuple(self.stopped),
        )

    def of(self, variant: Variant, sample: int) -> SweptValue | None:
        """Return what was measured of a variant, if any of its chains ran to its end."""
        name = variant.method.name
        chains = [each for each in self.ended if (each.method, each.sample) == (name, sample)]
        if not chains:
            return None
        return SweptValue(method=variant.of, settings=variant.settings, chains=tuple(chains))


def run_and_choose(
    sweep: Sweep, halves: Sequence[Spec], tried: Sequence[Variant], rule: Rule, done: SweptChains
) -> list[SweptMethod]:
    """Run all values on the first edits, choose, and run what was chosen on the others."""
    for outcome in sweep.chains(halves[0], [each.method for each in tried]):
        done.add(outcome)
    choices = []
    for method in dict.fromkeys(each.of for each in tried):
        values = [done.of(each, 0) for each in tried if each.of == method]
        known = tuple(value for value in values if value is not None)
        if known:
            best = choose(known, rule)
            choices.append(SweptMethod(method=method, tried=known, chosen=best))
    if len(halves) == 1:
        return choices
    best_ones = {(each.method, each.chosen.settings) for each in choices if each.chosen}
    again = [each for each in tried if (each.of, each.settings) in best_ones]
    for outcome in sweep.chains(halves[1], [each.method for each in again]):
        done.add(outcome)
    others = {each.of: done.of(each, 1) for each in again}
    return [
        replace(each, other=other, confirmation=confirmation(each.chosen, other, rule))
        if each.chosen and (other := others.get(each.method))
        else each
        for each in choices
    ]
