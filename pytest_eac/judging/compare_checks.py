"""Two methods of a spec compared on the same edits."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isclose, log, log2, nan
from typing import TYPE_CHECKING, Any

from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.hypotheses import rest
from pytest_eac.judging.limits import Decision, interval
from pytest_eac.judging.paired_edits import Pairs, final_number, pair
from pytest_eac.records import run
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.stats.differences import Difference, difference, needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.records.run import Chain
    from pytest_eac.spec.schema.checks import CompareCheck


def compare(
    name: str,
    comparison: CompareCheck,
    subject: Sequence[Chain],
    other: Sequence[Chain],
    *,
    level: float = 0.95,
    suite: int = 0,
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
        suite: how many p-values the whole run has, if they are corrected over all of it; this one
            then gets one share of the level (Bonferroni).
    """
    required = _required(comparison)
    ends = [
        (_final(one, comparison), _final(two, comparison))
        for one, two in zip(subject, other, strict=True)
    ]
    if reason := _obstacle(comparison, (*subject, *other)):
        return run.Comparison(
            spec=subject[0].spec,
            check=name,
            outcome="undecided",
            observed=None,
            required=required,
            message=f"{name}: undecided: {reason}",
        )
    # The tests have the column first that should be the higher.
    sides = (other, subject) if comparison.less else (subject, other)
    pairs = pair(*sides, comparison.metric, absolute=comparison.absolute)
    found = _difference(comparison, pairs, comparison.confidence or level)
    decision = Decision(outcome="passed")
    if not all(_reaches(comparison, first.value, second.value) for first, second in ends):
        decision = Decision(outcome="failed")
    elif comparison.confidence is not None:
        decision = _with_confidence(comparison, pairs, found, suite or 1)
    lines = [
        f"{_label(comparison)} after {len(one.edits)} edits: {one.name} {first}, "
        f"{two.name} {second}; required {required}"
        for one, two, (first, second) in zip(subject, other, ends, strict=True)
    ]
    lines[0] = decision.reason + lines[0]
    numbers = _numbers(comparison, pairs, found) if found else {}
    if suite and comparison.confidence is not None and "p" in numbers:
        corrected = min(1.0, suite * numbers["p"])
        numbers |= {"p_adjusted": corrected, "correction": "holm", "corrected_over": suite}
    lines.append(_described(comparison, pairs.unit, numbers, level))
    return run.Comparison(
        spec=subject[0].spec,
        check=name,
        outcome=decision.outcome,
        observed=ends[0][0].value if len(ends) == 1 else None,
        required=required,
        message="\n".join(lines),
        needs=decision.needs,
        **numbers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FinalNumber:
    """A chain's final number, NaN where there is none, with what it is the mean of in words."""

    value: float
    about: str = ""

    def __str__(self) -> str:
        return f"{self.value:.4g}{self.about}"


def _final(chain: Chain, comparison: CompareCheck) -> _FinalNumber:
    point, metric = chain.checkpoints[-1], comparison.metric
    if ability := point.abilities.get(metric):
        shown = interval(ability.low, ability.high, chain.confidence)
        return _FinalNumber(value=ability.value, about=f" (n={ability.n} items, {shown})")
    value = final_number(chain, metric, absolute=comparison.absolute)
    measured = chain.measured(metric)
    if value is None or measured is None or measured.is_number:
        return _FinalNumber(value=nan if value is None else value)
    shown = interval(measured.low, measured.high, chain.confidence)
    return _FinalNumber(value=value, about=f" (n={measured.n} edits, {shown})")


def _obstacle(comparison: CompareCheck, chains: Sequence[Chain]) -> str | None:
    """Return why the chains cannot be compared; ``None`` if they can."""
    metric = comparison.metric
    if metric == DEVIATION:
        chains_by_name = {each.name: each for each in chains}
        reason = None if comparison.absolute else different_matrices(chains_by_name)
        return reason and f"{reason}; edit the same layers, or compare with absolute: true"
    asked = [found for each in chains if (found := each.checkpoints[-1].abilities.get(metric))]
    if len({(each.sha256, each.template, each.n) for each in asked}) > 1:
        return f"the chains were asked different items of {metric}; run them all again"
    if len(asked) < len(chains):
        if any(each.measured(metric) is None for each in chains):
            return f"{metric} was not measured at the end"
        if any(final_number(each, metric) is None for each in chains):
            return f"no edit has anything to measure {metric} on"
    for known in (each.abilities.get(metric) for each in chains):
        if known is not None and not known.signal:
            return (
                f"no signal: the unedited model scores {known.value:.3f} (n={known.n} items) in "
                f"{metric}, which is not above chance, so that there is nothing to lose"
            )
    return None


def _reaches(comparison: CompareCheck, one: float, two: float) -> bool:
    """Say whether a difference is reached, but for rounding; one of 0 must be exceeded.

    That of perplexities is in nats, as those of their texts are.
    """
    if comparison.metric == "perplexity":
        one, two = log(one), log(two)
    gap, by = two - one if comparison.less else one - two, comparison.by or 0.0
    return gap > 0 if by == 0 else gap >= by or isclose(gap, by, rel_tol=1e-9)


def _difference(comparison: CompareCheck, pairs: Pairs, confidence: float) -> Difference | None:
    """Test the pairs; a single number per side, or none, is nothing to test."""
    if not pairs.one or (pairs.unit == "seeds" and len(pairs.one) < 2):
        return None
    by = comparison.by or 0.0
    return difference(pairs.one, pairs.two, by=by, shares=pairs.shares, confidence=confidence)


def _with_confidence(
    comparison: CompareCheck, pairs: Pairs, found: Difference | None, over: int
) -> Decision:
    """Decide by the paired test, for values that lie as required."""
    level = rest(comparison.confidence or 0.0) / over
    if not pairs.has_test:
        reason = (
            f"{comparison.metric} has no known range, so that no number of {pairs.unit} bounds the "
            "mean of its differences; compare without a confidence, or by a number between 0 and 1"
        )
        return Decision(outcome="undecided", reason=f"undecided: {reason}; ")
    if found is not None and found.p <= level:
        return Decision(outcome="passed")
    if pairs.unit == "seeds" and len(pairs.one) < (least := ceil(log2(1 / level))):
        reason = f"{comparison.metric} is one number per chain; needs {least} seeds or more"
        return Decision(outcome="undecided", reason=f"undecided: {reason}; ", needs=least)
    by = comparison.by or 0.0
    needs = None
    if pairs.one:
        needs = needed(pairs.one, pairs.two, level=level, by=by, shares=pairs.shares)
    reason = f"too few {pairs.unit} to say how many would decide"
    if needs is not None:
        reason = f"needs about {needs:,} {pairs.unit}"
    return Decision(outcome="undecided", reason=f"undecided: {reason}; ", needs=needs)


def _numbers(comparison: CompareCheck, pairs: Pairs, found: Difference) -> dict[str, Any]:
    """Return a difference as a record has it: how far the subject is above the other method."""
    tested = {"p": found.p, "tests": found.tests} if pairs.has_test else {}
    effect, gained, lost = found.mean, found.gained, found.lost
    if comparison.less:
        effect, gained, lost = -effect, lost, gained
    return {
        "n": found.n,
        "low": effect.low,
        "high": effect.high,
        "effect": effect.value,
        "gained": gained,
        "lost": lost,
        **tested,
    }


def _described(comparison: CompareCheck, unit: str, numbers: dict[str, Any], level: float) -> str:
    """Write the difference with its interval and its tests."""
    if not numbers:
        return "  one number a side: a difference without interval or p-value"
    tests = numbers.get("tests", {})
    parts = [f"{test} p={p:.2g}" for test, p in tests.items()] or ["no p-value"]
    if "p_adjusted" in numbers:
        parts.append(
            f"{numbers['p_adjusted']:.2g} corrected over {numbers['corrected_over']} checks"
        )
    if numbers["gained"] is not None:
        parts.append(
            f"right with {comparison.subject} alone {numbers['gained']}, with {comparison.than} "
            f"alone {numbers['lost']}"
        )
    shown = interval(numbers["low"], numbers["high"], comparison.confidence or level)
    return (
        f"  {comparison.subject} - {comparison.than}: {numbers['effect']:+.4g} (n={numbers['n']} "
        f"{unit}, {shown}); {'; '.join(parts)}"
    )


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


def _label(comparison: CompareCheck) -> str:
    if comparison.metric != DEVIATION:
        return comparison.metric
    return f"deviation (L1, {'absolute' if comparison.absolute else 'relative'})"
