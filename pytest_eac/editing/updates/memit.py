"""MEMIT's update and its kin: regularised least squares over a batch of edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.updates.problem import solve_with_keys
from pytest_eac.lm.weights import WeightDelta

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.editing.updates.problem import Problem


def memit(problem: Problem) -> WeightDelta:
    """Return ``dW = R K^T (lambda C + K K^T)^-1``.

    It minimises ``||dW K - R||^2 + lambda tr(dW C dW^T)``. Source: Meng et al. 2023, equation 14.
    """
    return least_squares(problem, problem.keys)


def memit_prev(problem: Problem) -> WeightDelta:
    """Return ``dW = R K^T (lambda C + K_p K_p^T + K K^T)^-1``.

    What the matrix says to the keys of earlier edits is to stay. Source: MEMIT's sequential
    baseline in the code of AlphaEdit (arXiv 2410.02355).
    """
    return least_squares(problem, torch.cat([problem.earlier, problem.keys], dim=1))


def encore(problem: Problem) -> WeightDelta:
    """Return ``dW = R K^T (lambda C + K_p K_p^T + K K^T + lambda_n I)^-1``.

    ``lambda_n`` (option ``l2``) holds the norm of each update down. Source: Gupta et al. 2025
    (ENCORE, arXiv 2502.01636).
    """
    keys = torch.cat([problem.earlier, problem.keys], dim=1)
    return least_squares(problem, keys, identity=problem.options.l2 or 0.0)


def least_squares(problem: Problem, keys: Tensor, *, identity: float = 0.0) -> WeightDelta:
    """Return ``R K^T (lambda C + identity I + A A^T)^-1`` for keys ``A`` (d_in, m)."""
    moment, weight = problem.moment, problem.options.weight
    if weight is None:
        weight = float(len(problem.keys))
    if moment is None:
        raise ValueError("needs a second moment")

    def solve(right: Tensor) -> Tensor:
        return moment.solve(right, weight=weight, identity=identity)

    right = solve_with_keys(solve, keys.double(), problem.keys.double())
    return WeightDelta(
        module=problem.module, left=problem.residuals, right=right.to(problem.residuals.dtype)
    )
