"""ROME's update: one rank-one step that maps the subject's key to the new value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_eac.editing.recipe import Recipe
from pytest_eac.errors import EditError
from pytest_eac.spec.registry_entries import Method

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.editing.problem import Problem
    from pytest_eac.lm.weights import WeightDelta

# Of what the mean key has along its own whitened direction.
_LEAST_SHARE = 1e-3


def rome(problem: Problem) -> WeightDelta:
    """Return ``dW = (v* - W k) u^T / (k . u)`` with ``u = C^-1 kbar``.

    ``k`` is the bare prompt's key, ``kbar`` its mean over contexts. ``v* - W k`` is the residual:
    the change has rank one and is zero on every row where the residual is.

    Raises:
        EditError: the keys are so unlike that the division would blow the update up.

    Source: Meng et al. 2022, equation 2; as the released code has it (``k`` in the denominator,
    ``kbar`` in the direction).
    """
    return rank_one(problem, problem.bare_keys[:, 0], problem.residuals[:, 0])


def r_rome(problem: Problem) -> WeightDelta:
    """Return ROME's update with the mean key in every place: ``(v* - W kbar) u^T / (kbar . u)``.

    The denominator is then positive, whatever the contexts. Source: Gupta et al. 2024 (Rebuilding
    ROME, arXiv 2403.07175), equation 3.
    """
    key, mean_key = problem.bare_keys[:, 0], problem.keys[:, 0]
    # The residual is meant for the bare key: v* - W kbar = (v* - W k) + W (k - kbar).
    residual = problem.residuals[:, 0] + problem.weight @ (key - mean_key)
    return rank_one(problem, mean_key, residual)


def rank_one(problem: Problem, key: Tensor, residual: Tensor) -> WeightDelta:
    """Return the change along ``C^-1 kbar`` that adds ``residual`` (d_out,) at ``key`` (d_in,)."""
    direction = problem.whiten(problem.keys)[:, 0]
    direction = (direction / direction.norm()).to(key.dtype)
    scale = key @ direction
    share = float(scale / (problem.keys[:, 0] @ direction))
    if not abs(share) > _LEAST_SHARE:
        raise EditError(
            "the subject's key in the bare prompt is almost orthogonal to its mean over contexts "
            f"(it has {share:.1e} of it): the update would blow up. Put a few words before the "
            "subject in the prompt, give other contexts, or take r-rome, which has no such case"
        )
    return problem.delta((residual / scale)[:, None], direction[:, None])


def mean_key(keys: Tensor) -> Tensor:
    """Return ROME's key: the mean over all contexts, (contexts, d_in) -> (d_in,)."""
    return keys.mean(dim=0)


ROME = Method(
    solve=Recipe(rule=rome, whole_layer=False, key=mean_key),
    source="Meng et al. 2022, arXiv 2202.05262",
    takes_value=True,
    many_edits=False,
    many_layers=False,
    covariance=True,
    covariance_optional=True,
    released=True,
)
R_ROME = replace(
    ROME,
    solve=Recipe(rule=r_rome, whole_layer=False, key=mean_key),
    source="Gupta et al. 2024, arXiv 2403.07175",
    released=False,
)
