"""PRUNE: restrain the singular values of the whole change since the first edit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pytest_eac.editing.recipe import Recipe
from pytest_eac.editing.updates.memit import MemitOptions, memit
from pytest_eac.spec.registry_entries import Method

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.editing.interface import Solved, Work
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.settings import MethodSettings


class PruneOptions(MemitOptions):
    """Options of PRUNE on MEMIT's update."""

    log_base: Annotated[float, Field(gt=1, allow_inf_nan=False)] = Field(
        math.e, description="Base of the logarithm that restrains singular values"
    )


def prune(
    loaded: LoadedModel, edits: tuple[Edit, ...], settings: MethodSettings, work: Work
) -> Solved:
    """Edit by MEMIT without restraint, and return what brings the model to the restrained sum.

    The published method edits freely and restrains ``W_n - W_0`` once, at the end. A sequence that
    is measured on its way must be at its end at every point: the free sum is kept in the state,
    edits are solved on it, and the model is given its restrained form.

    Source: Ma et al. 2024 (arXiv 2405.16821), equation 5.
    """
    import torch

    from pytest_eac.editing.layers import edited_modules
    from pytest_eac.editing.locate_then_edit import locate_then_edit
    from pytest_eac.lm.layout import as_out_in, find_module
    from pytest_eac.lm.weights import WeightDelta, apply_delta, restored

    modules = {path: find_module(loaded.model, path) for path in edited_modules(loaded, settings)}
    weights: dict[str, Tensor] = {path: each.weight for path, each in modules.items()}  # type: ignore[misc]
    originals = {path: work.originals.get(path, weights[path]).clone() for path in modules}

    def change(path: str) -> Tensor:
        """Return how far a weight is from its original, (d_out, d_in)."""
        moved = weights[path].float() - originals[path].float()
        return as_out_in(moved, modules[path]).clone()

    with restored(loaded.model, originals):
        for path, module in modules.items():
            if (free := work.state.get(f"free:{path}")) is not None:
                with torch.no_grad():
                    original = as_out_in(originals[path], module).float()
                    as_out_in(weights[path], module).copy_(original + free)
        solved = locate_then_edit(loaded, edits, settings, work, recipe=Recipe(rule=memit))
        for delta in solved.deltas:
            apply_delta(loaded.model, delta)
        wanted = {path: change(path) for path in modules}
    deltas = []
    for path, free in wanted.items():
        original = as_out_in(originals[path], modules[path]).float()
        restrained = restrain(free, original, settings.update.log_base)
        deltas.append(WeightDelta(module=path, left=restrained - change(path)))
    state = {**solved.state, **{f"free:{path}": free for path, free in wanted.items()}}
    return replace(solved, deltas=tuple(deltas), state=state)


def restrain(change: Tensor, original: Tensor, base: float) -> Tensor:
    """Return ``change`` with every singular value ``s`` above ``m`` lowered.

    ``s`` becomes ``log_a(s) - log_a(m) + m``, where ``m`` is the largest singular value of
    ``original`` (both (d_out, d_in)) and ``a`` is ``base``. The logarithm is of slope ``1 / (m ln
    a)``: with small matrices it may lie above ``s``; it then stays ``s``.
    """
    import torch

    most = float(torch.linalg.matrix_norm(original.double(), ord=2))
    left, values, right = torch.linalg.svd(change.double(), full_matrices=False)
    lowered = (values / most).clamp_min(1).log() / math.log(base) + most
    values = torch.where(values > most, torch.minimum(lowered, values), values)
    restrained: Tensor = left * values @ right
    return restrained.to(change.dtype)


PRUNE = Method(
    solve="pytest_eac.editing.filters.prune:prune",
    source="Ma et al. 2024, arXiv 2405.16821",
    takes_value=True,
    covariance=True,
    update=PruneOptions,
)
