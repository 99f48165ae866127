"""Fine-tuning of the down-projections by a pair of low-rank factors, ``W += left @ right.T``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from pytest_eac import Solved, TargetLoss, WeightDelta, as_out_in, edited_modules, find_module

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac import Edit, LoadedModel, MethodSettings, Work

# The search stops once the targets' mean NLL is below this.
STOP_LOSS = 0.05


def low_rank_fine_tune(
    model: LoadedModel, edits: tuple[Edit, ...], settings: MethodSettings, work: Work
) -> Solved:
    """Minimise the targets' NLL over ``left`` and ``right`` by Adam; changes nothing.

    As in LoRA (Hu et al. 2021, arXiv 2106.09685) ``left`` starts at zero and ``right`` at random:
    the first step starts from the model as it is.
    """
    options = settings.options
    chance = torch.Generator().manual_seed(1000 * work.seed + work.done)
    pairs = {
        path: _start(model, path, options.rank, chance) for path in edited_modules(model, settings)
    }
    factors = [factor for pair in pairs.values() for factor in pair]
    optimizer = torch.optim.Adam(factors, lr=options.learning_rate)
    loss_of = TargetLoss(model, edits)
    losses: list[float] = []
    for _ in range(options.steps):
        loss = loss_of({f"{path}.weight": _changed(model, path, *pairs[path]) for path in pairs})
        losses.append(float(loss.detach()))
        if losses[-1] < STOP_LOSS:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    deltas = tuple(
        WeightDelta(module=path, left=left.detach(), right=right.detach())
        for path, (left, right) in pairs.items()
    )
    return Solved(deltas=deltas, losses=tuple(losses))


def _start(
    model: LoadedModel, path: str, rank: int, chance: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return ``left`` (d_out, rank), zero, and ``right`` (d_in, rank), random."""
    module: Any = find_module(model.model, path)
    d_out, d_in = as_out_in(module.weight, module).shape
    left = torch.zeros(d_out, rank, device=model.device)
    right = torch.randn(d_in, rank, generator=chance).to(model.device) / math.sqrt(d_in)
    return left.requires_grad_(), right.requires_grad_()


def _changed(model: LoadedModel, path: str, left: Tensor, right: Tensor) -> Tensor:
    """Return a module's changed weight, in the module's own orientation and dtype."""
    module: Any = find_module(model.model, path)
    change = as_out_in(left @ right.T, module)
    changed: Tensor = (module.weight.float() + change).to(module.weight.dtype)
    return changed
