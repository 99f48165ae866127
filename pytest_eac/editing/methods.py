"""The editors that solve for a value and write it by a formula: key, value and update, by name.

An edit is written in three parts. The *value* is what the last edited layer must say at the
subject; the *keys* are how the subject looks to each edited matrix; the *update* is the formula
that makes the one follow from the other. The methods differ in their entry of ``RECIPES`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.keys import grouped_key, mean_key, read_keys, read_outputs
from pytest_eac.editing.objective import Objective
from pytest_eac.editing.prompts import prepare
from pytest_eac.editing.solved import Solved, Work
from pytest_eac.editing.updates.alphaedit import alphaedit
from pytest_eac.editing.updates.emmet import emmet
from pytest_eac.editing.updates.memit import encore, memit, memit_prev
from pytest_eac.editing.updates.problem import Problem
from pytest_eac.editing.updates.rect import rect
from pytest_eac.editing.updates.rome import r_rome, rome
from pytest_eac.editing.value import Value, solve_value
from pytest_eac.errors import SettingsError
from pytest_eac.lm.layout import as_out_in, find_module
from pytest_eac.lm.weights import WeightDelta, apply_delta, restored
from pytest_eac.spec.methods import find_method, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.editing.prompts import EditPrompts
    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.settings import MethodSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a method puts its parts together.

    Attributes:
        rule: the formula.
        whole_layer: the value is the decoder layer's output (MEMIT), not the MLP's (ROME).
        key: how a key is averaged over contexts, (contexts, d_in) -> (d_in,).
        remembers: the rule reads the keys of earlier edits.
    """

    rule: Callable[[Problem], WeightDelta]
    whole_layer: bool = True
    key: Callable[[Tensor], Tensor] = grouped_key
    remembers: bool = False


RECIPES: dict[str, Recipe] = {
    "rome": Recipe(rule=rome, whole_layer=False, key=mean_key),
    "r-rome": Recipe(rule=r_rome, whole_layer=False, key=mean_key),
    "memit": Recipe(rule=memit),
    "memit-prev": Recipe(rule=memit_prev, remembers=True),
    "emmet": Recipe(rule=emmet),
    "rect": Recipe(rule=rect),
    "prune": Recipe(rule=memit),
    "alphaedit": Recipe(rule=alphaedit, remembers=True),
    "nas": Recipe(rule=alphaedit, remembers=True),
    "encore": Recipe(rule=encore, remembers=True),
}

# NAS: edits of the sequence that the norm is measured on, and the share of their norms that counts.
_NORM_EDITS = 16
_NORM_QUANTILE = 0.95
_NORM = "value_norm"


def edited_modules(loaded: LoadedModel, settings: MethodSettings) -> tuple[str, ...]:
    """Return the paths of the modules that a method may change.

    Raises:
        SettingsError: the method cannot edit several layers of this architecture.
    """
    declared = find_method(settings.base).modules
    if declared is not None:
        return tuple(declared(loaded, settings))
    recipe = RECIPES.get(plain_name(settings.base))
    if recipe and recipe.whole_layer and loaded.layout.normed and len(settings.layers) > 1:
        kind, layers = loaded.shape["model_type"], list(settings.layers)
        raise SettingsError(
            f"{settings.base} cannot share an edit out over layers {layers} in {kind} models: a "
            "norm stands between each matrix and the residual stream; give one layer"
        )
    return tuple(loaded.layout.down.format(layer) for layer in chosen_layers(settings))


def chosen_layers(settings: MethodSettings) -> tuple[int, ...]:
    """Return the edited layers, ascending; they must have been found before (``layers: auto``)."""
    if settings.layers == "auto":
        raise ValueError("layers: auto has not been resolved")
    return settings.layers


