"""Two methods of a spec compared on the same edits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, isclose, log, log2, nan
from typing import Any

from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.hypotheses import Correction, corrected_fields, rest
from pytest_eac.judging.limits import Decision, interval
from pytest_eac.judging.paired_edits import Pairs, final_number, pair
from pytest_eac.judging.suite import correction_of
from pytest_eac.records import run
from pytest_eac.records.run import Chain
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.spec.schema.checks import CompareCheck
from pytest_eac.stats.differences import Difference, difference, needed

GIVEN_BOTH = "for these edits, given these chains"
"""What a p-value of chains on one set of edits is about: seeds are no other edits."""


def compare(
    name: str,
    comparison: CompareCheck,
    subject: Sequence[Chain],
    other: Sequence[Chain],
    *,
    level: float = 0.95,
    suite: int = 0,
) -> run.Comparison:
    """Judge whether one method's final value is below (or above) the other's on one set of edits.

    The values must lie as required for every seed. With a confidence, the paired test must say so
    as well: it fails where the values do, and is undecided where only the test is missing.

    Args:
        name: the check's name in node ids.
        comparison: the metric, the direction, the methods, the least difference, the confidence.
        subject: the chains of the method that must be below or above, one per seed.
        other: the chains of the other method, in the same order of seeds.
        level: of the interval that is shown, where the comparison has no confidence.
        suite: how many p-values the whole run has, if they are corrected over all of it.
    """
    required = required_words(comparison)
    ends = [
        (_final(one, comparison), _final(two, comparison))
        for one, two in zip(subject, other, strict=True)
    ]
    if found := incomparable(name, comparison, (*subject, *other)):
        return found
    # The tests have the column first that should be the higher.
    sides = (other, subject) if comparison.less else (subject, other)
    pairs = pair(*sides, comparison.metric, absolute=comparison.absolute)
    tested = tested_pairs(comparison, pairs, comparison.confidence or level)
    decision = Decision(outcome="passed")
    if not all(_reaches(comparison, first.value, second.value) for first, second in ends):
        decision = Decision(outcome="failed")
    elif comparison.confidence is not None:
        decision = _with_confidence(comparison, pairs, tested, suite or 1)
    lines = [
        f"{label(comparison)} after {len(one.edits)} edits: {one.name} {first}, "
        f"{two.name} {second}; required {required}"
        for one, two, (first, second) in zip(subject, other, ends, strict=True)
    ]
    lines[0] = decision.reason + lines[0]
    numbers = _numbers(comparison, tested) if tested else {}
    correction = correction_of(comparison, numbers.get("p"), suite)
    lines.append(_described(comparison, pairs.unit, numbers, level, correction))
    return run.Comparison(
        spec=subject[0].spec,
        check=name,
        outcome=decision.outcome,
        observed=ends[0][0].value if len(ends) == 1 else None,
        required=required,
        message="\n".join(lines),
        needs=decision.needs,
        **numbers,
        **corrected_fields(correction),
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


def incomparable(
    name: str, comparison: CompareCheck, chains: Sequence[Chain], *, samples: int | None = None
) -> run.Comparison | None:
    """Return the verdict on chains that cannot be compared; ``None`` if they can."""
    reason = _obstacle(comparison, chains)
    if reason is None:
        return None
    return run.Comparison(
        spec=chains[0].spec,
        check=name,
        outcome="undecided",
        observed=None,
        required=required_words(comparison),
        message=f"{name}: undecided: {reason}",
        samples=samples,
    )


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
    """Say whether a difference is reached; that of perplexities is in nats, as for their texts."""
    if comparison.metric == "perplexity":
        one, two = log(one), log(two)
    return reaches(two - one if comparison.less else one - two, comparison.by or 0.0)


def reaches(gap: float, by: float) -> bool:
    """Say whether a difference is as large as required, except for rounding; 0 must be exceeded."""
    return gap > 0 if by == 0 else gap >= by or isclose(gap, by, rel_tol=1e-9)


def tested_pairs(comparison: CompareCheck, pairs: Pairs, confidence: float) -> Difference | None:
    """Test the pairs; a single number per side, or none, is nothing to test.

    Scores without a bound have no test: no test of their mean holds whatever they are.
    """
    if not pairs.one or (pairs.unit == "seeds" and len(pairs.one) < 2):
        return None
    by = comparison.by or 0.0
    found = difference(pairs.one, pairs.two, by=by, shares=pairs.shares, confidence=confidence)
    return found if pairs.shares or pairs.unit == "seeds" else replace(found, tests={})


def _with_confidence(
    comparison: CompareCheck, pairs: Pairs, found: Difference | None, among: int
) -> Decision:
    """Decide by the paired test, for values that lie as required, as one of ``among`` tests."""
    level = rest(comparison.confidence or 0.0) / among
    if pairs.unit == "items" and not pairs.shares:
        reason = f"differences in {comparison.metric} have no bound, so no test of their mean holds"
        reason += "; drop confidence, or compare an ability whose scores are between 0 and 1"
        return Decision(outcome="undecided", reason=f"undecided: {reason}; ")
    if found is not None and found.p <= level:
        return Decision(outcome="passed")
    if pairs.unit == "seeds" and len(pairs.one) < (least := ceil(log2(1 / level))):
        reason = (
            f"{comparison.metric} is one number per chain; needs {least} seeds or more, or several "
            "sets of edits (sequence.samples), which alone show anything about other edits"
        )
        return Decision(outcome="undecided", reason=f"undecided: {reason}; ", needs=least)
    by = comparison.by or 0.0
    needs = None
    if pairs.one:
        needs = needed(pairs.one, pairs.two, level=level, by=by, shares=pairs.shares)
    return Decision.undecided(
        needs, pairs.unit, otherwise=f"no number of such {pairs.unit} decides it"
    )


def _numbers(comparison: CompareCheck, found: Difference) -> dict[str, Any]:
    """Return a difference as a record has it: how far the subject is above the other method."""
    effect, gained, lost = found.mean, found.gained, found.lost
    if comparison.less:
        effect, gained, lost = -effect, lost, gained
    return {
        "n": found.n,
        "low": effect.low,
        "high": effect.high,
        "p": found.p if found.tests else None,
        "effect": effect.value,
        "gained": gained,
        "lost": lost,
        "tests": found.tests,
    }


def _described(
    comparison: CompareCheck,
    unit: str,
    numbers: dict[str, Any],
    level: float,
    correction: Correction | None,
) -> str:
    """Write the difference with its interval and its tests."""
    if not numbers:
        return "  one number a side: a difference without interval or p-value"
    tests = "; ".join(f"{test} p={p:.2g}" for test, p in numbers["tests"].items())
    parts = [f"{tests}{correction or ''}"] if tests else []
    if numbers["gained"] is not None:
        parts.append(
            f"right with {comparison.subject} alone {numbers['gained']}, with {comparison.than} "
            f"alone {numbers['lost']}"
        )
    shown = interval(numbers["low"], numbers["high"], comparison.confidence or level)
    effect = f"{numbers['effect']:+.4g} (n={numbers['n']} {unit}, {shown})"
    return "; ".join([f"  {comparison.subject} - {comparison.than}: {effect}", *parts, GIVEN_BOTH])


def required_words(comparison: CompareCheck) -> str:
    """Return what a comparison asks for, in words."""
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


def label(comparison: CompareCheck) -> str:
    """Return what is compared, in words."""
    if comparison.metric != DEVIATION:
        return comparison.metric
    return f"deviation (L1, {'absolute' if comparison.absolute else 'relative'})"
