"""What checks that fail together point to in the method's own terms, and what to change."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pytest_eac.errors import EacError
from pytest_eac.judging.edit_diagnostics import summarise
from pytest_eac.records.run import Chain
from pytest_eac.spec.methods import BUILT_IN, CONTROLS, find_method
from pytest_eac.spec.registry_entries import Method

# Fewer edits show no trend.
_LEAST_EDITS = 8
# Of a value's change that is missing after the write.
_MUCH = 0.5
# Of the energy of other texts' keys: where edits may write so much, nothing is a null space.
_NO_NULL_SPACE = 0.4


def diagnose(chain: Chain) -> tuple[str, ...]:
    """Say what a judged chain's failures point to.

    Only verdicts count: what no check looks at is neither held nor lost.

    Returns:
        Lines, each a finding with what to change; empty where the failures show no pattern.
    """
    return tuple(_findings(chain))


def _findings(chain: Chain) -> Iterator[str]:
    options = _MethodOptions(chain)
    if options.base in CONTROLS:
        return  # it makes no edits, so that none can fail to take
    outcomes = {verdict.check: verdict.outcome for verdict in chain.verdicts}
    lost = [check for check, outcome in outcomes.items() if outcome == "failed"]
    abilities = [check for check in lost if check in chain.abilities]
    around = [check for check in lost if check == "locality"] + abilities
    taken, kept = outcomes.get("efficacy"), outcomes.get("retention")
    if around and taken == "failed":
        yield _line(
            f"{_listed(around)} and the edits themselves are lost: the wrong layer, or steps too "
            "large",
            [
                *_if(options.has_layers, "layers: auto, or see pytest-eac locate"),
                *options.moved("value.learning_rate down", "value.clamp down"),
                *options.moved("update.learning_rate down"),
            ],
        )
    elif around and "failed" not in (taken, kept) and "passed" in (taken, kept):
        yield _line(
            f"{_listed(around)} lost while the edits hold: too little holds them back",
            _more_constraint(options),
        )
    elif taken == "failed":
        cause = "too few anchors, or too strong a penalty" if options.anchors else "too weak"
        yield _line(
            f"edits do not take effect: {cause}",
            options.moved(
                *("anchors.ratio up", "anchors.l1 down", "anchors.steps up", "value.steps up"),
                *("value.clamp up", "update.weight down", "update.l2 down", "update.energy up"),
                *("update.steps up", "update.radius up"),
            ),
        )
    if kept == "failed" and taken == "passed":
        more = f", and with them {_listed(around)}" if around else ""
        yield _line(
            f"edits take effect but are lost later on{more}: edits overwrite each other",
            _less_interference(options.method),
        )
    if taken == "failed":
        yield from _not_written(chain, options)
    if "failed" in (taken, kept):
        yield from _searches_cut_short(chain, options)
    if around:
        yield from _little_protected(chain)
    if abilities and _faster_than_linear(chain):
        yield _line(
            f"deviation grows faster than the number of edits while abilities are lost "
            f"({_listed(abilities)}): "
            "each edit is larger than the last",
            [
                *_if(options.takes_value, "value.norm: anchored"),
                *options.moved("value.clamp down"),
            ],
        )


class _MethodOptions:
    """The options that a chain's method has, and the values that they had."""

    def __init__(self, chain: Chain) -> None:
        self.base: str = chain.hyperparameters.get("base", chain.method)
        self.values: dict[str, Any] = chain.hyperparameters
        self.anchors = bool(self.values.get("anchors"))
        self.method: Method | None = None  # if its package is not on this machine
        with suppress(KeyError, EacError):
            self.method = find_method(self.base)
        self.takes_value = self.method is not None and self.method.takes_value

    @property
    def has_layers(self) -> bool:
        return self.takes_value or self._has("update", "learning_rate")

    def _has(self, group: str, name: str) -> bool:
        if group == "update":
            return self.method is not None and name in self.method.update.model_fields
        return self.anchors if group == "anchors" else self.takes_value

    def moved(self, *changes: str) -> list[str]:
        """Return those changes whose option the method has, each with the value that it had.

        Args:
            changes: such as ``value.clamp down``.
        """
        found = []
        for change in changes:
            group, name = change.split()[0].split(".")
            now = (self.values.get(group) or {}).get(name)
            if self._has(group, name):
                is_number = isinstance(now, int | float) and not isinstance(now, bool)
                found.append(change + (f" (now {now:g})" if is_number else ""))
        return found


def _more_constraint(options: _MethodOptions) -> list[str]:
    fewer = options.moved("anchors.ratio down", "anchors.l1 up")
    method = options.method
    can = method is not None and method.covariance and options.values.get("covariance") is None
    return [
        *options.moved("value.clamp down", "value.weight_decay up"),
        *(fewer or _if(options.takes_value, f"the method {options.base}-eac")),
        *_if(can, "covariance: {}"),
        *options.moved("update.weight up", "update.l2 up", "update.energy down"),
        *options.moved("update.radius down", "update.learning_rate down"),
    ]


def _less_interference(method: Method | None) -> list[str]:
    known = [name for name, each in BUILT_IN.items() if each.protects and not each.anchors]
    return [
        *_if(method is not None and method.many_edits, "sequence.batch up"),
        *_if(
            method is None or not method.protects,
            f"a method that protects earlier keys ({', '.join(known[:2])})",
        ),
    ]


def _searches_cut_short(chain: Chain, options: _MethodOptions) -> Iterator[str]:
    made = zip(chain.per_edit, chain.edits, strict=False)
    searches = [cost.reached for cost, edit in made if edit.excluded is None]
    searches = [reached for reached in searches if reached is not None]
    missed = searches.count(False)
    if 2 * missed > len(searches):
        stage = "anchors.steps" if options.anchors else "value.steps"
        yield _line(
            f"{missed} of {len(searches)} searches for a value never reached their stopping point",
            options.moved(f"{stage} up", "value.learning_rate up", "value.clamp up"),
        )


def _not_written(chain: Chain, options: _MethodOptions) -> Iterator[str]:
    found = summarise(chain)
    if found and found.missed is not None and found.missed > _MUCH:
        yield _line(
            f"values are solved but not written: in the median, {100 * found.missed:.0f}% of the "
            "change at the subject is missing after the update",
            options.moved("update.weight down", "update.l2 down", "update.energy up"),
        )


def _little_protected(chain: Chain) -> Iterator[str]:
    found = summarise(chain)
    if found and found.ranks and found.energy is not None and found.energy > _NO_NULL_SPACE:
        yield _line(
            "the projection protects little: the directions that are written to "
            f"({found.ranks[1]}) have {100 * found.energy:.0f}% of the energy of other texts' keys",
            ["update.energy in place of update.threshold, or less of it"],
        )


def _faster_than_linear(chain: Chain) -> bool:
    """Whether the second half of the edits has moved the weights further than the first."""
    deviations = [cost.deviation.l1 for cost in chain.per_edit]
    half = len(deviations) // 2
    return len(deviations) >= _LEAST_EDITS and deviations[2 * half - 1] > 2 * deviations[half - 1]


def _if(condition: bool, change: str) -> list[str]:
    return [change] if condition else []


def _line(finding: str, changes: Sequence[str]) -> str:
    return f"{finding}. To change: {'; '.join(changes)}" if changes else f"{finding}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