def locate_then_edit(
    loaded: LoadedModel, edits: tuple[Edit, ...], settings: MethodSettings, work: Work
) -> Solved:
    """Solve an update of one or more edits on the model as it is now; changes nothing.

    The residual is measured again before each layer, on the model with the layers before it
    written, and shared out over the layers still to come.

    Raises:
        EditError: an edit cannot be carried out on this model.
        NonFiniteError: a loss is NaN or infinite.

    Source: MEMIT (Meng et al. 2023), algorithm 1; for one layer and one edit it is ROME's.
    """
    recipe = RECIPES[plain_name(settings.base)]
    layers = chosen_layers(settings)
    prompts = [prepare(loaded, edit, work.contexts) for edit in edits]
    state = dict(work.state)
    if settings.value.norm == "anchored" and _NORM not in state:
        state[_NORM] = _clean_norm(loaded, settings, work, edits)
    values = tuple(
        _solve_value(loaded, each, settings, seed=_seed(work, index))
        for index, each in enumerate(prompts)
    )
    if settings.value.norm == "anchored":
        values = tuple(_rescaled(value, float(state[_NORM])) for value in values)
    target = torch.stack([value.init + value.delta for value in values], dim=1)
    residual = torch.stack([value.delta for value in values], dim=1)
    paths = [loaded.layout.down.format(layer) for layer in layers]
    deltas: list[WeightDelta] = []
    with restored(loaded.model, paths[:-1]):
        for index, path in enumerate(paths):
            if index:
                apply_delta(loaded.model, deltas[-1])
                residual = target - read_outputs(loaded, prompts, _site(loaded, settings))
            problem = _problem(loaded, prompts, settings, work, path)
            share = residual / (len(paths) - index)
            deltas.append(recipe.rule(replace(problem, residuals=share)))
            if recipe.remembers:
                state[_keys(path)] = torch.cat([problem.earlier, problem.keys], dim=1)
    return Solved(deltas=tuple(deltas), values=values, state=state)


def _keys(path: str) -> str:
    return f"keys:{path}"


def _seed(work: Work, index: int) -> int:
    """A seed of its own for each edit of a chain."""
    return work.seed * 1_000_003 + work.done + index


def _site(loaded: LoadedModel, settings: MethodSettings) -> str:
    """Return the path of the module whose output is the value.

    Where a norm follows the down-projection, that is the down-projection in every method.
    """
    layout = loaded.layout
    whole = RECIPES[plain_name(settings.base)].whole_layer and not layout.normed
    return (layout.layer if whole else layout.down).format(chosen_layers(settings)[-1])


def _solve_value(
    loaded: LoadedModel, prompts: EditPrompts, settings: MethodSettings, *, seed: int
) -> Value:
    layer = chosen_layers(settings)[-1]
    objective = Objective(loaded, prompts, layer=layer, site=_site(loaded, settings))
    return solve_value(objective, settings.value, settings.anchors, seed=seed)


def _problem(
    loaded: LoadedModel,
    prompts: list[EditPrompts],
    settings: MethodSettings,
    work: Work,
    path: str,
) -> Problem:
    """Gather what the rule needs for one matrix, but for the residuals."""
    average = RECIPES[plain_name(settings.base)].key
    module = find_module(loaded.model, path)
    keys = read_keys(loaded, prompts, path)
    columns = torch.stack([average(each) for each in keys], dim=1)
    earlier = work.state.get(_keys(path))
    weight: Tensor = module.weight  # type: ignore[assignment]
    return Problem(
        module=path,
        weight=as_out_in(weight, module).float(),
        bare_keys=torch.stack([each[0] for each in keys], dim=1),
        keys=columns,
        residuals=columns.new_empty((0, 0)),
        earlier=columns[:, :0] if earlier is None else earlier.to(columns),
        moment=work.moments.get(path),
        options=settings.update,
    )


def _clean_norm(
    loaded: LoadedModel, settings: MethodSettings, work: Work, edits: tuple[Edit, ...]
) -> Tensor:
    """Return the mean norm of values solved on the model as it is; scalar, float64.

    Called before the first edit, for the first edits of the sequence (or, outside of one, for those
    at hand). The largest twentieth of the norms is left out. Source: NAS (arXiv 2602.02543), whose
    code solves 1,000 other edits.
    """
    norms = []
    for index, edit in enumerate((work.edits or edits)[:_NORM_EDITS]):
        prompts = prepare(loaded, edit, work.contexts)
        value = _solve_value(loaded, prompts, settings, seed=_seed(work, index))
        norms.append((value.written + value.delta).norm().double())
    every = torch.stack(norms)
    return every[every <= every.quantile(_NORM_QUANTILE)].mean()


def _rescaled(value: Value, norm: float) -> Value:
    """Give what the down-projection is to write the norm ``norm``; the rest of the layer stays."""
    solved = value.written + value.delta
    return replace(value, delta=solved * (norm / solved.norm()) - value.written)
