"""EMMET's update: ROME's constraint for a whole batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pytest_eac.lm.weights import WeightDelta

if TYPE_CHECKING:
    from pytest_eac.editing.updates.problem import Problem


def emmet(problem: Problem) -> WeightDelta:
    """Return ``dW = R (K^T C^-1 K + r I)^-1 K^T C^-1``.

    With ``r = 0`` (option ``l2``) it minimises ``tr(dW C dW^T)`` under ``dW K = R``; for one edit
    that is ROME's update. With ``r > 0`` it is MEMIT's with ``lambda = r``. Edits of a batch whose
    keys coincide share their residuals' mean. Source: Gupta et al. 2024 (EMMET, arXiv 2403.14236),
    equation 12.
    """
    keys = problem.keys.double()
    whitened = problem.whiten(keys)
    gram = keys.T @ whitened
    gram += (problem.options.l2 or 0.0) * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    inverse = torch.linalg.pinv(gram, hermitian=True, rtol=1e-9)
    right = (whitened @ inverse).to(problem.residuals.dtype)
    return WeightDelta(module=problem.module, left=problem.residuals, right=right)
