"""What checks that fail together point to in the method's own terms, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_eac.errors import EacError
from pytest_eac.spec.methods import BUILT_IN, CONTROLS, find_method

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_eac.records.run import Chain
    from pytest_eac.spec.registry_entries import Method

# Fewer edits show no trend.
_LEAST_EDITS = 8


def diagnose(chain: Chain) -> tuple[str, ...]:
    """Say what a judged chain's failures point to.

    Only verdicts count: what no check looks at is neither held nor lost. Options are named if the
    chain's method has them.

    Returns:
        Lines, each a finding with what to change; empty where the failures show no pattern.
    """
    return tuple(_findings(chain))


def _findings(chain: Chain) -> Iterator[str]:
    if chain.hyperparameters.get("base", chain.method) in CONTROLS:
        return  # it makes no edits, so that none can fail to take
    outcomes = {verdict.check: verdict.outcome for verdict in chain.verdicts}
    lost = [check for check, outcome in outcomes.items() if outcome == "failed"]
    abilities = [check for check in lost if check in chain.abilities]
    around = [check for check in lost if check == "locality"] + abilities
    taken, kept = outcomes.get("efficacy"), outcomes.get("retention")
    settings, method = chain.hyperparameters, _method(chain)
    if around and taken == "failed":
        yield _line(
            f"{_listed(around)} and the edits themselves are lost: the wrong layer, or steps too "
            "large",
            [
                *_if(_has_layers(method), "layers: auto, or see pytest-eac locate"),
                *_step_size(settings, method),
            ],
        )
    elif around and "failed" not in (taken, kept) and "passed" in (taken, kept):
        yield _line(
            f"{_listed(around)} lost while the edits hold: too little holds them back",
            _more_constraint(chain, settings, method),
        )
    elif taken == "failed":
        cause = "anchors too few or the net too strong" if settings.get("anchors") else "too weak"
        yield _line(f"edits do not take: {cause}", _less_constraint(settings, method))
    if kept == "failed" and taken == "passed":
        more = f", and with them {_listed(around)}" if around else ""
        yield _line(
            f"edits take but are lost later on{more}: edits overwrite each other",
            _less_interference(method),
        )
    if "failed" in (taken, kept):
        yield from _searches_cut_short(chain, settings)
    if abilities and _faster_than_linear(chain):
        yield _line(
            f"deviation grows faster than the number of edits while abilities are lost "
            f"({_listed(abilities)}): "
            "each edit is larger than the last",
            [
                *_if(_takes(method), "value.norm: anchored"),
                *_down(settings, method, "value.clamp"),
            ],
        )


def _method(chain: Chain) -> Method | None:
    """Return what the chain was edited by; ``None`` if its package is not on this machine."""
    try:
        return find_method(chain.hyperparameters.get("base", chain.method))
    except (KeyError, EacError):
        return None


def _more_constraint(chain: Chain, settings: Any, method: Method | None) -> list[str]:
    fewer = [*_down(settings, method, "anchors.ratio"), *_up(settings, method, "anchors.l1")]
    eac = f"{chain.hyperparameters.get('base', chain.method)}-eac"
    can = method is not None and method.covariance and settings.get("covariance") is None
    return [
        *_down(settings, method, "value.clamp"),
        *_up(settings, method, "value.weight_decay"),
        *(fewer or _if(_takes(method), f"the method {eac}")),
        *_if(can, "covariance: {}"),
        *_up(settings, method, "update.weight", "update.l2"),
        *_down(settings, method, "update.radius", "update.learning_rate"),
    ]


def _less_constraint(settings: Any, method: Method | None) -> list[str]:
    return [
        *_up(settings, method, "anchors.ratio"),
        *_down(settings, method, "anchors.l1"),
        *_up(settings, method, "anchors.steps", "value.steps", "value.clamp"),
        *_down(settings, method, "update.weight", "update.l2"),
        *_up(settings, method, "update.steps", "update.radius"),
    ]


def _step_size(settings: Any, method: Method | None) -> list[str]:
    return _down(settings, method, "value.learning_rate", "value.clamp", "update.learning_rate")


def _less_interference(method: Method | None) -> list[str]:
    known = [name for name, each in BUILT_IN.items() if each.protects and not each.anchors]
    return [
        *_if(method is not None and method.many_edits, "sequence.batch up"),
        *_if(
            method is None or not method.protects,
            f"a method that protects earlier keys ({', '.join(known[:2])})",
        ),
    ]


def _searches_cut_short(chain: Chain, settings: Any) -> Iterator[str]:
    made = (
        cost
        for cost, edit in zip(chain.per_edit, chain.edits, strict=False)
        if edit.excluded is None
    )
    searched = [cost for cost in made if cost.reached is not None]
    missed = sum(not cost.reached for cost in searched)
    if 2 * missed > len(searched):
        stage = "anchors.steps" if settings.get("anchors") else "value.steps"
        method = _method(chain)
        yield _line(
            f"{missed} of {len(searched)} searches for a value never reached their stopping point",
            _up(settings, method, stage, "value.learning_rate", "value.clamp"),
        )


def _faster_than_linear(chain: Chain) -> bool:
    """Whether the second half of the edits has moved the weights further than the first."""
    deviations = [cost.deviation.l1 for cost in chain.per_edit]
    half = len(deviations) // 2
    return len(deviations) >= _LEAST_EDITS and deviations[2 * half - 1] > 2 * deviations[half - 1]


def _takes(method: Method | None) -> bool:
    return method is not None and method.takes_value


def _has_layers(method: Method | None) -> bool:
    return method is not None and (
        method.takes_value or "learning_rate" in method.update.model_fields
    )


def _up(settings: Any, method: Method | None, *paths: str) -> list[str]:
    return _moved(settings, method, paths, "up")


def _down(settings: Any, method: Method | None, *paths: str) -> list[str]:
    return _moved(settings, method, paths, "down")


def _moved(settings: Any, method: Method | None, paths: Sequence[str], way: str) -> list[str]:
    """Return the options that the method has, each with the value that it had and where to go."""
    found = []
    for path in paths:
        group, name = path.split(".")
        there = {
            "value": _takes(method),
            "anchors": bool(settings.get("anchors")),
            "update": method is not None and name in method.update.model_fields,
        }[group]
        now = (settings.get(group) or {}).get(name)
        if there:
            is_number = isinstance(now, int | float) and not isinstance(now, bool)
            found.append(f"{path} {way}" + (f" (now {now:g})" if is_number else ""))
    return found


def _if(condition: bool, change: str) -> list[str]:
    return [change] if condition else []


def _line(finding: str, changes: Sequence[str]) -> str:
    return f"{finding}. To change: {'; '.join(changes)}" if changes else f"{finding}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
