"""Two methods of a spec held against each other on the same edits."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isclose, log, log2
from typing import TYPE_CHECKING

from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.hypotheses import rest
from pytest_eac.judging.limits import interval
from pytest_eac.judging.paired_edits import Pairs, final_number, pair
from pytest_eac.records import run
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.stats.differences import Difference, difference, needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.records.run import Chain
    from pytest_eac.spec.schema.checks import CompareCheck
    from pytest_eac.stats.paired import Interval


def compare(
    name: str,
    comparison: CompareCheck,
    subject: Sequence[Chain],
    other: Sequence[Chain],
    *,
    level: float = 0.95,
) -> run.Comparison:
    """Judge whether one method's final value is below (or above) the other's.

    The values must lie as required for every seed. With a confidence, the paired test must say so
    as well: it fails where the values do, and is undecided where only the test is missing.

    Args:
        name: the check's name in node ids.
        comparison: the metric, the direction, the methods, the least difference, the confidence.
        subject: the chains of the method that must be below or above, one per seed.
        other: the chains of the other method, in the same order of seeds.
        level: of the interval that is shown, where the comparison has no confidence.
    """
    by = comparison.by or 0.0
    lines, values, held = [], [], True
    if comparison.metric == DEVIATION and not comparison.absolute:
        reason = different_matrices({each.name: each for each in (*subject, *other)})
        if reason is not None:
            reason = f"{reason}; edit the same layers, or compare with absolute: true"
            return _undecided(name, comparison, subject[0].spec, reason)
    if _items_differ(comparison.metric, (*subject, *other)):
        reason = f"the chains were asked different items of {comparison.metric}; run them all again"
        return _undecided(name, comparison, subject[0].spec, reason)
    for one, two in zip(subject, other, strict=True):
        first, second = _final(one, comparison), _final(two, comparison)
        if first is None or second is None:
            reason = f"no edit has anything to measure {comparison.metric} on"
            if one.measured(comparison.metric) is None or two.measured(comparison.metric) is None:
                reason = f"{comparison.metric} was not measured at the end"
            return _undecided(name, comparison, one.spec, reason)
        known = one.abilities.get(comparison.metric)
        if known is not None and not known.signal:
            reason = (
                f"no signal: the unedited model scores {known.value:.3f} (n={known.n} items) in "
                f"{comparison.metric}, which is not above chance, so that there is nothing to lose"
            )
            return _undecided(name, comparison, one.spec, reason)
        held = held and _reaches(_gap(comparison, first.value, second.value), by)
        values.append(first.value)
        lines.append(
            f"{_label(comparison)} after {len(one.edits)} edits: {one.name} {first}, "
            f"{two.name} {second}; required {_required(comparison)}"
        )
    pairs = pair(subject, other, comparison.metric, absolute=comparison.absolute)
    found = _difference(comparison, pairs, comparison.confidence or level)
    outcome, reason, needs = "passed" if held else "failed", "", None
    if held and comparison.confidence is not None:
        outcome, reason, needs = _with_confidence(comparison, pairs, found)
    effect = _effect(comparison, found)
    gained, lost = _alone(comparison, found)
    return run.Comparison(
        spec=subject[0].spec,
        check=name,
        outcome=outcome,
        observed=values[0] if len(values) == 1 else None,
        required=_required(comparison),
        message="\n".join([reason + lines[0], *lines[1:], _told(comparison, pairs, found, level)]),
        n=found.n if found else None,
        low=effect.low if effect else None,
        high=effect.high if effect else None,
        p=found.p if found else None,
        needs=needs,
        effect=effect.value if effect else None,
        gained=gained,
        lost=lost,
        tests=found.tests if found else {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FinalNumber:
    """A chain's final number, and what it is worth in words."""

    value: float
    worth: str

    def __str__(self) -> str:
        return f"{self.value:.4g}{self.worth}"


def _items_differ(ability: str, chains: Sequence[Chain]) -> bool:
    """Say whether chains were asked different items; a file may have chains of several runs."""
    found = [chain.checkpoints[-1].abilities.get(ability) for chain in chains]
    return len({(each.sha256, each.template, each.n) for each in found if each}) > 1


def _final(chain: Chain, comparison: CompareCheck) -> _FinalNumber | None:
    point, metric = chain.checkpoints[-1], comparison.metric
    if ability := point.abilities.get(metric):
        shown = interval(ability.low, ability.high, chain.confidence)
        return _FinalNumber(value=ability.value, worth=f" (n={ability.n} items, {shown})")
    value = final_number(chain, metric, absolute=comparison.absolute)
    measured = chain.measured(metric)
    if value is None or measured is None or measured.is_number:
        return None if value is None else _FinalNumber(value=value, worth="")
    shown = interval(measured.low, measured.high, chain.confidence)
    return _FinalNumber(value=value, worth=f" (n={measured.n} edits, {shown})")


