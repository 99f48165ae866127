"""A chain's record against the limits of its spec."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

from pytest_eac.judging.abilities import ability_cases, judge_ability
from pytest_eac.judging.excluded import excluded_text
from pytest_eac.judging.growth import Growth, Norm, growth
from pytest_eac.judging.growth_checks import judge_growth
from pytest_eac.judging.growth_texts import outlook
from pytest_eac.judging.hypotheses import Correction, of_measurement
from pytest_eac.judging.limits import Case, Limit, chosen, interval, verdict
from pytest_eac.judging.repeated import repeated_text
from pytest_eac.judging.suite import judged_with_corrections
from pytest_eac.records.run import Chain, Measurement, Verdict
from pytest_eac.spec.metrics import DEVIATION, described
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.spec.schema.checks import AnyBounds, Bounds, Checks, NumberBounds, Stats
from pytest_eac.spec.schema.deviation import DeviationBounds

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
        suite: how many p-values the whole run has, if they are corrected over all of it.

    Returns:
        One verdict per check, in the order of the checks. ``undecided`` means that the record holds
        nothing, or too little, that could pass or fail.
    """
    grown = cache(partial(growth, chain))  # fitted once for all that ask
    judge_one_of = partial(judge_one, chain, grown=grown)
    return judged_with_corrections(checks.named(), judge_one_of, stats, suite=suite)


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
        found = verdict(chain, name, cases_of(chain, name, bounds))
        more = outlook(bounds, grown(bounds.norm)) if found.outcome == "passed" else []
        return replace(found, message="\n".join([found.message, *more]))
    cases = cases_of(chain, name, bounds)
    found = verdict(chain, name, cases, confidence=bounds.confidence, correction=correction)
    why = excluded_text(chain, metric=name) if found.observed is None else ""
    return replace(found, message=f"{found.message}; {why}") if why else found


def cases_of(chain: Chain, name: str, bounds: AnyBounds) -> Sequence[Case]:
    """Return the numbers of a chain that a check looks at, each with its limit.

    There are none of a check of growth, nor of an ability that the unedited model has not got.
    """
    if isinstance(bounds, AbilityBounds):
        return ability_cases(chain, name, bounds)
    if isinstance(bounds, DeviationBounds):
        return _deviation_cases(chain, bounds) if name == DEVIATION else ()
    limit = Limit(low=bounds.min, high=bounds.max)
    measured = [(0, chain.known)]
    if isinstance(bounds, Bounds | NumberBounds):  # a record that this is judged on may lack it
        points = chosen(chain, bounds.at)
        measured = [(each.at, each.metrics[name]) for each in points if name in each.metrics]
    return [_case(chain, name, at, each, limit) for at, each in measured]


def _case(chain: Chain, name: str, at: int, measured: Measurement, limit: Limit) -> Case:
    last = at or None
    notes = (
        excluded_text(chain, metric=name, at=last),
        repeated_text(chain, metric=name, at=last),
    )
    return Case(
        at=at,
        value=measured.value,
        shown=_shown(
            measured,
            limit,
            chain.confidence,
            ", given this chain" if at else "",
            "; ".join(filter(None, notes)),
        ),
        limit=limit,
        more=_explain_misses(chain, measured, name),
        n=measured.n or None,
        low=measured.low,
        high=measured.high,
        claims=of_measurement(measured, limit.low, limit.high),
    )


def _shown(measured: Measurement, limit: Limit, level: float, given: str, notes: str) -> str:
    if measured.value is None:
        return "nothing to measure"
    if measured.low is None or measured.high is None:
        return limit.digits(measured.value, "g", 4)
    about = f"{interval(measured.low, measured.high, level)}{given}"
    about += f"; {notes}" if notes else ""
    return f"{limit.digits(measured.value, 'f', 3)} (n={measured.n} edits, {about})"


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
