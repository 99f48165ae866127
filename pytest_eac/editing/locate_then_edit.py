"""The editors that solve for a value and write it by a formula: key, value and update, by name.

An edit is written in three parts. The *value* is what the last edited layer must say at the
subject; the *keys* are how the subject looks to each edited matrix; the *update* is the formula
that makes the one follow from the other. Methods differ in their
:class:`pytest_eac.editing.recipe.Recipe` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pytest_eac.editing.diagnostics import diagnostics_of
from pytest_eac.editing.interface import Solved, Work
from pytest_eac.editing.keys import grouped_key, read_keys, read_outputs
from pytest_eac.editing.layers import chosen_layers
from pytest_eac.editing.objective import Objective, tail_tokens
from pytest_eac.editing.problem import KeySum, Problem
from pytest_eac.editing.prompts import EditPrompts, prepare
from pytest_eac.editing.recipe import Recipe
from pytest_eac.editing.value import Value, solve_values
from pytest_eac.errors import EacError, EditError, NonFiniteError
from pytest_eac.lm.layout import as_out_in, find_module
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.weights import WeightDelta, apply_delta, restored
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.methods import find_method
from pytest_eac.spec.schema.settings import MethodSettings

# NAS: on how many edits of the sequence the norm is measured; of these many norms, the largest one
# is dropped.
_NORM_EDITS = 20
_NORM_DROPPED = 20
_NORM = "value_norm"


def locate_then_edit(
    loaded: LoadedModel,
    edits: tuple[Edit, ...],
    settings: MethodSettings,
    work: Work,
    *,
    recipe: Recipe,
) -> Solved:
    """Solve an update of one or more edits by a recipe, on the model as it is; changes nothing.

    The residual is measured again before each layer, on the model with the layers before it
    written, and shared out over the layers still to come. A filter of the recipe sees the changes
    of all layers afterwards: no layer makes up for what it takes from another.

    Raises:
        EditError: an edit cannot be carried out on this model.
        NonFiniteError: a loss is NaN or infinite.

    Source: MEMIT (Meng et al. 2023), algorithm 1; for one layer and one edit it is ROME's.
    """
    solver = _Solver(loaded, settings, work, recipe)
    prompts = _prepared(loaded, edits, work.contexts)
    state = dict(work.state)
    norm = settings.value.norm
    if norm == "anchored":
        if _NORM not in state:
            state[_NORM] = solver.clean_norm(work.edits or edits)
        norm = float(state[_NORM])
    try:
        values = solver.values(prompts, work.done)
    except NonFiniteError as error:
        if len(edits) == 1 or error.edit is None:
            raise  # the sequence names it
        raise _about(edits[error.edit], error) from error
    if norm != "free":
        values = [_rescaled(value, norm) for value in values]
    target = torch.stack([value.init + value.delta for value in values], dim=1)
    residual = torch.stack([value.delta for value in values], dim=1)
    paths = [loaded.layout.down.format(layer) for layer in chosen_layers(settings)]
    protects = find_method(settings.base).protects
    deltas: list[WeightDelta] = []
    problems: list[Problem] = []
    with restored(loaded.model, paths[:-1]):
        for index, path in enumerate(paths):
            if index:
                apply_delta(loaded.model, deltas[-1])
                residual = target - read_outputs(loaded, prompts, solver.site)
            problem = solver.problem(prompts, path, residual / (len(paths) - index))
            problems.append(problem)
            deltas.append(recipe.rule(problem))
            if protects:
                state[_keys(path)] = torch.cat([problem.earlier, problem.keys], dim=1)
    if recipe.filter is not None:
        deltas = [
            problem.delta(recipe.filter(delta.dense, problem.weight, problem.options))
            for delta, problem in zip(deltas, problems, strict=True)
        ]
    diagnostics = diagnostics_of(problems, values)
    return Solved(deltas=tuple(deltas), values=tuple(values), state=state, diagnostics=diagnostics)


def _prepared(
    loaded: LoadedModel, edits: tuple[Edit, ...], contexts: tuple[str, ...]
) -> list[EditPrompts]:
    prompts = []
    for edit in edits:
        try:
            prompts.append(prepare(loaded, edit, contexts))
        except EditError as error:
            if len(edits) == 1:
                raise
            raise _about(edit, error) from error
    return prompts


def _about(edit: Edit, error: EacError) -> EacError:
    """Say which edit of an update an error is about."""
    return type(error)(f"{edit.subject} ({edit.origin}): {error}")


def _keys(path: str) -> str:
    return f"keys:{path}"


@dataclass(frozen=True, slots=True)
class _Solver:
    """One update under way: a method's settings on a model, at a point of a sequence."""

    loaded: LoadedModel
    settings: MethodSettings
    work: Work
    recipe: Recipe

    @property
    def site(self) -> str:
        """Path of the module whose output is the value.

        Where a norm follows the down-projection, that is the down-projection in every method.
        """
        layout = self.loaded.layout
        whole = self.recipe.whole_layer and not layout.normed
        return (layout.layer if whole else layout.down).format(chosen_layers(self.settings)[-1])

    def values(self, prompts: Sequence[EditPrompts], first: int) -> list[Value]:
        """Solve for the values of edits, the first of which is number ``first`` of the sequence.

        As many share a forward pass as the memory that one of them was seen to take allows.

        Raises:
            NonFiniteError: a loss is NaN or infinite; its ``edit`` is the index in ``prompts``.
        """
        values: dict[int, Value] = {}
        for chunk in self._chunks(prompts):
            try:
                solved = solve_values(  # the objective is large: nothing else holds it
                    self.objective([prompts[index] for index in chunk]),
                    self.settings.value,
                    self.settings.anchors,
                    seeds=[self.work.seed * 1_000_003 + first + index for index in chunk],
                )
            except NonFiniteError as error:
                edit = None if error.edit is None else chunk[error.edit]
                raise NonFiniteError(str(error), edit=edit) from error
            placed = (replace(value, site=self.site) for value in solved)
            values.update(zip(chunk, placed, strict=True))
        return [values[index] for index in range(len(prompts))]

    def objective(self, prompts: Sequence[EditPrompts]) -> Objective:
        """Prepare the forward pass of some edits."""
        layer = chosen_layers(self.settings)[-1]
        return Objective(self.loaded, prompts, layer=layer, site=self.site)

    def _chunks(self, prompts: Sequence[EditPrompts]) -> list[list[int]]:
        """Share edits out, those of one width together, so that each chunk fits into memory."""
        order = sorted(range(len(prompts)), key=lambda index: tail_tokens(prompts[index]))
        if len(order) == 1:
            return [order]
        ends = [prompts[order[0]], prompts[order[-1]]]
        (few, many), (least, most) = zip(
            *((tail_tokens(end), self.objective([end]).saved_bytes()) for end in ends), strict=True
        )
        more = (most - least) / max(many - few, 1)  # bytes, for a token more
        chunks: list[list[int]] = [[]]
        for index in order:
            each = least + more * (tail_tokens(prompts[index]) - few)
            if chunks[-1] and (len(chunks[-1]) + 1) * each > self.loaded.spare_bytes:
                chunks.append([])
            chunks[-1].append(index)
        return chunks

    def clean_norm(self, edits: tuple[Edit, ...]) -> Tensor:
        """Return the mean norm of values solved on the model as it is; scalar, float64.

        Called before the first edit, for the first edits of the sequence, after their bare prompts.
        The largest twentieth of the norms is left out. Source: NAS (arXiv 2602.02543), whose code
        solves 1,000 other edits.
        """
        prompts = _prepared(self.loaded, edits[:_NORM_EDITS], ("{}",))
        values = self.values(prompts, 0)
        norms = [(value.written + value.delta).norm().double() for value in values]
        every = torch.stack(norms).sort().values
        return every[: len(every) - len(every) // _NORM_DROPPED].mean()

    def problem(self, prompts: list[EditPrompts], path: str, residuals: Tensor) -> Problem:
        """Gather what the rule needs for one matrix."""
        module = find_module(self.loaded.model, path)
        weight: Tensor = module.weight  # type: ignore[assignment]
        keys = read_keys(self.loaded, prompts, path)
        average = self.recipe.key or grouped_key
        columns = torch.stack([average(each) for each in keys], dim=1)
        earlier = self.work.state.get(_keys(path), columns[:, :0]).to(columns)
        total = None
        if earlier.shape[1] > len(earlier):
            total = self.work.kept.setdefault(_keys(path), KeySum()).of(earlier)
        return Problem(
            module=path,
            weight=as_out_in(weight, module).float(),
            bare_keys=torch.stack([each[0] for each in keys], dim=1),
            keys=columns,
            residuals=residuals,
            earlier=earlier,
            earlier_sum=total,
            moment=self.work.moments.get(path),
            options=self.settings.update,
        )


def _rescaled(value: Value, norm: float) -> Value:
    """Give what the down-projection is to write the norm ``norm``; the rest of the layer stays.

    With anchors, only they are rescaled; where no factor of theirs gives that norm (the other
    dimensions are longer than it already), the value is left as it is.
    """
    moved = torch.ones_like(value.delta, dtype=torch.bool)
    if value.anchors is not None:
        moved = torch.zeros_like(moved)
        moved[list(value.anchors)] = True
    solved = value.written + value.delta
    squares = solved.square()
    left = norm**2 - float(squares[~moved].sum())
    if left <= 0 or not bool(squares[moved].any()):
        return value
    factor = (left / float(squares[moved].sum())) ** 0.5
    return replace(value, delta=torch.where(moved, solved * factor - value.written, value.delta))
