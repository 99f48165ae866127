"""Controls: random updates, as large as those of another method's chain, that write no fact.

A control shows what any update of that size does to a model. What the method does beyond that comes
from the direction of its updates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pytest_eac.cache.entries import Cache, digest
from pytest_eac.editing.interface import Solved, Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.sequence import Step, apply_all, edit_in_sequence
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.weights import WeightDelta, restored
from pytest_eac.spec.schema.settings import MethodSettings

# Options of updates that each draw's seed counts, with or without a value: the list is fixed, so
# that draws stay the same when methods get further options.
_COUNTED = (
    "weight", "keep", "log_base", "threshold", "l2", "steps", "learning_rate", "radius"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A change of one matrix without its directions.

    Attributes:
        module: dotted path of the module.
        shape: of the matrix, (d_out, d_in).
        values: (r,), the change's singular values above 0, descending, float64. Their number is the
            change's rank, their Euclidean norm its Frobenius norm.
    """

    module: str
    shape: tuple[int, int]
    values: Tensor

    @classmethod
    def of(cls, delta: WeightDelta) -> Outline:
        """Take the outline of a change; for low rank, from its factors alone.

        With ``L = Q_1 R_1`` and ``R = Q_2 R_2``, ``L R^T`` has the singular values of
        ``R_1 R_2^T``. Those that the factors' dtype cannot distinguish from 0 count as 0.
        """
        small = delta.left.double()
        if delta.right is not None:
            small = torch.linalg.qr(small).R @ torch.linalg.qr(delta.right.double()).R.T
        values = torch.linalg.svdvals(small).cpu()
        precision = max(delta.shape) * torch.finfo(delta.left.dtype).eps
        kept = values[values > precision * values.max()]
        return cls(module=delta.module, shape=delta.shape, values=kept)


def edit_at_random(
    loaded: LoadedModel,
    settings: MethodSettings,
    work: Work,
    *,
    batch: int = 1,
    cache: Cache | None = None,
) -> Iterator[Step]:
    """Change the model as often, where and as much as a method does, in random directions.

    The method's own chain runs first, or comes from the cache, and is undone: the sizes are those
    of its own updates on its own model. A step's cost is that of the update it mirrors.

    Args:
        loaded: the model; run this inside :func:`pytest_eac.lm.weights.restored`.
        settings: the method's, and which ``control``.
        work: the sequence.
        batch: edits in one update.
        cache: see :func:`pytest_eac.editing.sequence.edit_in_sequence`.

    Raises:
        EditError, NonFiniteError: the method's chain cannot be run.
    """
    control = settings.control or "random"
    method = settings.model_copy(update={"control": None})
    mirrored: list[tuple[Step, list[Outline]]] = []
    with restored(loaded.model, edited_modules(loaded, method)):
        for step in edit_in_sequence(loaded, method, work, batch=batch, cache=cache):
            outlines = [Outline.of(delta) for delta in step.solved.deltas]
            mirrored.append((replace(step, solved=Solved(deltas=())), outlines))
    # Where the covariance's text lies says nothing of the method.
    about = method.model_dump(mode="json", exclude={"preset", "covariance"})
    given = {key: value for key, value in about["update"].items() if value is not None}
    about["update"] = {**dict.fromkeys(_COUNTED), **given}
    for step, outlines in mirrored:
        deltas = []
        for each in outlines:
            place = {"edit": step.indices.start, "module": each.module}
            lot = digest({"control": control, "of": about, "seed": work.seed, **place})
            generator = torch.Generator().manual_seed(int(lot[:15], 16))
            deltas.append(draw(each, control=control, generator=generator))
        yield replace(
            step,
            solved=Solved(deltas=tuple(deltas)),
            swallowed=apply_all(loaded.model, deltas),
            name=step.name and digest({"control": control, "of": step.name}),
        )


def draw(outline: Outline, *, control: str, generator: torch.Generator) -> WeightDelta:
    """Draw a change of an outline's shape, rank and Frobenius norm; float32.

    Args:
        outline: what is kept.
        control: ``random`` is ``A B^T`` with entries of A and B from one normal distribution,
            scaled to the norm. ``random-spectrum`` is ``U diag(values) V^T`` with U and V uniform
            (Haar) among matrices with orthonormal columns. For rank one the two are the same.
        generator: on the CPU, so that a seed means the same on every device.
    """
    rank = len(outline.values)
    left, right = (
        torch.randn(size, rank, dtype=torch.float64, generator=generator) for size in outline.shape
    )
    if control == "random":
        drawn = WeightDelta(module=outline.module, left=left, right=right).norm
        left = left * (outline.values.norm() / drawn)
    else:
        left, right = _orthonormal(left) * outline.values, _orthonormal(right)
    return WeightDelta(module=outline.module, left=left.float(), right=right.float())


def _orthonormal(gaussian: Tensor) -> Tensor:
    """Return Q of the QR decomposition whose R has a positive diagonal, which is Haar.

    Source: Mezzadri 2007, "How to generate random matrices from the classical compact groups".
    """
    found = torch.linalg.qr(gaussian)
    columns: Tensor = found.Q * found.R.diagonal().sign()
    return columns
