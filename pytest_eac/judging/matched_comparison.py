"""Two methods compared at equal retention, or another share: not only at equal steps.

A method that writes less moves the weights less, whatever else it does. So both are run at several
strengths, and their deviations are compared where they keep the same share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.compare_checks import GIVEN_BOTH
from pytest_eac.judging.hypotheses import corrected_fields, rest
from pytest_eac.judging.limits import interval
from pytest_eac.judging.paired_edits import PairKey, edit_keys, final_number
from pytest_eac.judging.suite import suite_correction
from pytest_eac.records import run
from pytest_eac.records.run import Chain
from pytest_eac.spec.metrics import DEVIATION
from pytest_eac.spec.option_grid import OptionValue
from pytest_eac.spec.schema.at_equal import WEAKER, AtEqual
from pytest_eac.spec.schema.checks import CompareCheck
from pytest_eac.stats.matched import (
    LEAST_ITEMS,
    LEAST_RANGE,
    LEAST_STRENGTHS,
    Matched,
    ShareCurve,
    matched,
    overlap,
)
from pytest_eac.stats.slopes import needed_steps

# With a lower p-value, the curves of two methods are not of one shape.
_UNLIKE = 0.05


def strengths(chain: Chain, at_equal: AtEqual) -> tuple[OptionValue, ...]:
    """Return the strengths that a method has to be run with, besides its own.

    Args:
        chain: one of the method as it is written, which has the value of every option.
        at_equal: the option, and its values where they are given.
    """
    own: Any = chain.hyperparameters
    for part in at_equal.by.split("."):
        own = own.get(part) if isinstance(own, dict) else None
    values = at_equal.values
    if values is None:
        values = tuple(share * own for share in WEAKER) if isinstance(own, int | float) else ()
    return tuple(OptionValue(option=at_equal.by, value=each) for each in values if each != own)


def compare_at_equal(
    name: str,
    comparison: CompareCheck,
    subject: Mapping[str, Sequence[Chain]],
    other: Mapping[str, Sequence[Chain]],
    *,
    level: float = 0.95,
    suite: int = 0,
) -> run.Comparison:
    """Judge whether one method's deviation is below (or above) the other's at equal shares.

    It fails if the estimated deviations do not lie as required, passes if the test says that they
    do, and is undecided else.

    Args:
        name: the check's name in node ids.
        comparison: what is compared, with its ``at_equal``.
        subject: of the method that must be below or above: the chains of each strength, one per
            seed, by the strength in words.
        other: the same of the other method.
        level: the confidence, where the comparison has none of its own.
        suite: how many p-values the whole run has, if they are corrected over all of it.
    """
    confidence = comparison.confidence or level
    sides = (other, subject) if comparison.less else (subject, other)
    first = next(iter(subject.values()))[0]
    required = _required(comparison, confidence)
    told = [
        _told(comparison, subject, comparison.subject),
        _told(comparison, other, comparison.than),
    ]

    def judged(outcome: str, reason: str, **numbers: Any) -> run.Comparison:
        return run.Comparison(
            spec=first.spec,
            check=name,
            outcome=outcome,
            required=required,
            message="\n".join([f"{name}: {reason}", *told]),
            **{"observed": None, **numbers},
        )

    keys = _common(comparison, (*subject.values(), *other.values()))
    if reason := _obstacle(comparison, sides, len(keys)):
        needs = LEAST_ITEMS if len(keys) < LEAST_ITEMS else None
        return judged("undecided", f"undecided: {reason}", needs=needs)
    one, two = (_curve(comparison, side, keys) for side in sides)
    if reason := _apart(comparison, one, two):
        return judged("undecided", f"undecided: {reason}")
    found = matched(one, two, confidence=confidence)
    reason = _unlike(comparison, found)
    if reason or found.ratio is None:
        return judged("undecided", f"undecided: {reason}")
    ratio, low, high = _of_subject(comparison, found)
    shown = interval(low, high, confidence)
    correction = suite_correction(found.p, suite) if suite else None
    text = (
        f"at equal {_metric(comparison)} {comparison.subject} moves the weights {ratio:.3g} times "
        f"as far as {comparison.than} (n={found.n} edits, {shown}); p={found.p:.2g}"
        f"{correction or ''}, "
        f"{GIVEN_BOTH}; required {required}"
    )
    numbers: dict[str, Any] = {
        "observed": ratio,
        "n": found.n,
        "effect": ratio - 1,
        "low": low - 1,
        "high": high - 1,
        "p": found.p,
        "tests": {"matched": found.p},
        **corrected_fields(correction),
    }
    if found.ratio >= 1:
        return judged("failed", text, **numbers)
    most = rest(confidence) / (suite or 1)
    if found.p <= most:
        return judged("passed", text, **numbers)
    needs = needed_steps(found.p, n=found.n, freedom=found.n - 1, level=most)
    about = (
        "no number of such edits decides it" if needs is None else f"needs about {needs:,} edits"
    )
    return judged("undecided", f"undecided: {about}; {text}", needs=needs, **numbers)


def _of_subject(comparison: CompareCheck, found: Matched) -> tuple[float, float, float]:
    """Return the subject's deviation over the other method's, and its interval."""
    ratio, low, high = (each or 0.0 for each in (found.ratio, found.low, found.high))
    return (ratio, low, high) if comparison.less else (1 / ratio, 1 / high, 1 / low)


def _metric(comparison: CompareCheck) -> str:
    return comparison.at_equal.metric if comparison.at_equal else ""


def _common(comparison: CompareCheck, runs: Sequence[Sequence[Chain]]) -> list[PairKey]:
    """Return the edits that every chain has a score of, in their order."""
    scored = [set(_scores(comparison, chain)) for chains in runs for chain in chains]
    return [key for key in _keys(runs[0][0]) if all(key in each for each in scored)]


def _keys(chain: Chain) -> list[PairKey]:
    return list(edit_keys(chain.edits, hashed=any(edit.absent for edit in chain.edits)))


def _scores(comparison: CompareCheck, chain: Chain) -> dict[PairKey, float]:
    measured = chain.measured(_metric(comparison))
    pairs = zip(_keys(chain), measured.scores if measured else (), strict=False)
    return {key: score for key, score in pairs if score is not None}


def _obstacle(
    comparison: CompareCheck, sides: Sequence[Mapping[str, Sequence[Chain]]], n: int
) -> str | None:
    """Return why the chains cannot be compared; ``None`` if they can."""
    chains = {chain.name: chain for side in sides for run in side.values() for chain in run}
    if not comparison.absolute and (reason := different_matrices(chains)):
        return f"{reason}; edit the same layers, or compare with absolute: true"
    if n < LEAST_ITEMS:
        return (
            f"{n} edits have {_metric(comparison)} at every strength; needs {LEAST_ITEMS} or more"
        )
    return None


def _curve(
    comparison: CompareCheck, side: Mapping[str, Sequence[Chain]], keys: Sequence[PairKey]
) -> ShareCurve:
    """Return what a method keeps at which deviation; numbers are means over its seeds."""
    scores, amounts, steps = [], [], []
    for chains in side.values():
        moved = [final_number(each, DEVIATION, absolute=comparison.absolute) for each in chains]
        mean = sum(each or 0.0 for each in moved) / len(chains)
        if not mean:
            continue  # a strength at which nothing was written has no place on the curve
        amounts.append(mean)
        found = [_scores(comparison, chain) for chain in chains]
        scores.append([sum(each[key] for each in found) / len(found) for key in keys])
        costs = [
            dict(zip(_keys(chain), (cost.delta_norm**2 for cost in chain.per_edit), strict=True))
            for chain in chains
        ]
        steps.append([sum(each[key] for each in costs) / len(costs) for key in keys])
    return ShareCurve(scores=scores, amounts=amounts, steps=steps)


def _apart(comparison: CompareCheck, one: ShareCurve, two: ShareCurve) -> str | None:
    """Return why no share is reached by both methods on the rising parts of their curves."""
    share, names = _metric(comparison), (comparison.subject, comparison.than)
    curves = (two, one) if comparison.less else (one, two)
    for name, curve in zip(names, curves, strict=True):
        rising = len(curve.rising.amounts) if len(curve.amounts) else 0
        if rising < LEAST_STRENGTHS:
            return (
                f"{share} of {name} rises over {rising} strengths only, needs {LEAST_STRENGTHS} or "
                "more; give at_equal weaker values"
            )
    if overlap(one, two) is not None:
        return None
    first, second = (f"{min(each.rising.shares):.2g} to {max(each.shares):.2g}" for each in curves)
    return (
        f"the methods have no range of {share} of {LEAST_RANGE:g} or more in common ({names[0]} "
        f"{first}, {names[1]} {second}); give at_equal values with which they have"
    )


def _unlike(comparison: CompareCheck, found: Matched) -> str | None:
    """Return why two curves are not one curve moved sideways, so that there is no single ratio."""
    if found.alike <= _UNLIKE:
        return (
            f"{_metric(comparison)} rises in another way with each method "
            f"(p={found.alike:.2g}), so that no single ratio holds; give at_equal values at which "
            "both keep about the same"
        )
    if found.ratio is None:
        return (
            f"{_metric(comparison)} does not clearly rise with the deviation (n={found.n} edits); "
            "needs more edits, or values of at_equal that lie further apart"
        )
    return None


def _told(comparison: CompareCheck, side: Mapping[str, Sequence[Chain]], method: str) -> str:
    """Write what a method kept, and its deviation, at each strength."""
    parts = []
    for strength, chains in side.items():
        found = [_scores(comparison, chain).values() for chain in chains]
        shares = [sum(each) / len(each) for each in found if each]
        share = f"{sum(shares) / len(shares):.2f}" if shares else "-"
        moved = [final_number(each, DEVIATION, absolute=comparison.absolute) for each in chains]
        parts.append(f"{strength}: {share} at {sum(each or 0 for each in moved) / len(moved):.4g}")
    by = comparison.at_equal.by if comparison.at_equal else ""
    return f"  {method}, {_metric(comparison)} at deviation, by {by}: {'; '.join(parts)}"


def _required(comparison: CompareCheck, confidence: float) -> str:
    sign = "<" if comparison.less else ">"
    return (
        f"{comparison.subject} {sign} {comparison.than} at equal {_metric(comparison)} with "
        f"confidence {confidence:g}"
    )
