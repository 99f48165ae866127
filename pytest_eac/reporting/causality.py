"""Do deviation and loss of abilities go together, once the number of edits is held fixed?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_eac.judging.comparable import different_matrices
from pytest_eac.reporting.text import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_eac.records.run import Chain, Record
    from pytest_eac.stats.paired import Interval

# With fewer there is hardly anything to hold fixed, or nothing left once it is.
LEAST_CHAINS = 4
LEAST_CHECKPOINTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Causality:
    """How far deviation and the share of an ability that is kept go together.

    Both are correlations given the number of edits, between -1 and 1: below 0 where chains that
    moved further have kept less. A correlation is no cause: the controls ask for that.

    Attributes:
        spec: the spec whose chains they are.
        ability: the ability.
        ranks: Spearman's; its ends are ``None`` where there are too few ``groups``.
        numbers: Pearson's, likewise.
        chains: how many chains.
        checkpoints: how many numbers of edits.
        points: how many pairs of deviation and share.
        groups: how many are independent of one another: methods, each with its controls, or, of a
            single method, seeds.
        group: what they are.
    """

    spec: str
    ability: str
    ranks: Interval
    numbers: Interval
    chains: int
    checkpoints: int
    points: int
    groups: int
    group: Literal["method", "seed"]


def deviation_and_abilities(
    record: Record, *, norm: Literal["l1", "frobenius"] = "l1", confidence: float = 0.95
) -> tuple[Causality, ...]:
    """Correlate deviation with the share of each ability that is kept, given the number of edits.

    The points are chains at checkpoints. Chains of one method that differ in their seed are much
    alike, and so are a method and its control, which moves as far: what is independent are methods,
    each with its controls, or the seeds of a single method.

    Args:
        record: whatever chains were run; specs and models stay apart. An ability needs at least
            ``LEAST_CHAINS`` chains with ``LEAST_CHECKPOINTS`` checkpoints each, and a signal. The
            chains must have edited the same matrices: else their relative deviations are shares
            of different norms, and the ability is left out (the terminal's table says so).
        norm: relative deviation in the L1 or the Frobenius norm.
        confidence: the level of the intervals, in (0, 1).
    """
    found = _found(record.chains, norm, confidence)
    return tuple(each for each in found if isinstance(each, Causality))


def causality_lines(chains: Sequence[Chain]) -> list[str]:
    """Return a line per ability that deviation can be compared with; 80 columns wide."""
    found = list(_found(chains, "l1", 0.95))
    if not found:
        return []
    lines = ["deviation and abilities kept, given the number of edits (partial Spearman):"]
    for each in found:
        if isinstance(each, _Undecided):
            lines += wrapped(f"  {each.ability}: undecided: {each.reason}; edit the same layers")
            continue
        interval = f"no interval below 8 {each.group}s"
        if each.ranks.low is not None and each.ranks.high is not None:
            interval = f"95% {each.ranks.low:.2f} to {each.ranks.high:.2f}"
        size = f"{each.groups} {each.group}s, {each.chains} chains x {each.checkpoints}"
        lines.append(f"  {each.ability[:14]:<15}{each.ranks.value:>5.2f}  {interval:<29}{size}")
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChainPoint:
    method: str  # of a control, the method that it mirrors
    chain: str
    edits: int
    deviation: float
    kept: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Undecided:
    """An ability whose chains have deviations that cannot be compared, and why."""

    ability: str
    reason: str


def _found(
    chains: Sequence[Chain], norm: str, confidence: float
) -> Iterator[Causality | _Undecided]:
    for spec, model in dict.fromkeys((each.spec, each.model.fingerprint) for each in chains):
        mine = [each for each in chains if (each.spec, each.model.fingerprint) == (spec, model)]
        for ability in dict.fromkeys(name for each in mine for name in each.abilities):
            points = _points(mine, ability, norm)
            taken = {each.chain for each in points}
            if len(taken) < LEAST_CHAINS:
                continue
            chosen = {each.name: each for each in mine if each.name in taken}
            if reason := different_matrices(chosen):
                yield _Undecided(ability=ability, reason=reason)
            elif found := _of(spec, ability, points, confidence):
                yield found


def _points(chains: Sequence[Chain], ability: str, norm: str) -> list[_ChainPoint]:
    """Return the points of those chains that have enough checkpoints with this ability.

    A seed that changes nothing, of a method that draws nothing, is the same chain again.
    """
    points: list[_ChainPoint] = []
    known: set[tuple[object, ...]] = set()
    for chain in chains:
        own = [
            _ChainPoint(
                method=str(chain.hyperparameters.get("like", chain.method)),
                chain=chain.name,
                edits=point.at,
                deviation=getattr(point.deviation, f"{norm}_relative"),
                kept=measured.kept,
            )
            for point in chain.checkpoints
            if (measured := point.abilities.get(ability)) is not None
            and measured.signal
            and measured.kept is not None
        ]
        values = (chain.method, *((each.edits, each.deviation, each.kept) for each in own))
        if len(own) >= LEAST_CHECKPOINTS and values not in known:
            known.add(values)
            points += own
    return points


def _of(spec: str, ability: str, points: list[_ChainPoint], confidence: float) -> Causality | None:
    from pytest_eac.stats.partial_correlation import (
        over_groups,
        partial_correlation,
        partial_rank_correlation,
    )

    by_method = len({each.method for each in points}) > 1
    groups = [each.method if by_method else each.chain for each in points]
    ranks, numbers = (
        over_groups(
            correlation,
            [each.deviation for each in points],
            [each.kept for each in points],
            [each.edits for each in points],
            groups,
            confidence=confidence,
        )
        for correlation in (partial_rank_correlation, partial_correlation)
    )
    if ranks is None or numbers is None:
        return None
    return Causality(
        spec=spec,
        ability=ability,
        ranks=ranks,
        numbers=numbers,
        chains=len({each.chain for each in points}),
        checkpoints=len({each.edits for each in points}),
        points=len(points),
        groups=len(set(groups)),
        group="method" if by_method else "seed",
    )
