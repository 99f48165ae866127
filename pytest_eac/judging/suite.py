"""The correction of p-values for how many there are, in a chain or in a whole run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from pytest_eac.judging.hypotheses import Correction
from pytest_eac.records.run import Verdict
from pytest_eac.spec.schema.checks import AnyBounds, Checks, CompareCheck, Stats
from pytest_eac.spec.schema.deviation import DeviationBounds
from pytest_eac.spec.spec import Spec
from pytest_eac.stats.correction import adjust

V = TypeVar("V", bound=Verdict)

_CORRECTED_GROWTH = ("deviation-exponent", "deviation-slope")


def confident(checks: Iterable[tuple[str, AnyBounds]]) -> tuple[str, ...]:
    """Return those checks that have a confidence; alarms of growth are not corrected."""
    return tuple(name for name, bounds in checks if _has_p_value(name, bounds))


def _has_p_value(name: str, bounds: AnyBounds) -> bool:
    if isinstance(bounds, DeviationBounds):
        growth = bounds.growth
        return name in _CORRECTED_GROWTH and growth is not None and growth.confidence is not None
    return bounds.confidence is not None


def suite_size(specs: Sequence[Spec], *, released: bool = False) -> int:
    """Return how many p-values there can be, over all specs with ``stats: {suite: holm}``.

    It follows from the specs alone, so that every worker knows it before the first chain runs, and
    no selection of checks by ``-k`` changes a verdict.

    Args:
        specs: all that were collected.
        released: whether a released model is judged, which is one chain per spec.
    """
    return sum(_p_values(each, released=released) for each in specs if each.stats.suite == "holm")


def _p_values(spec: Spec, *, released: bool) -> int:
    checks: Checks = spec.checks
    of_chain = len(confident(checks.named()))
    if released:
        return of_chain
    of_method = len(spec.seeds) * spec.samples * of_chain
    if spec.samples > 1:
        of_method += len(confident(checks.pooled()))
    sure = (each.confidence is not None or each.at_equal is not None for each in checks.compare)
    compared = sum(sure)
    return len(spec.methods) * of_method + compared


def corrections(
    p_values: Mapping[str, float | None], stats: Stats, *, asked: int, suite: int = 0
) -> dict[str, Correction]:
    """Correct the p-values of one chain, or of one method over its sets of edits.

    Args:
        p_values: by check; a check without one is left out.
        stats: how they are corrected.
        asked: how many checks of this chain or method have a confidence.
        suite: how many checks of the whole run have one, if p-values are corrected over all of it.
            Since chains run apart, those of a chain are corrected by Holm's method at the share
            ``asked / suite`` of the level, and the shares of all chains add up to the level.
    """
    found = {name: p for name, p in p_values.items() if p is not None}
    method = stats.correction if suite == 0 else "holm"
    times = suite / max(1, asked) if suite else 1.0
    return {
        name: Correction(
            method=method,
            over=suite or len(found),
            p=min(1.0, each.p * times),
            factor=each.factor * times,
        )
        for name, each in zip(found, adjust(list(found.values()), method), strict=True)
    }


def correction_of(comparison: CompareCheck, p: float | None, suite: int) -> Correction | None:
    """Return the correction of a comparison's p-value over the whole run, if there is one."""
    if p is None or not suite or comparison.confidence is None:
        return None
    return suite_correction(p, suite)


def suite_correction(p: float, suite: int) -> Correction:
    """Return the correction of a p-value that is judged alone, over all of a run."""
    return corrections({"": p}, Stats(), asked=1, suite=suite)[""]


def judged_with_corrections(
    checks: Sequence[tuple[str, AnyBounds]],
    judge_one: Callable[[str, AnyBounds, Correction | None], V],
    stats: Stats | None,
    *,
    suite: int,
) -> tuple[V, ...]:
    """Judge checks, each by itself first for its p-value, and then again with that corrected.

    Args:
        checks: of one chain, or of one method over its sets of edits.
        judge_one: judges one of them, with the correction of its p-value.
        stats: how p-values are corrected; by default as in a spec that does not say.
        suite: how many p-values the whole run has, if they are corrected over all of it.

    Returns:
        One verdict per check, in the order of the checks.
    """
    found = {name: judge_one(name, bounds, None) for name, bounds in checks}
    p_values = {name: each.p for name, each in found.items()}
    corrected = corrections(p_values, stats or Stats(), asked=len(confident(checks)), suite=suite)
    again = {
        name: judge_one(name, bounds, corrected[name])
        for name, bounds in checks
        if name in corrected
    }
    return tuple((found | again).values())
