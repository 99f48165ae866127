"""RECT: keep only the entries of an update that change their weight the most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.updates.memit import memit
from pytest_eac.lm.weights import WeightDelta

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.editing.updates.problem import Problem


def rect(problem: Problem) -> WeightDelta:
    """Return MEMIT's update with all but the largest ``|dW / W|`` (option ``keep``) set to zero.

    Source: Gu et al. 2024 (arXiv 2401.04700), section 5; on MEMIT, as in AlphaEdit's comparison.
    """
    change = memit(problem).dense
    return WeightDelta(
        module=problem.module, left=keep_largest(change, problem.weight, problem.options.keep or 1)
    )


def keep_largest(change: Tensor, weight: Tensor, share: float) -> Tensor:
    """Keep the ``share`` of entries with the largest ``|change / weight|``; zero elsewhere."""
    count = max(1, int(share * change.numel()))
    relative = (change / (weight + 1e-8)).abs().flatten()
    kept = torch.zeros_like(relative, dtype=torch.bool)
    kept[relative.topk(count).indices] = True
    return change * kept.view_as(change)
