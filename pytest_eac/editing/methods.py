"""The editors: a key, a value and an update, put together by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_eac.editing.objective import Objective
from pytest_eac.editing.prompts import prepare
from pytest_eac.editing.updates.rome import rome_update
from pytest_eac.editing.value import Value, solve_value

if TYPE_CHECKING:
    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.lm.weights import WeightDelta
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.methods import MethodSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """An edit's solution: the changes to make, and the value they write."""

    deltas: tuple[WeightDelta, ...]
    value: Value


def edited_modules(loaded: LoadedModel, settings: MethodSettings) -> tuple[str, ...]:
    """Return the paths of the modules that a method changes."""
    return tuple(loaded.layout.down.format(layer) for layer in settings.layers)


def solve(
    loaded: LoadedModel, edit: Edit, settings: MethodSettings, contexts: tuple[str, ...]
) -> Solved:
    """Solve one edit on the model as it is now; changes nothing.

    ROME and ROME-EAC differ only in how the value is found: ``settings.anchors``.

    Raises:
        EditError: the edit cannot be carried out on this model.
        NonFiniteError: a loss is NaN or infinite.
    """
    (layer,) = settings.layers
    objective = Objective(loaded, prepare(loaded, edit, contexts), layer=layer)
    value = solve_value(objective, settings.value, settings.anchors)
    delta = rome_update(
        loaded.layout.down.format(layer),
        delta=value.delta,
        key=objective.key,
        mean_key=objective.mean_key,
    )
    return Solved(deltas=(delta,), value=value)
