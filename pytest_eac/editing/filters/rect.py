"""RECT: keep only the entries of an update that change their weight the most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pytest_eac.editing.recipe import Recipe
from pytest_eac.editing.updates.memit import MemitOptions, memit
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.types import Ratio

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.editing.problem import Problem
    from pytest_eac.lm.weights import WeightDelta


class RectOptions(MemitOptions):
    """Options of RECT on MEMIT's update."""

    keep: Ratio = Field(0.4, description="Share of the entries kept, largest |dW / W| first")


def rect(problem: Problem) -> WeightDelta:
    """Return MEMIT's update with all but the largest ``|dW / W|`` (option ``keep``) set to zero.

    Source: Gu et al. 2024 (arXiv 2401.04700), section 5; on MEMIT, as in AlphaEdit's comparison.
    """
    change = memit(problem).dense
    return problem.delta(keep_largest(change, problem.weight, problem.options.keep))


def keep_largest(change: Tensor, weight: Tensor, share: float) -> Tensor:
    """Keep the ``share`` of entries with the largest ``|change / weight|``; zero elsewhere."""
    import torch

    count = max(1, int(share * change.numel()))
    relative = (change / (weight + 1e-8)).abs().flatten()
    kept = torch.zeros_like(relative, dtype=torch.bool)
    kept[relative.topk(count).indices] = True
    return change * kept.view_as(change)


RECT = Method(
    solve=Recipe(rule=rect),
    source="Gu et al. 2024, arXiv 2401.04700",
    takes_value=True,
    covariance=True,
    update=RectOptions,
)
