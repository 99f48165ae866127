"""EMMET's update: ROME's constraint for a whole batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pytest_eac.editing.recipe import Recipe
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.types import NonNegative, Strict

if TYPE_CHECKING:
    from pytest_eac.editing.problem import Problem
    from pytest_eac.lm.weights import WeightDelta


class EmmetOptions(Strict):
    """Options of EMMET's update."""

    l2: NonNegative = Field(0.0, description="Ridge of the keys' products")


def emmet(problem: Problem) -> WeightDelta:
    """Return ``dW = R (K^T C^-1 K + r I)^-1 K^T C^-1``.

    With ``r = 0`` (option ``l2``) it minimises ``tr(dW C dW^T)`` under ``dW K = R``; for one edit
    that is ROME's update. With ``r > 0`` it is MEMIT's with ``lambda = r``. Edits of a batch whose
    keys coincide share their residuals' mean. Source: Gupta et al. 2024 (EMMET, arXiv 2403.14236),
    equation 12.
    """
    import torch

    keys = problem.keys.double()
    whitened = problem.whiten(keys)
    gram = keys.T @ whitened
    gram += problem.options.l2 * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    inverse = torch.linalg.pinv(gram, hermitian=True, rtol=1e-9)
    return problem.delta(problem.residuals, whitened @ inverse)


EMMET = Method(
    solve=Recipe(rule=emmet),
    source="Gupta et al. 2024, arXiv 2403.14236",
    takes_value=True,
    many_layers=False,
    covariance=True,
    update=EmmetOptions,
)
