"""Solved updates in the cache, each under a key that says all it was solved from.

The key of an update holds the key of the one before it, and that of the first one the unedited
model: what a sequence shares with another from its beginning on, it shares in the cache.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pytest_eac.cache.entries import Cache, Entry, source_digest
from pytest_eac.cache.kinds import EDITS
from pytest_eac.editing.descent import StepLoss
from pytest_eac.editing.interface import Cost, Solved, State, Work
from pytest_eac.editing.value import Value
from pytest_eac.lm.identity import identify
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.weights import WeightDelta
from pytest_eac.records.diagnostics import Diagnostics, MatrixDiagnostics
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.schema.settings import MethodSettings
from pytest_eac.tensor_bytes import tensor_sha256

_SOURCES = (
    *("editing", "lm", "records/diagnostics.py", "spec/registry_entries.py"),
    *("spec/schema/settings.py", "text"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Remembered:
    """A solved update that was kept, and what it cost to solve."""

    solved: Solved
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpdateMemory:
    """The solved updates of one chain.

    Attributes:
        cache: where they are.
        about: what all updates of the chain depend on.
        device: where the tensors go.
    """

    cache: Cache
    about: Mapping[str, Any]
    device: torch.device

    def key(self, before: str | None, edits: tuple[Edit, ...]) -> dict[str, Any]:
        """Return the key of the update that makes ``edits`` after the one named ``before``."""
        return {**self.about, "before": before, "edits": _asks(edits)}

    def read(self, key: Mapping[str, Any], earlier: State) -> Remembered | None:
        """Return a solved update, if it is there; ``earlier`` is the state before it."""
        entry = self.cache.read(EDITS, key)
        if entry is None:
            return None
        tensors = {name: tensor.to(self.device) for name, tensor in entry.tensors.items()}
        cost = Cost(**entry.data["cost"])
        return Remembered(solved=_unpack(entry.data, tensors, earlier), cost=cost)

    def write(self, key: Mapping[str, Any], solved: Solved, earlier: State, *, cost: Cost) -> None:
        """Keep a solved update; see :meth:`read`."""
        self.cache.write(EDITS, key, _pack(solved, earlier, cost))


def open_memory(
    cache: Cache | None, loaded: LoadedModel, settings: MethodSettings, work: Work
) -> UpdateMemory | None:
    """Return the memory of a chain about to start; ``None`` where nothing may be kept.

    That is so without a cache, and for methods of other packages: their code may change without
    anything here that would show it.
    """
    if cache is None or settings.base not in BUILT_IN:
        return None
    about = {
        "code": source_digest(*_SOURCES),
        "model": identify(loaded),
        # Presets have done their part; the covariance counts by what it came to.
        "settings": settings.model_dump(mode="json", exclude={"preset", "covariance"}),
        "contexts": list(work.contexts),
        "seed": work.seed,
        "originals": {path: tensor_sha256(each) for path, each in work.originals.items()},
        "moments": {
            path: [tensor_sha256(each.matrix), each.ridge] for path, each in work.moments.items()
        },
        "state": {name: tensor_sha256(each) for name, each in work.state.items()},
    }
    if settings.value.norm == "anchored":  # reads edits that are still to come
        about["sequence"] = _asks(work.edits)
    return UpdateMemory(cache=cache, about=about, device=loaded.device)


def _asks(edits: tuple[Edit, ...]) -> list[list[str | int]]:
    """Return the parts of edits that an update is solved from."""
    return [[edit.subject, edit.start, edit.prompt, edit.ending] for edit in edits]


def _pack(solved: Solved, earlier: State, cost: Cost) -> Entry:
    tensors: dict[str, Tensor] = {}
    values = []
    for number, delta in enumerate(solved.deltas):
        tensors[f"delta {number} left"] = delta.left
        if delta.right is not None:
            tensors[f"delta {number} right"] = delta.right
    for number, value in enumerate(solved.values):
        parts = asdict(value)
        for name, part in list(parts.items()):
            if isinstance(part, torch.Tensor):
                tensors[f"value {number} {name}"] = parts.pop(name)
        values.append(parts)
    for name, tensor in solved.state.items():
        shared = _shared_columns(earlier.get(name), tensor)
        tensors[f"state {shared} {name}"] = tensor[:, shared:] if shared else tensor
    data = {
        "modules": [delta.module for delta in solved.deltas],
        "values": values,
        "losses": solved.losses,
        "diagnostics": [asdict(each) for each in solved.diagnostics],
        "cost": asdict(cost),
    }
    return Entry(data=data, tensors=tensors)


def _shared_columns(earlier: Tensor | None, now: Tensor) -> int:
    """Return how many columns a state begins with that it had before this update.

    The keys of all edits so far grow by a few columns an update: only those are written.
    """
    if earlier is None or earlier.dim() != 2 or earlier.dtype != now.dtype or now.dim() != 2:
        return 0
    count = earlier.shape[1]
    begins = earlier.shape[0] == now.shape[0] and torch.equal(earlier, now[:, :count])
    return count if begins else 0


def _unpack(data: Any, tensors: Mapping[str, Tensor], earlier: State) -> Solved:
    deltas = [
        WeightDelta(
            module=module,
            left=tensors[f"delta {number} left"],
            right=tensors.get(f"delta {number} right"),
        )
        for number, module in enumerate(data["modules"])
    ]
    return Solved(
        deltas=tuple(deltas),
        values=tuple(
            _unpack_value({**plain, **_named(tensors, f"value {number} ")})
            for number, plain in enumerate(data["values"])
        ),
        losses=tuple(data["losses"]),
        state=_unpack_state(_named(tensors, "state "), earlier),
        diagnostics=tuple(map(_unpack_diagnostics, data["diagnostics"])),
    )


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _unpack_value(parts: dict[str, Any]) -> Value:
    stages = tuple(tuple(StepLoss(**loss) for loss in stage) for stage in parts["stages"])
    anchors = None if parts["anchors"] is None else tuple(parts["anchors"])
    return Value(**{**parts, "stages": stages, "anchors": anchors})


def _unpack_diagnostics(parts: Mapping[str, Any]) -> Diagnostics:
    matrices = tuple(MatrixDiagnostics(**each) for each in parts["matrices"])
    return Diagnostics(**{**parts, "matrices": matrices})


def _unpack_state(tensors: Mapping[str, Tensor], earlier: State) -> State:
    state = {}
    for text, tensor in tensors.items():
        shared, _, name = text.partition(" ")
        state[name] = torch.cat([earlier[name], tensor], dim=1) if int(shared) else tensor
    return state