def _upwards(comparison: CompareCheck, one: float, two: float) -> float:
    """Return how far the first value lies beyond the second one in the direction asked for."""
    return two - one if comparison.less else one - two


def _gap(comparison: CompareCheck, one: float, two: float) -> float:
    """Return the distance that ``by`` is about: of perplexities in nats, as their texts' are."""
    if comparison.metric == "perplexity":
        one, two = log(one), log(two)
    return _upwards(comparison, one, two)


def _reaches(gap: float, by: float) -> bool:
    """Say whether a difference is reached, but for rounding; that of 0 must be passed."""
    return gap > 0 if by == 0 else gap >= by or isclose(gap, by, rel_tol=1e-9)


def _difference(comparison: CompareCheck, pairs: Pairs, confidence: float) -> Difference | None:
    """Test the pairs; a single number per side, or none, is nothing to test."""
    if not pairs.one or (pairs.unit == "seeds" and len(pairs.one) < 2):
        return None
    better, worse = _directed(comparison, pairs)
    by = comparison.by or 0.0
    return difference(better, worse, by=by, shares=pairs.shares, confidence=confidence)


def _directed(
    comparison: CompareCheck, pairs: Pairs
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the two columns, the one first that should be the higher."""
    return (pairs.two, pairs.one) if comparison.less else (pairs.one, pairs.two)


def _with_confidence(
    comparison: CompareCheck, pairs: Pairs, found: Difference | None
) -> tuple[str, str, int | None]:
    """Return outcome, what to say of it first, and how many it takes to decide."""
    level = rest(comparison.confidence or 0.0)
    if found is not None and found.p <= level:
        return "passed", "", None
    if pairs.unit == "seeds":
        least = ceil(log2(1 / level))
        if len(pairs.one) < least:
            reason = (
                f"undecided: {comparison.metric} is one number per chain; "
                f"needs {least} seeds or more; "
            )
            return "undecided", reason, least
    better, worse = _directed(comparison, pairs)
    by = comparison.by or 0.0
    needs = needed(better, worse, level=level, by=by, shares=pairs.shares) if better else None
    if needs is None:
        return "undecided", f"undecided: no number of such {pairs.unit} decides it; ", None
    return "undecided", f"undecided: needs about {needs:,} {pairs.unit}; ", needs


def _told(comparison: CompareCheck, pairs: Pairs, found: Difference | None, level: float) -> str:
    """Write the difference with its interval and its tests."""
    effect = _effect(comparison, found)
    if found is None or effect is None:
        return "  one number a side: a difference without interval or p-value"
    parts = [f"{test} p={p:.2g}" for test, p in found.tests.items()]
    if found.gained is not None and found.lost is not None:
        one, two = _alone(comparison, found)
        parts.append(
            f"right with {comparison.subject} alone {one}, with {comparison.than} alone {two}"
        )
    return (
        f"  {comparison.subject} - {comparison.than}: {effect.value:+.4g} (n={found.n} "
        f"{pairs.unit}, {interval(effect.low, effect.high, comparison.confidence or level)}); "
        f"{'; '.join(parts)}"
    )


def _effect(comparison: CompareCheck, found: Difference | None) -> Interval | None:
    """Return how far the first method is above the second."""
    if found is None:
        return None
    return -found.mean if comparison.less else found.mean


def _alone(comparison: CompareCheck, found: Difference | None) -> tuple[int | None, int | None]:
    """Return how many edits only the first method has right, and how many only the second."""
    if found is None:
        return None, None
    return (found.lost, found.gained) if comparison.less else (found.gained, found.lost)


def _required(comparison: CompareCheck) -> str:
    sign = "<" if comparison.less else ">"
    text = f"{comparison.subject} {sign} {comparison.than}"
    unit = " nats" if comparison.metric == "perplexity" else ""
    if comparison.by is not None and comparison.by < 0:
        side = "above" if comparison.less else "below"
        text += f", or {side} by {-comparison.by:g}{unit} at most"
    elif comparison.by:
        text += f" by {comparison.by:g}{unit} or more"
    if comparison.confidence is not None:
        text += f" with confidence {comparison.confidence:g}"
    return text


def _undecided(name: str, comparison: CompareCheck, spec: str, reason: str) -> run.Comparison:
    return run.Comparison(
        spec=spec,
        check=name,
        outcome="undecided",
        observed=None,
        required=_required(comparison),
        message=f"{name}: undecided: {reason}",
    )


def _label(comparison: CompareCheck) -> str:
    if comparison.metric != DEVIATION:
        return comparison.metric
    return f"deviation (L1, {'absolute' if comparison.absolute else 'relative'})"
