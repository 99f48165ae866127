"""What a method is given besides the model, and what it returns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from pytest_eac.editing.moment import Moment
from pytest_eac.editing.value import Value
from pytest_eac.errors import EditError
from pytest_eac.lm.weights import WeightDelta
from pytest_eac.records.diagnostics import Diagnostics
from pytest_eac.spec.edits import Edit

State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """The sequence that an update is part of.

    Attributes:
        contexts: templates with ``{}`` where a prompt goes; the first is bare.
        seed: the chain's.
        edits: the whole sequence.
        done: how many of its edits have been made.
        originals: the edited modules' weights before the first edit, by path, in the module's own
            orientation.
        moments: second moments of the edited modules' inputs on the unedited model, by path; empty
            for methods that do not ask for them.
        state: what the method returned after the update before this one; empty at first.
        kept: whatever a method derives from its state and wants to keep between the updates of a
            sequence, such as a sum; empty at first, and in a sequence that is resumed.
    """

    contexts: tuple[str, ...] = ("{}",)
    seed: int = 0
    edits: tuple[Edit, ...] = ()
    done: int = 0
    originals: Mapping[str, torch.Tensor] = field(default_factory=dict)
    moments: Mapping[str, Moment] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """The solution of one update.

    Attributes:
        deltas: the changes to make, at most one for each module.
        values: the solved values, one for each edit; empty for methods that solve for none.
        losses: for methods without values, the losses of their own search.
        state: named tensors that the next update of the sequence needs.
        diagnostics: how well the problem was posed, for each edit; empty where nothing is known.
    """

    deltas: tuple[WeightDelta, ...]
    values: tuple[Value, ...] = ()
    losses: tuple[float, ...] = ()
    state: State = field(default_factory=dict)
    diagnostics: tuple[Diagnostics, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an update cost when it was solved.

    Attributes:
        seconds: wall time.
        peak_bytes: the peak meanwhile of the process's resident memory (on a GPU: of the memory
            allocated there); ``None`` where the platform does not report it.
    """

    seconds: float
    peak_bytes: int | None


def as_solved(name: str, result: Any, modules: Iterable[str]) -> Solved:
    """Check what a method returned, and put it in a common form with contiguous tensors.

    The last bits of a computation depend on a tensor's layout in memory. Tensors read from the
    cache are contiguous; so a tensor that was just solved must be contiguous as well.

    Raises:
        EditError: it is neither a ``Solved`` nor deltas, or changes a module it did not declare.
    """
    declared = tuple(modules)
    solved = result if isinstance(result, Solved) else _from_deltas(name, result)
    changed = [delta.module for delta in solved.deltas]
    for path in changed:
        if path not in declared:
            raise EditError(
                f"{name} changes {path}, which it does not declare; declared: {', '.join(declared)}"
            )
    if len(set(changed)) != len(changed):
        raise EditError(f"{name} returned two deltas for one module: {', '.join(changed)}")
    deltas = (
        replace(delta, left=_contiguous(delta.left), right=_contiguous(delta.right))
        for delta in solved.deltas
    )
    state = {name: _contiguous(tensor) for name, tensor in solved.state.items()}
    return replace(solved, deltas=tuple(deltas), state=state)


def _contiguous(found: Any) -> Any:
    """Return a contiguous tensor; anything else as it is, to be reported where it is used."""
    return found.contiguous() if isinstance(found, torch.Tensor) else found


def _from_deltas(name: str, result: Any) -> Solved:
    deltas = tuple(result) if isinstance(result, Iterable) else (result,)
    for each in deltas:
        if not isinstance(each, WeightDelta):
            found = type(each).__name__
            raise EditError(f"{name} returned a {found}, expected WeightDelta objects or a Solved")
    return Solved(deltas=deltas)
