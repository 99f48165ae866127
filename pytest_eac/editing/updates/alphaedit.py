"""AlphaEdit's update: write only where the model's other keys have (almost) no share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from pytest_eac.editing.recipe import Recipe
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.types import Positive, Strict

if TYPE_CHECKING:
    from pytest_eac.editing.problem import Problem
    from pytest_eac.lm.weights import WeightDelta


class AlphaEditOptions(Strict):
    """Options of AlphaEdit's update."""

    threshold: Positive = Field(
        2e-2,
        description="Directions of C (without its ridge) with an eigenvalue below this may be "
        "written to",
    )
    l2: Positive = Field(10.0, description="Weight of ||dW||^2")


def alphaedit(problem: Problem) -> WeightDelta:
    """Return ``dW`` with ``dW^T = (P (K K^T + K_p K_p^T) + l2 I)^-1 P K R^T``.

    ``P`` projects on the eigenvectors of ``C`` whose eigenvalue is below ``threshold``. Since ``P``
    is a projection, this is ``P (A' A'^T + l2 I)^-1 A'_new R^T`` with ``A' = P [K_p K]``.

    Raises:
        EditError: no direction, or every direction, is below the threshold.

    Source: Fang et al. 2024 (AlphaEdit, arXiv 2410.02355), equation 10.
    """
    import torch

    from pytest_eac.editing.problem import solve_with_keys

    moment, options = problem.moment, problem.options
    if moment is None:
        raise ValueError("needs a second moment")
    keys = moment.project(problem.keys.double(), options.threshold)
    earlier = moment.project(problem.earlier.double(), options.threshold)
    every = torch.cat([earlier, keys], dim=1)
    right = solve_with_keys(lambda x: x / options.l2, every, keys)
    return problem.delta(problem.residuals, right)


ALPHAEDIT = Method(
    solve=Recipe(rule=alphaedit),
    source="Fang et al. 2024, arXiv 2410.02355",
    takes_value=True,
    covariance=True,
    protects=True,
    update=AlphaEditOptions,
)
NAS = replace(ALPHAEDIT, source="arXiv 2602.02543", value={"norm": "anchored"})
