"""A chain's record against the limits of its spec."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from pytest_eac.judging.abilities import judge_ability
from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.growth import growth
from pytest_eac.judging.growth_checks import judge_growth, outlook
from pytest_eac.judging.hypotheses import Correction, of_measurement
from pytest_eac.judging.limits import Case, Limit, chosen, interval, verdict
from pytest_eac.judging.suite import confident_checks
from pytest_eac.spec.metrics import DEVIATION, described
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.spec.schema.checks import AnyBounds, Bounds, Checks, NumberBounds, Stats
from pytest_eac.spec.schema.deviation import DeviationBounds
from pytest_eac.stats.correction import adjust

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_eac.judging.growth import Growth, Norm
    from pytest_eac.records.run import Chain, Measurement, Verdict

_SHOWN_MISSES = 5


def judge(
    chain: Chain, checks: Checks, stats: Stats | None = None, *, suite: int = 0
) -> tuple[Verdict, ...]:
    """Judge a recorded chain; needs no model.

    Checks with a confidence are judged by themselves first, for their p-values, and then again
    with these corrected.

    Args:
        chain: what was measured.
        checks: what must hold.
        stats: how p-values are corrected; by default as in a spec that does not say.
        suite: how many p-values the whole run has, if they are corrected over all of it: those of
            this chain then get a share of the level, as large as theirs of the p-values, and Holm's
            correction within it (Bonferroni's among chains, which run apart).

    Returns:
        One verdict per check, in the order of the checks. ``undecided`` means that the record holds
        nothing, or too little, that could pass or fail.
    """
    method = "holm" if suite else (stats or Stats()).correction
    grown = cache(partial(growth, chain))  # fitted once for all that ask
    alone = {name: judge_one(chain, name, bounds, grown=grown) for name, bounds in checks.named()}
    p_values = {name: each.p for name, each in alone.items() if each.p is not None}
    found = zip(p_values, adjust(list(p_values.values()), method), strict=True)
    share = suite / len(confident_checks(checks)) if suite else 1.0
    over = suite or len(p_values)
    for name, each in found:
        p, factor = min(1.0, each.p * share), each.factor * share
        correction = Correction(method=method, over=over, p=p, factor=factor)
        alone[name] = judge_one(chain, name, checks[name], correction, grown)
    return tuple(alone.values())


def judge_one(
    chain: Chain,
    name: str,
    bounds: AnyBounds,
    correction: Correction | None = None,
    grown: Callable[[Norm], Growth] | None = None,
) -> Verdict:
    """Judge one check of a chain.

    Args:
        chain: what was measured.
        name: the check.
        bounds: what must hold.
        correction: of its p-value, for the chain's other checks; by default there are none.
        grown: how the chain's deviation grows, in a norm; by default it is found out.
    """
    if isinstance(bounds, AbilityBounds):
        return judge_ability(chain, name, bounds, correction)
    if isinstance(bounds, DeviationBounds):
        grown = grown or partial(growth, chain)
        if bounds.growth is not None and name != DEVIATION:
            return judge_growth(chain, name, bounds.growth, grown(bounds.norm), correction)
        found = verdict(chain, name, _deviation_cases(chain, bounds))
        more = outlook(bounds, grown(bounds.norm)) if found.outcome == "passed" else []
        return replace(found, message="\n".join([found.message, *more]))
    limit = Limit(low=bounds.min, high=bounds.max)
    if not isinstance(bounds, Bounds | NumberBounds):
        cases = [_case(chain, name, 0, chain.known, limit)]
        return _judged(chain, name, cases, bounds.confidence, correction)
    cases = []
    for checkpoint in chosen(chain, bounds.at):
        if name in checkpoint.metrics:  # a record that this is judged on may lack it
            cases.append(_case(chain, name, checkpoint.at, checkpoint.metrics[name], limit))
    return _judged(chain, name, cases, bounds.confidence, correction)


def _judged(
    chain: Chain,
    name: str,
    cases: Sequence[Case],
    confidence: float | None,
    correction: Correction | None,
) -> Verdict:
    """Reach a verdict; where no edit counts, the message says why."""
    found = verdict(chain, name, cases, confidence=confidence, correction=correction)
    more = excluded_text(chain, metric=name)
    if not more or found.observed is not None:
        return found
    return replace(found, message=f"{found.message}; {more}")


def _case(chain: Chain, name: str, at: int, measured: Measurement, limit: Limit) -> Case:
    return Case(
        at=at,
        value=measured.value,
        shown=_shown(
            measured,
            limit,
            chain.confidence,
            excluded_text(chain, metric=name, at=at or None),
        ),
        limit=limit,
        more=_explain_misses(chain, measured, name),
        n=measured.n or None,
        low=measured.low,
        high=measured.high,
        claims=of_measurement(measured, limit.low, limit.high),
    )


def _shown(measured: Measurement, limit: Limit, level: float, excluded: str) -> str:
    if measured.value is None:
        return "nothing to measure"
    if measured.low is None or measured.high is None:
        return limit.digits(measured.value, "g", 4)
    return (
        f"{limit.digits(measured.value, 'f', 3)} (n={measured.n} edits, "
        f"{interval(measured.low, measured.high, level)}{f'; {excluded}' if excluded else ''})"
    )


def _deviation_cases(chain: Chain, bounds: DeviationBounds) -> list[Case]:
    relative = Limit(
        low=bounds.min_relative, high=bounds.max_relative, unit=f" of ||W_0|| ({bounds.norm})"
    )
    absolute = Limit(low=bounds.min, high=bounds.max, unit=f" ({bounds.norm})")
    cases: list[Case] = []
    for checkpoint in chosen(chain, bounds.at):
        for limit, field in ((relative, f"{bounds.norm}_relative"), (absolute, bounds.norm)):
            if limit.low is not None or limit.high is not None:
                value = float(getattr(checkpoint.deviation, field))
                shown = limit.digits(value, "g", 4)
                cases.append(Case(at=checkpoint.at, value=value, shown=shown, limit=limit))
    return cases


def _explain_misses(chain: Chain, measurement: Measurement, name: str) -> list[str]:
    wanted = described(name).against
    lines = []
    for miss in measurement.misses[:_SHOWN_MISSES]:
        edit = chain.edits[miss.edit]
        prompt, expected = edit.asked(miss)
        lines.append(
            f"  edit {miss.edit + 1} ({edit.origin}): {prompt!r} -> {miss.got!r}, "
            f"{wanted} {expected!r}"
        )
    more = len(measurement.misses) - _SHOWN_MISSES
    return [*lines, f"  and {more} more"] if more > 0 else lines
