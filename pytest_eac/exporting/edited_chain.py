"""A chain run to its end, and how its edits changed the weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pytest_eac.cache.entries import Cache
from pytest_eac.editing.sequence import Step
from pytest_eac.lm.layout import find_module, is_transposed
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.weights import WeightDelta
from pytest_eac.measuring.chain import Progress, RunOptions, run_chain
from pytest_eac.records.run import Chain
from pytest_eac.spec.spec import Spec, SpecMethod


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightChange:
    """How all edits together changed one weight.

    Attributes:
        module: the module's path.
        before: the weight before the first edit, in the module's own orientation.
        after: after the last one.
        factors: ``(left, right)``, (d_out, r) and (d_in, r), with ``left @ right.T`` the sum of all
            updates, where each of them was of low rank and r is below both d_out and d_in.
        transposed: whether the module keeps its weight as (d_in, d_out).
    """

    module: str
    before: Tensor
    after: Tensor
    factors: tuple[Tensor, Tensor] | None
    transposed: bool

    @property
    def dense(self) -> Tensor:
        """``W_T - W_0`` of the weights, (d_out, d_in), in float64."""
        change = self.after.double() - self.before.double()
        return change.T if self.transposed else change


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edited:
    """A chain's record, and the weights that it changed."""

    chain: Chain
    changes: tuple[WeightChange, ...]


def run_and_keep(
    loaded: LoadedModel,
    spec: Spec,
    method: SpecMethod,
    *,
    seed: int,
    progress: Progress = lambda *_: None,
    cache_dir: Path | None = None,
    cache: Cache | None = None,
) -> Edited:
    """Run a chain and keep the weights that it changed; the model is unedited again afterwards.

    Raises:
        EacError: as :func:`pytest_eac.measuring.chain.run_chain` does.
    """
    deltas: dict[str, list[WeightDelta]] = {}
    after: dict[str, Tensor] = {}

    def watch(step: Step) -> None:
        for delta in step.solved.deltas:
            deltas.setdefault(delta.module, []).append(delta)
        if step.indices.stop == len(spec.edits):
            after.update((path, _copy(loaded, path)) for path in deltas)

    chain = run_chain(
        loaded,
        spec,
        method,
        seed=seed,
        cache=cache,
        options=RunOptions(cache_dir=cache_dir, progress=progress, watch=watch),
    )
    changes = tuple(
        WeightChange(
            module=path,
            before=_copy(loaded, path),
            after=after[path],
            factors=_stacked(steps),
            transposed=is_transposed(find_module(loaded.model, path)),
        )
        for path, steps in sorted(deltas.items())
    )
    return Edited(chain=chain, changes=changes)


def _copy(loaded: LoadedModel, path: str) -> Tensor:
    weight: Tensor = find_module(loaded.model, path).weight  # type: ignore[assignment]
    return weight.detach().cpu().clone()


def _stacked(deltas: list[WeightDelta]) -> tuple[Tensor, Tensor] | None:
    """Return all updates of a matrix as one pair of factors, if these are smaller than it."""
    rights = [delta.right.cpu() for delta in deltas if delta.right is not None]
    if len(rights) < len(deltas) or sum(each.shape[1] for each in rights) >= min(deltas[0].shape):
        return None
    return torch.cat([delta.left.cpu() for delta in deltas], dim=1), torch.cat(rights, dim=1)
