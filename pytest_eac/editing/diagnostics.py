"""How well an update's problem was posed, and whether it put its values in place.

Nothing here takes part in an edit: the numbers are read off what was solved.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from math import isfinite

import torch
from torch import Tensor

from pytest_eac.editing.interface import Solved
from pytest_eac.editing.keys import read_outputs
from pytest_eac.editing.moment import projects
from pytest_eac.editing.problem import Problem
from pytest_eac.editing.prompts import prepare
from pytest_eac.editing.value import Value
from pytest_eac.errors import EditError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.records.diagnostics import Diagnostics, MatrixDiagnostics
from pytest_eac.spec.edits import Edit


def diagnostics_of(problems: Sequence[Problem], values: Sequence[Value]) -> tuple[Diagnostics, ...]:
    """Return what is known of each edit of an update before it is written.

    Args:
        problems: one for each matrix.
        values: one for each edit.
    """
    matrices = [_of_matrix(problem) for problem in problems]
    return tuple(
        Diagnostics(
            matrices=tuple(each[edit] for each in matrices),
            value_norm=float((value.init + value.delta).norm()),
        )
        for edit, value in enumerate(values)
    )


def _of_matrix(problem: Problem) -> list[MatrixDiagnostics]:
    """Return the diagnostics of one matrix for each edit."""
    moment, keys = problem.moment, problem.keys.double()
    found = MatrixDiagnostics(module=problem.module)
    whitened: Tensor | None = keys
    shares: Tensor | None = None
    if moment is not None:
        found = replace(found, token_ratio=moment.token_ratio, condition=moment.condition())
        whitened = None
        with suppress(EditError):  # C is singular, and the method does not divide by it
            whitened = moment.whiten(keys)
        if projects(problem.options):
            space = problem.options.null_space(moment)
            found = replace(found, rank=space.rank, energy=space.energy)
            shares = (space.basis.T @ keys).square().sum(dim=0) / keys.square().sum(dim=0)
    each = range(keys.shape[1])
    products = [None] * len(each)
    if whitened is not None:
        products = (problem.bare_keys.double() * whitened).sum(dim=0).tolist()
    kept = [None] * len(each) if shares is None else shares.clamp(0, 1).tolist()
    return [
        replace(found, key_product=_finite(products[edit]), key_share=_finite(kept[edit]))
        for edit in each
    ]


def _finite(number: float | None) -> float | None:
    """Return a number; ``None`` for the share of a key that is zero."""
    return number if number is not None and isfinite(number) else None


def with_missed(
    loaded: LoadedModel, edits: Sequence[Edit], solved: Solved, *, contexts: tuple[str, ...]
) -> Solved:
    """Add to the diagnostics how far the model, now edited, is from the values.

    One pass of the layers up to the edited one over the edits' bare prompts, up to their subjects.

    Args:
        loaded: the model after the update.
        edits: those of the update.
        solved: the update.
        contexts: that it was solved in.
    """
    sites = {value.site for value in solved.values}
    if not solved.diagnostics or len(sites) != 1 or (site := sites.pop()) is None:
        return solved
    prompts = [prepare(loaded, edit, contexts[:1]) for edit in edits]
    init = torch.stack([value.init for value in solved.values], dim=1)
    delta = torch.stack([value.delta for value in solved.values], dim=1)
    left = (read_outputs(loaded, prompts, site) - init - delta).norm(dim=0)
    missed = (left / delta.norm(dim=0)).tolist()
    found = (
        replace(each, missed=_finite(number))
        for each, number in zip(solved.diagnostics, missed, strict=True)
    )
    return replace(solved, diagnostics=tuple(found))
