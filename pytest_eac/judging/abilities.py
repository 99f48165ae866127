"""What is left of a model's abilities against the limits of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.judging.hypotheses import of_ability
from pytest_eac.judging.limits import Case, Limit, chosen, interval, undecided, verdict
from pytest_eac.stats.paired import is_above

if TYPE_CHECKING:
    from pytest_eac.judging.hypotheses import Correction
    from pytest_eac.records.run import Ability, Chain, Verdict
    from pytest_eac.spec.schema.abilities import AbilityBounds


_STRANGE = 10.0
"""So many times the perplexity of the unedited model's own texts are no language any more. Edits
that leave the model whole make it 1.0 to 1.1 times (docs/abilities.md)."""


def judge_ability(
    chain: Chain, name: str, bounds: AbilityBounds, correction: Correction | None = None
) -> Verdict:
    """Judge an ability; one that the unedited model has not got can neither be kept nor lost."""
    limits = _limits(name, bounds)
    required = " and ".join(str(limit) for limit in limits.values())
    base = chain.abilities.get(name)
    if base is None:
        return undecided(name, f"{name}: undecided: not measured in this run", required)
    if not _signal(base, bounds.confidence):
        reason = _no_signal(base, bounds.confidence or 0.95)
        return undecided(name, f"{name} of {chain.name}: {reason}", required)
    cases = [
        Case(
            at=point.at,
            value=_values(point.abilities[name], base)[kind],
            shown=_shown(point.abilities[name], base, kind, limit, chain.confidence),
            limit=limit,
            more=(_numbers(point.abilities[name], chain.confidence),),
            n=base.n,
            low=_ends(point.abilities[name], kind)[0],
            high=_ends(point.abilities[name], kind)[1],
            claims=of_ability(base, point.abilities[name], kind, limit.low or 0.0),
            unit="items",
        )
        for point in chosen(chain, bounds.at)
        if name in point.abilities
        for kind, limit in limits.items()
        if kind != "strange" or _is_strange(point.abilities[name], base, limit)
    ]
    return verdict(chain, name, cases, confidence=bounds.confidence, correction=correction)


def _limits(name: str, bounds: AbilityBounds) -> dict[str, Limit]:
    wanted = {
        "kept": Limit(low=bounds.keep, high=None),
        "value": Limit(low=bounds.min, high=None),
        "margin": Limit(low=bounds.above_chance, high=None),
    }
    limits = {kind: limit for kind, limit in wanted.items() if limit.low is not None}
    if name == "generation":  # nonsense is as varied as sense
        limits["strange"] = Limit(low=None, high=bounds.max_perplexity or _STRANGE)
    return limits


def _is_strange(ability: Ability, base: Ability, limit: Limit) -> bool:
    """Say whether texts miss their limit; one that they keep is no news beside the other limits."""
    value = _values(ability, base)["strange"]
    return value is not None and not limit.allows(value)


def _values(ability: Ability, base: Ability) -> dict[str, float | None]:
    room = ability.base - ability.floor
    after, before = (each.about.get("perplexity_unedited") for each in (ability, base))
    return {
        "strange": after / before if after is not None and before else None,
        "kept": ability.kept,
        "value": ability.value,
        "margin": (ability.value - ability.floor) / room if room else None,
    }


def _ends(ability: Ability, kind: str) -> tuple[float | None, float | None]:
    """Return the interval of a number; the margin above chance has none."""
    ends = {
        "value": (ability.low, ability.high),
        "kept": (ability.kept_low, ability.kept_high),
    }
    return ends.get(kind, (None, None))


def _shown(ability: Ability, base: Ability, kind: str, limit: Limit, level: float) -> str:
    value = _values(ability, base)[kind]
    if value is None:
        return "nothing to compare with"
    if kind == "value":
        told = interval(ability.low, ability.high, level)
        return f"{limit.digits(value, 'f', 3)} ({told}, n={ability.n} items)"
    if kind == "strange":
        times = limit.digits(value, "g", 4)
        return f"texts of {times} times the perplexity, by the unedited model, of its own"
    of = f"of {ability.base:.4g} (n={ability.n} items)"
    if kind == "margin":
        of = f"of {ability.base - ability.floor:.3f} above chance (n={ability.n} items)"
        return f"kept {limit.digits(value, 'f', 2)} {of}"
    told = interval(ability.kept_low, ability.kept_high, level)
    return f"kept {limit.digits(value, 'f', 2)} ({told}) {of}"


def _signal(base: Ability, confidence: float | None) -> bool:
    """Say whether the base is above what guessing makes, at the confidence asked."""
    if confidence is None or (base.chance is None and base.majority is None):
        return base.signal
    return is_above(base.scores, base.floor, confidence=confidence)


def _no_signal(base: Ability, level: float) -> str:
    return (
        f"no signal: the unedited model scores {base.value:.3f} (n={base.n} items), not above "
        f"{_levels(base)} at {100 * level:g}%, so that there is nothing to keep; take more "
        "items or examples (shots), or a model that can do it"
    )


def _levels(ability: Ability) -> str:
    levels = {"chance": ability.chance, "majority": ability.majority}
    known = [f"{name} {level:.3f}" for name, level in levels.items() if level is not None]
    return " and ".join(known) or "what a single item by accident makes"


def _numbers(ability: Ability, level: float) -> str:
    parts = [
        f"edited {ability.value:.4g} ({interval(ability.low, ability.high, level)})",
        f"unedited {ability.base:.4g}",
    ]
    if ability.chance is not None or ability.majority is not None:
        parts.append(_levels(ability))
    if ability.unparsable:
        parts.append(f"unparsable {ability.unparsable} of {ability.n}")
    parts += [f"{name} {number:.4g}" for name, number in ability.about.items()]
    return f"  {', '.join(parts)}"
