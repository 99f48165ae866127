"""What is left of a model's abilities against the limits of a spec."""

from dataclasses import dataclass

from pytest_eac.judging.hypotheses import Correction, of_ability
from pytest_eac.judging.limits import Case, Limit, chosen, interval, undecided, verdict
from pytest_eac.records.run import Ability, Chain, Verdict
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.stats.paired import is_above

_STRANGE = 10.0
"""Texts with this many times the perplexity of the unedited model's own are no language any more.
Edits that leave the model whole make it 1.0 to 1.1 times (docs/abilities.md)."""


def judge_ability(
    chain: Chain, name: str, bounds: AbilityBounds, correction: Correction | None = None
) -> Verdict:
    """Judge an ability; one that the unedited model has not got can neither be kept nor lost."""
    required = " and ".join(str(limit) for limit in _limits(name, bounds).values())
    base = chain.abilities.get(name)
    if base is None:
        return undecided(name, f"{name}: undecided: not measured in this run", required)
    if not _signal(base, bounds.confidence):
        reason = _no_signal(base, bounds.confidence or 0.95)
        return undecided(name, f"{name} of {chain.name}: {reason}", required)
    cases = ability_cases(chain, name, bounds)
    return verdict(chain, name, cases, confidence=bounds.confidence, correction=correction)


def ability_cases(chain: Chain, name: str, bounds: AbilityBounds) -> list[Case]:
    """Return the numbers of an ability that have a limit; none where there is nothing to keep."""
    limits, base = _limits(name, bounds), chain.abilities.get(name)
    cases: list[Case] = []
    if base is None or not _signal(base, bounds.confidence):
        return cases
    for point in chosen(chain, bounds.at):
        if name not in point.abilities:
            continue
        edited = point.abilities[name]
        for kind, limit in limits.items():
            number = _number(edited, base, kind)
            if kind == "strange" and (number.value is None or limit.allows(number.value)):
                continue  # texts that keep this limit are no news beside the other limits
            bound = limit.high if kind == "loss" else limit.low
            case = Case(
                at=point.at,
                value=number.value,
                shown=_shown(edited, number, kind, limit, chain.confidence),
                limit=limit,
                more=(_numbers(edited, chain.confidence),),
                n=base.n,
                low=number.low,
                high=number.high,
                claims=of_ability(base, edited, kind, bound or 0.0),
                unit="items",
            )
            cases.append(case)
    return cases


def _limits(name: str, bounds: AbilityBounds) -> dict[str, Limit]:
    wanted = {
        "kept": Limit(low=bounds.keep, high=None, unit=" kept"),
        "value": Limit(low=bounds.min, high=None),
        "margin": Limit(low=bounds.above_chance, high=None, unit=" of the margin above chance"),
        "loss": Limit(low=None, high=bounds.loses_at_most, unit=" lost"),
    }
    limits = {
        kind: limit for kind, limit in wanted.items() if (limit.low, limit.high) != (None,) * 2
    }
    if name == "generation":  # nonsense is as varied as sense
        limits["strange"] = Limit(low=None, high=bounds.max_perplexity or _STRANGE)
    return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class _AbilityNumber:
    """A number of an ability that has a limit, with its interval where it has one."""

    value: float | None
    low: float | None = None
    high: float | None = None


def _number(edited: Ability, base: Ability, kind: str) -> _AbilityNumber:
    if kind == "value":
        return _AbilityNumber(value=edited.value, low=edited.low, high=edited.high)
    if kind == "kept":
        return _AbilityNumber(value=edited.kept, low=edited.kept_low, high=edited.kept_high)
    if kind == "loss":
        return _AbilityNumber(value=edited.base - edited.value)
    if kind == "margin":
        room = edited.base - edited.floor
        return _AbilityNumber(value=(edited.value - edited.floor) / room if room else None)
    after, before = (each.about.get("perplexity_unedited") for each in (edited, base))
    return _AbilityNumber(value=after / before if after is not None and before else None)


def _shown(edited: Ability, number: _AbilityNumber, kind: str, limit: Limit, level: float) -> str:
    value = number.value
    if value is None:
        return "nothing to compare with"
    shown, n = interval(number.low, number.high, level), f"n={edited.n} items"
    if kind == "value":
        return f"{limit.digits(value, 'f', 3)} ({shown}, {n})"
    if kind == "kept":
        return f"kept {limit.digits(value, 'f', 2)} ({shown}) of {edited.base:.4g} ({n})"
    if kind == "loss":
        return f"lost {limit.digits(value, 'f', 3)} of {edited.base:.4g} ({n})"
    if kind == "margin":
        above = f"{edited.base - edited.floor:.3f} above chance"
        return f"kept {limit.digits(value, 'f', 2)} of {above} ({n})"
    times = limit.digits(value, "g", 4)
    return f"perplexity of the texts by the unedited model {times} times that of its own"


def _signal(base: Ability, confidence: float | None) -> bool:
    """Say whether the base is above what guessing makes, at the confidence asked."""
    if confidence is None or (base.chance is None and base.majority is None):
        return base.signal
    return is_above(base.scores, base.floor, confidence=confidence)


def _no_signal(base: Ability, level: float) -> str:
    return (
        f"no signal: the unedited model scores {base.value:.3f} (n={base.n} items), not above "
        f"{_levels(base)} at {100 * level:g}%, so there is nothing to keep; take more "
        "items or examples (shots), or a model that can do it"
    )


def _levels(ability: Ability) -> str:
    levels = {"chance": ability.chance, "majority": ability.majority}
    known = [f"{name} {level:.3f}" for name, level in levels.items() if level is not None]
    return " and ".join(known) or "one item right by accident"


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
