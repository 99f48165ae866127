"""What the methods that solve for a value and write it by a formula differ in."""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from torch import Tensor

    from pytest_eac.editing.interface import Solved, Work
    from pytest_eac.editing.problem import Problem
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.lm.weights import WeightDelta
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.settings import MethodSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a method solves for values and writes them: *key -> value -> update*.

    A recipe is what ``Method(solve=...)`` takes: called, it solves an update by
    :func:`pytest_eac.editing.locate_then_edit.locate_then_edit`.

    Attributes:
        rule: the formula of the update.
        whole_layer: the value is the decoder layer's output (MEMIT), not the MLP's (ROME).
        key: how a key is averaged over contexts, (contexts, d_in) -> (d_in,); by default as MEMIT
            does it (:func:`pytest_eac.editing.keys.grouped_key`).
        filter: what is done to the change of each matrix, (d_out, d_in), once all layers are
            solved: ``(change, weight, options) -> change``, where ``weight`` is the matrix before
            the update and ``options`` are the method's own under ``update:``.
    """

    rule: Callable[[Problem], WeightDelta]
    whole_layer: bool = True
    key: Callable[[Tensor], Tensor] | None = None
    filter: Callable[[Tensor, Tensor, Any], Tensor] | None = None

    def __call__(
        self, loaded: LoadedModel, edits: tuple[Edit, ...], settings: MethodSettings, work: Work
    ) -> Solved:
        """Solve an update on the model as it is now; changes nothing."""
        by_recipe = resolve_name("pytest_eac.editing.locate_then_edit:locate_then_edit")
        solved: Solved = by_recipe(loaded, edits, settings, work, recipe=self)
        return solved
