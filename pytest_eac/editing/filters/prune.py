"""PRUNE: restrain the singular values of the whole change since the first edit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.interface import Solved, Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.recipes import locate_then_edit
from pytest_eac.lm.layout import as_out_in, find_module
from pytest_eac.lm.weights import WeightDelta, apply_delta, restored

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.settings import MethodSettings


def prune(
    loaded: LoadedModel, edits: tuple[Edit, ...], settings: MethodSettings, work: Work
) -> Solved:
    """Edit by MEMIT without restraint, and return what brings the model to the restrained sum.

    The published method edits freely and restrains ``W_n - W_0`` once, at the end. A sequence that
    is measured on its way must be at its end at every point: the free sum is kept in the state,
    edits are solved on it, and the model is given its restrained form.

    Source: Ma et al. 2024 (arXiv 2405.16821), equation 5.
    """
    originals = {
        path: work.originals.get(path, _weight(loaded, path)).clone()
        for path in edited_modules(loaded, settings)
    }
    with restored(loaded.model, originals):
        for path, original in originals.items():
            if (change := work.state.get(_free(path))) is not None:
                _set(loaded, path, original, change)
        solved = locate_then_edit(loaded, edits, settings, work)
        for delta in solved.deltas:
            apply_delta(loaded.model, delta)
        free = {path: _change(loaded, path, original) for path, original in originals.items()}
    deltas = []
    for path, change in free.items():
        original = as_out_in(originals[path], find_module(loaded.model, path)).float()
        wanted = restrain(change, original, settings.update.log_base or math.e)
        now = _change(loaded, path, originals[path])
        deltas.append(WeightDelta(module=path, left=wanted - now))
    state = {**solved.state, **{_free(path): change for path, change in free.items()}}
    return Solved(deltas=tuple(deltas), values=solved.values, state=state)


def restrain(change: Tensor, original: Tensor, base: float) -> Tensor:
    """Return ``change`` with every singular value ``s`` above ``m`` lowered.

    ``s`` becomes ``log_a(s) - log_a(m) + m``, where ``m`` is the largest singular value of
    ``original`` (both (d_out, d_in)) and ``a`` is ``base``. The logarithm is of slope ``1 / (m ln
    a)``: with small matrices it may lie above ``s``; it then stays ``s``.
    """
    most = float(torch.linalg.matrix_norm(original.double(), ord=2))
    left, values, right = torch.linalg.svd(change.double(), full_matrices=False)
    lowered = (values / most).clamp_min(1).log() / math.log(base) + most
    values = torch.where(values > most, torch.minimum(lowered, values), values)
    restrained: Tensor = left * values @ right
    return restrained.to(change.dtype)


def _free(path: str) -> str:
    return f"free:{path}"


def _weight(loaded: LoadedModel, path: str) -> Tensor:
    weight: Tensor = find_module(loaded.model, path).weight  # type: ignore[assignment]
    return weight


def _change(loaded: LoadedModel, path: str, original: Tensor) -> Tensor:
    """Return how far a weight is from its original, (d_out, d_in)."""
    change = _weight(loaded, path).float() - original.float()
    return as_out_in(change, find_module(loaded.model, path)).clone()


@torch.no_grad()
def _set(loaded: LoadedModel, path: str, original: Tensor, change: Tensor) -> None:
    module = find_module(loaded.model, path)
    rows = as_out_in(_weight(loaded, path), module)
    rows.copy_(as_out_in(original, module).float() + change)
