"""The updates of MEMIT and its family: regularised least squares over a batch of edits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from pytest_eac.editing.recipe import Recipe
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.types import Positive, Strict

if TYPE_CHECKING:
    from pytest_eac.editing.problem import Problem
    from pytest_eac.lm.weights import WeightDelta


class MemitOptions(Strict):
    """Options of MEMIT's update.

    The published weights, 15,000 to 20,000, are of the size of the default for their models.
    """

    weight: Positive | None = Field(
        None,
        description="lambda, the weight of C against the new keys; by default the number of the "
        "layer's inputs",
    )


class EncoreOptions(MemitOptions):
    """Options of ENCORE's update."""

    l2: Positive = Field(10.0, description="Weight of ||dW||^2")


def memit(problem: Problem) -> WeightDelta:
    """Return ``dW = R K^T (lambda C + K K^T)^-1``.

    It minimises ``||dW K - R||^2 + lambda tr(dW C dW^T)``. Source: Meng et al. 2023, equation 14.
    """
    return least_squares(problem)


def memit_prev(problem: Problem) -> WeightDelta:
    """Return ``dW = R K^T (lambda C + K_p K_p^T + K K^T)^-1``.

    What the matrix says to the keys of earlier edits is to stay. Source: MEMIT's sequential
    baseline in the code of AlphaEdit (arXiv 2410.02355).
    """
    return least_squares(problem, protects=True)


def encore(problem: Problem) -> WeightDelta:
    """Return ``dW = R K^T (lambda C + K_p K_p^T + K K^T + lambda_n I)^-1``.

    ``lambda_n`` (option ``l2``) holds the norm of each update down. Source: Gupta et al. 2025
    (ENCORE, arXiv 2502.01636).
    """
    return least_squares(problem, protects=True, identity=problem.options.l2)


def least_squares(
    problem: Problem, *, protects: bool = False, identity: float = 0.0
) -> WeightDelta:
    """Return ``R K^T (lambda C + identity I + A A^T)^-1``; ``A`` is ``K``, or ``[K_p K]``."""
    import torch

    from pytest_eac.editing.problem import solve_with_keys

    moment, weight = problem.moment, problem.options.weight
    if weight is None:
        weight = float(len(problem.keys))
    if moment is None:
        raise ValueError("needs a second moment")

    keys = problem.keys.double()
    if protects and problem.earlier_sum is not None:
        matrix = moment.weighted(weight, identity) + problem.earlier_sum + keys @ keys.T
        right = torch.cholesky_solve(keys, torch.linalg.cholesky(matrix))
    else:
        every = problem.all_keys.double() if protects else keys
        solve = partial(moment.solve, weight=weight, identity=identity)
        right = solve_with_keys(solve, every, keys)
    return problem.delta(problem.residuals, right)


MEMIT = Method(
    solve=Recipe(rule=memit),
    source="Meng et al. 2023, arXiv 2210.07229",
    takes_value=True,
    covariance=True,
    released=True,
    update=MemitOptions,
)
MEMIT_PREV = replace(
    MEMIT,
    solve=Recipe(rule=memit_prev),
    source="MEMIT with the keys of earlier edits protected",
    protects=True,
    released=False,
)
ENCORE = replace(
    MEMIT_PREV,
    solve=Recipe(rule=encore),
    source="Gupta et al. 2025, arXiv 2502.01636",
    update=EncoreOptions,
    value={"stop_when": "argmax"},
)
