"""Values of an option that were tried on a method: one is chosen by a rule, and confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.limits import interval
from pytest_eac.judging.paired_edits import final_number
from pytest_eac.records.run import Chain
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.spec.option_grid import OptionValue


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptValue:
    """A value of an option (or one of each of several options) under one method.

    Attributes:
        method: the method's name in the spec.
        settings: the option and its value.
        chains: what was measured with it, a chain for each seed; at least one.
    """

    method: str
    settings: tuple[OptionValue, ...]
    chains: tuple[Chain, ...]

    @property
    def name(self) -> str:
        """The options with their values, as the command line takes them."""
        return " ".join(map(str, self.settings))

    def number(self, metric: str, *, absolute: bool = False) -> float | None:
        """Return a metric at the end, the mean over the seeds that have it."""
        found = [final_number(each, metric, absolute=absolute) for each in self.chains]
        there = [number for number in found if number is not None]
        return fmean(there) if there else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one of several values is chosen: the least deviation that costs no more than a little.

    Attributes:
        metric: a share over edits, of which little may be lost.
        within: how far below the highest share the chosen value's may be.
    """

    metric: str
    within: float

    def __str__(self) -> str:
        return (
            f"of the values whose {self.metric} is at most {self.within:g} below the highest, "
            "the one with the least deviation"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptMethod:
    """What came of a sweep of one method.

    Attributes:
        method: its name in the spec.
        tried: the values, in the order of the command line.
        chosen: the one that the rule chooses; ``None`` where it chooses none.
        other: the chosen one on the other half of the edits; ``None`` without a split.
        confirmation: whether it holds there, in words; empty without a split.
    """

    method: str
    tried: tuple[SweptValue, ...]
    chosen: SweptValue | None
    other: SweptValue | None = None
    confirmation: str = ""


def choose(values: Sequence[SweptValue], rule: Rule) -> SweptValue | None:
    """Return the value that a rule chooses; ``None`` where none has the rule's metric.

    Deviations are relative, unless the values edit different matrices: then the norms of the
    changes are compared. Of equal deviations the first one counts.
    """
    shares = [(each, each.number(rule.metric)) for each in values]
    known = [(each, share) for each, share in shares if share is not None]
    if not known:
        return None
    least = max(share for _, share in known) - rule.within - 1e-9
    chains = {chain.name: chain for each, _ in known for chain in each.chains}
    absolute = different_matrices(chains) is not None

    def deviation(value: SweptValue) -> float:
        return value.number(DEVIATION, absolute=absolute) or 0.0

    return min((each for each, share in known if share >= least), key=deviation)


def confirmation(chosen: SweptValue, other: SweptValue, rule: Rule) -> str:
    """Say whether a value keeps on other edits what it was chosen for.

    It is confirmed if the whole interval on the other edits lies above the share on the edits that
    it was chosen by, less what the rule lets go; not confirmed if it lies below; else undecided.

    Args:
        chosen: what was measured on the edits that it was chosen by.
        other: the same on the other edits.
        rule: that it was chosen by.
    """
    metric, before, after = rule.metric, chosen.number(rule.metric), other.number(rule.metric)
    measured = [found for each in other.chains if (found := each.measured(metric))]
    lows = [each.low for each in measured if each.low is not None]
    highs = [each.high for each in measured if each.high is not None]
    if before is None or after is None or not lows or not highs:
        return f"undecided: no edit of the other half has anything to measure {metric} on"
    least = before - rule.within
    # The widest of all seeds: these make the same edits, and add none.
    low, high = min(lows), max(highs)
    verdict = "confirmed" if low >= least else "not confirmed" if high < least else "undecided"
    more = "; more edits are needed" if verdict == "undecided" else ""
    shown = interval(low, high, other.chains[0].confidence)
    return (
        f"{verdict}: {metric} {before:.3g} on the edits that it was chosen by, {after:.3g} on the "
        f"others (n={measured[0].n}, {shown}); at least {least:.3g} is wanted{more}"
    )
