"""Edits one after another on the changing model."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from pytest_eac.editing.methods import Solved, solve
from pytest_eac.errors import EditError, NonFiniteError
from pytest_eac.lm.weights import apply_delta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.methods import MethodSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """An edit that has been made; ``swallowed`` is the share of moved entries lost to rounding."""

    index: int
    solved: Solved
    swallowed: float
    seconds: float


def edit_in_sequence(
    loaded: LoadedModel,
    edits: tuple[Edit, ...],
    settings: MethodSettings,
    contexts: tuple[str, ...],
) -> Iterator[Step]:
    """Make the edits in order; each starts from the model that the one before left behind.

    The model is edited when a step is yielded and stays so: run it inside
    :func:`pytest_eac.lm.weights.restored`.

    Raises:
        EditError, NonFiniteError: with the edit's number, subject and origin in the message.
    """
    for index, edit in enumerate(edits):
        start = perf_counter()
        try:
            solved = solve(loaded, edit, settings, contexts)
            applied = [apply_delta(loaded.model, delta) for delta in solved.deltas]
        except (EditError, NonFiniteError) as error:
            where = f"edit {index + 1} of {len(edits)} ({edit.subject}, {edit.origin})"
            raise type(error)(f"{where}: {error}") from error
        moved = sum(each.moved for each in applied)
        yield Step(
            index=index,
            solved=solved,
            swallowed=sum(each.swallowed for each in applied) / moved if moved else 0.0,
            seconds=perf_counter() - start,
        )
