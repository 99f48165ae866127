"""Edits one after another on the changing model."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from torch import nn

from pytest_eac.cache.entries import Cache, digest
from pytest_eac.editing.diagnostics import with_missed
from pytest_eac.editing.interface import Cost, Solved, Work, as_solved
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.update_cache import UpdateMemory, open_memory
from pytest_eac.errors import EditError, NonFiniteError
from pytest_eac.lm.devices import peak_memory
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.lm.weights import WeightDelta, apply_delta
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.methods import BUILT_IN, find_method
from pytest_eac.spec.schema.settings import MethodSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """An update that has been made.

    Attributes:
        indices: the edits that it made, by their place in the sequence.
        solved: what the method returned.
        swallowed: share of the moved entries that rounding left where they were.
        cost: what it cost when it was solved, if need be in an earlier run.
        name: stands for the model's weights after it; ``None`` where nothing does.
        cached: whether it was taken from the cache.
    """

    indices: range
    solved: Solved
    swallowed: float
    cost: Cost
    name: str | None = None
    cached: bool = False


def solve(
    loaded: LoadedModel, edits: tuple[Edit, ...], settings: MethodSettings, work: Work
) -> Solved:
    """Ask the method for the changes that make ``edits``; changes nothing.

    Raises:
        EditError: an edit cannot be carried out, or the method does not keep its word.
        NonFiniteError: a loss is NaN or infinite.
    """
    method = find_method(settings.base).resolve()
    more, named = _more(method, work)
    result = method(loaded, edits, settings, *more, **named)
    solved = as_solved(settings.base, result, edited_modules(loaded, settings))
    if solved.values and len(solved.values) != len(edits):
        raise EditError(
            f"{settings.base} returned {len(solved.values)} values for {len(edits)} edits"
        )
    if solved.diagnostics and len(solved.diagnostics) != len(edits):
        raise EditError(
            f"{settings.base} returned {len(solved.diagnostics)} diagnostics for {len(edits)} edits"
        )
    return solved


def unchanged_by(
    loaded: LoadedModel, base: str, modules: Iterable[str] = (), *, whole: bool = False
) -> AbstractContextManager[Callable[[], None]]:
    """Require that a method changes nothing and only returns its result; see :func:`unchanged`.

    Args:
        loaded: the model.
        base: the method.
        modules: paths of the modules that it declares; it may write to their weights, as long as
            it puts them back.
        whole: compare the values of all tensors as well.
    """
    remedy = (
        "This is a fault of pytest-eac: please report it."
        if base in BUILT_IN
        else f"To find out more: pytest --pyargs pytest_eac.conformance --eac-method={base}"
    )
    return unchanged(loaded, base, modules, whole=whole, remedy=remedy)


def _more(method: Callable[..., Any], work: Work) -> tuple[tuple[Work, ...], dict[str, Work]]:
    """Return the further arguments of a method that asks for its place in the sequence.

    It does so by a parameter ``work``, wherever it stands, or by a fourth one without a default.
    """
    parameters = inspect.signature(method).parameters.values()
    for each in parameters:
        if each.name == "work" and each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}:
            return (), {"work": work}
    needed = [
        each
        for each in parameters
        if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
        and (each.default is each.empty or each.name == "work")
    ]
    star = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return ((work,) if star or len(needed) > 3 else ()), {}


def edit_in_sequence(
    loaded: LoadedModel,
    settings: MethodSettings,
    work: Work,
    *,
    batch: int = 1,
    cache: Cache | None = None,
) -> Iterator[Step]:
    """Make the edits of ``work`` in order, ``batch`` of them in one update.

    Each update starts from the model, and from the state, that the one before left behind. The
    model is edited when a step is yielded and stays so: run it inside
    :func:`pytest_eac.lm.weights.restored`. With a ``cache``, the model must be the unedited one
    but for ``work.originals``; an update that is there is applied without being solved again.

    Raises:
        EditError, NonFiniteError: with the edit's number, subject and origin in the message.
        SpoiledModelError: likewise; the method has left something changed.
    """
    count = len(work.edits)
    memory = open_memory(cache, loaded, settings, work)
    before: str | None = None
    for first in range(0, count, batch):
        indices = range(first, min(first + batch, count))
        work = replace(work, done=first)
        try:
            step = _update(loaded, settings, work, indices, memory=memory, before=before)
        except (EditError, NonFiniteError) as error:
            edit = work.edits[first]
            where = f"edit {first + 1} of {count} ({edit.subject}, {edit.origin})"
            if len(indices) > 1:
                where = f"edits {first + 1} to {indices.stop} of {count}"
            raise type(error)(f"{where}: {error}") from error
        work = replace(work, state=step.solved.state)
        before = step.name
        yield step


def _update(
    loaded: LoadedModel,
    settings: MethodSettings,
    work: Work,
    indices: range,
    *,
    memory: UpdateMemory | None,
    before: str | None,
) -> Step:
    """Make one update, remembered or solved; ``before`` is the name of the one before it."""
    edits = work.edits[indices.start : indices.stop]
    key = memory.key(before, edits) if memory else None
    found = memory.read(key, work.state) if memory and key else None
    if found:
        solved, cost = found.solved, found.cost
        swallowed = apply_all(loaded.model, solved.deltas)
    else:
        start = perf_counter()
        with peak_memory(loaded.device) as peak:
            with unchanged_by(loaded, settings.base, edited_modules(loaded, settings)):
                solved = solve(loaded, edits, settings, work)
            swallowed = apply_all(loaded.model, solved.deltas)
        cost = Cost(seconds=perf_counter() - start, peak_bytes=peak.bytes)
        solved = with_missed(loaded, edits, solved, contexts=work.contexts)
        if memory and key:
            memory.write(key, solved, work.state, cost=cost)
    return Step(
        indices=indices,
        solved=solved,
        swallowed=swallowed,
        cost=cost,
        name=digest(key) if key else None,
        cached=found is not None,
    )


def apply_all(model: nn.Module, deltas: Iterable[WeightDelta]) -> float:
    """Apply the changes of one update; return the share of moved entries that rounding left.

    Raises:
        NonFiniteError, EditError: see :func:`pytest_eac.lm.weights.apply_delta`.
    """
    applied = [apply_delta(model, delta) for delta in deltas]
    moved = sum(each.moved for each in applied)
    return sum(each.swallowed for each in applied) / moved if moved else 0.0
