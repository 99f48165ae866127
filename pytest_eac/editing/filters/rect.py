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


class RectOptions(MemitOptions):
    """Options of RECT on MEMIT's update."""

    keep: Ratio = Field(0.4, description="Share of the entries kept, largest |dW / W| first")


def rect(change: Tensor, weight: Tensor, options: RectOptions) -> Tensor:
    """Set all but the largest ``|dW / W|`` of an update to zero (option ``keep``).

    Source: Gu et al. 2024 (arXiv 2401.04700), section 5; on MEMIT, after all of its layers are
    solved, as in the code of AlphaEdit's comparison.
    """
    return keep_largest(change, weight, options.keep)


def keep_largest(change: Tensor, weight: Tensor, share: float) -> Tensor:
    """Keep the ``share`` of entries with the largest ``|change / weight|``; zero elsewhere.

    The smallest ``int((1 - share) n)`` of ``n`` entries go, but for the largest of these, as in
    the published code.
    """
    import torch

    count = min(change.numel(), change.numel() - int((1 - share) * change.numel()) + 1)
    relative = (change / (weight + 1e-8)).abs().flatten()
    kept = torch.zeros_like(relative, dtype=torch.bool)
    kept[relative.topk(count).indices] = True
    return change * kept.view_as(change)


RECT = Method(
    solve=Recipe(rule=memit, filter=rect),
    source="Gu et al. 2024, arXiv 2401.04700",
    takes_value=True,
    covariance=True,
    update=RectOptions,
)
