"""AlphaEdit's update: write only where the model's other keys have (almost) no share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.updates.problem import solve_with_keys
from pytest_eac.lm.weights import WeightDelta

if TYPE_CHECKING:
    from pytest_eac.editing.updates.problem import Problem


def alphaedit(problem: Problem) -> WeightDelta:
    """Return ``dW`` with ``dW^T = (P (K K^T + K_p K_p^T) + l2 I)^-1 P K R^T``.

    ``P`` projects on the eigenvectors of ``C`` whose eigenvalue is below ``threshold``. Since ``P``
    is a projection, this is ``P (A' A'^T + l2 I)^-1 A'_new R^T`` with ``A' = P [K_p K]``.

    Raises:
        EditError: no direction, or every direction, is below the threshold.

    Source: Fang et al. 2024 (AlphaEdit, arXiv 2410.02355), equation 10.
    """
    moment, options = problem.moment, problem.options
    if moment is None or options.threshold is None or options.l2 is None:
        raise ValueError("needs a second moment, a threshold and l2")
    l2 = options.l2
    keys = moment.project(problem.keys.double(), options.threshold)
    earlier = moment.project(problem.earlier.double(), options.threshold)
    right = solve_with_keys(lambda x: x / l2, torch.cat([earlier, keys], dim=1), keys)
    return WeightDelta(
        module=problem.module, left=problem.residuals, right=right.to(problem.residuals.dtype)
    )
