"""AlphaEdit's update: write only where the model's other keys have (almost) no share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from pytest_eac.editing.recipe import Recipe
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.types import Positive, Ratio, Strict, refusal

if TYPE_CHECKING:
    from pytest_eac.editing.moment import Moment, NullSpace
    from pytest_eac.editing.problem import Problem
    from pytest_eac.lm.weights import WeightDelta


class AlphaEditOptions(Strict):
    """Options of AlphaEdit's update."""

    alternatives: ClassVar = ("energy", "threshold")

    energy: Ratio | None = Field(
        0.2,
        description="The directions of C (without its ridge) that may be written to, least "
        "eigenvalues first, have together at most this share of its trace",
    )
    threshold: Positive | None = Field(
        None,
        description="In place of energy: directions with an eigenvalue below this may be written "
        "to (published: 0.02)",
    )
    l2: Positive = Field(10.0, description="Weight of ||dW||^2")

    @model_validator(mode="before")
    @classmethod
    def _threshold_in_place_of_energy(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("threshold") is not None:
            return {"energy": None, **data}
        return data

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        found = sum(getattr(self, name) is not None for name in self.alternatives)
        if found != 1:
            both = "both" if found else "neither"
            raise refusal(f"found {both} of energy and threshold, expected one of the two")
        return self

    def null_space(self, moment: Moment) -> NullSpace:
        """Return the directions that may be written to.

        Raises:
            EditError: these are none, or all.
        """
        return moment.null_space(energy=self.energy, threshold=self.threshold)


def alphaedit(problem: Problem) -> WeightDelta:
    """Return ``dW`` with ``dW^T = (P (K K^T + K_p K_p^T) + l2 I)^-1 P K R^T``.

    ``P`` projects on the eigenvectors of ``C`` that have the least eigenvalues: those that have
    together at most the share ``energy`` of the trace, or (as published) those with an eigenvalue
    below ``threshold``. Since ``P`` is a projection, this is ``P (A' A'^T + l2 I)^-1 A'_new R^T``
    with ``A' = P [K_p K]``.

    Raises:
        EditError: ``P`` would keep no direction, or every direction.

    Source: Fang et al. 2024 (AlphaEdit, arXiv 2410.02355), equation 10.
    """
    import torch

    from pytest_eac.editing.problem import solve_with_keys

    moment, options = problem.moment, problem.options
    if moment is None:
        raise ValueError("needs a second moment")
    space = options.null_space(moment)
    if problem.earlier_sum is not None:
        inside = space.basis.T @ problem.keys.double()
        matrix = space.basis.T @ problem.earlier_sum @ space.basis + inside @ inside.T
        matrix.diagonal().add_(options.l2)
        right = space.basis @ torch.cholesky_solve(inside, torch.linalg.cholesky(matrix))
    else:
        keys, earlier = space.project(problem.keys), space.project(problem.earlier)
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
