"""Weights as values: low-rank deltas, exact restore, fingerprints."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from pytest_eac.errors import EditError, NonFiniteError
from pytest_eac.lm.layout import as_out_in, find_module
from pytest_eac.tensor_bytes import as_bytes, tensors_sha256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightDelta:
    """A change of one linear module's weight: ``W += left @ right.T``, or ``W += left``.

    Attributes:
        module: dotted path of the module, e.g. ``model.layers.9.mlp.down_proj``.
        left: (d_out, r); without ``right``, the change itself, (d_out, d_in).
        right: (d_in, r), or ``None`` for a change that is not of low rank.
    """

    module: str
    left: Tensor
    right: Tensor | None = None

    @property
    def dense(self) -> Tensor:
        """The change as a matrix, (d_out, d_in)."""
        return self.left if self.right is None else self.left @ self.right.T

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix that is changed, (d_out, d_in)."""
        d_in = self.left.shape[1] if self.right is None else self.right.shape[0]
        return self.left.shape[0], d_in

    @property
    def norm(self) -> float:
        """Frobenius norm, computed from the factors: ``sqrt(tr(L^T L R^T R))``."""
        left = self.left.double()
        if self.right is None:
            return float(left.norm())
        right = self.right.double()
        return float(((left.T @ left) * (right.T @ right)).sum().clamp_min(0).sqrt())


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The effect of a delta: how many weights it was to change, and how many did not."""

    moved: int
    swallowed: int


@torch.no_grad()
def apply_delta(model: nn.Module, delta: WeightDelta) -> Applied:
    """Add a delta to the model's weight, in place.

    The sum is formed in float32 and rounded once to the weight's dtype; an entry that the rounding
    leaves as it was counts as swallowed (with 16-bit weights that happens to small updates).

    Raises:
        NonFiniteError: the delta holds a NaN or an infinity; the weight is left alone.
        EditError: the factors do not fit the weight; the weight is left alone.
    """
    module = find_module(model, delta.module)
    weight: Tensor = module.weight  # type: ignore[assignment]
    rows = as_out_in(weight, module)
    if delta.shape != tuple(rows.shape):
        raise EditError(
            f"{delta.module}: found a delta of shape {delta.shape}, expected {tuple(rows.shape)}"
        )
    change = delta.dense.to(device=weight.device, dtype=torch.float32)
    if not bool(torch.isfinite(change).all()):
        raise NonFiniteError(f"{delta.module}: the update is not finite; nothing was changed")
    new = (rows.float() + change).to(weight.dtype)
    if not bool(torch.isfinite(new).all()):
        raise NonFiniteError(
            f"{delta.module}: the edited weight overflows {weight.dtype}; nothing was changed"
        )
    moved = change != 0
    swallowed = int((moved & (new == rows)).sum())
    rows.copy_(new)
    return Applied(moved=int(moved.sum()), swallowed=swallowed)


@contextmanager
def restored(model: nn.Module, modules: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Keep the weights of ``modules`` and put them back on leaving, bit for bit.

    Yields:
        The original weights by module path, in the module's own orientation. They are copies; do
        not write into them.
    """
    originals = {path: find_module(model, path).weight.detach().clone() for path in modules}  # type: ignore[operator]
    try:
        yield originals
    finally:
        with torch.no_grad():
            for path, original in originals.items():
                find_module(model, path).weight.copy_(original)  # type: ignore[operator]


@contextmanager
def swapped(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Put weights, by module path and in the module's orientation, in place of the model's own.

    On leaving, the model has its own again, bit for bit.
    """
    with restored(model, weights):
        with torch.no_grad():
            for path, weight in weights.items():
                find_module(model, path).weight.copy_(weight)  # type: ignore[operator]
        yield


def own_memory(model: nn.Module) -> None:
    """Move weights on the CPU into memory of their own; tied ones stay tied.

    transformers leaves them mapped: they would change with their file, and reading one that has
    been cut off ends the process.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def named_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and persistent buffers by name, tied ones once, in the order of names."""
    seen = set()
    for name, tensor in sorted(model.state_dict().items()):
        identity = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if identity not in seen:
            seen.add(identity)
            yield name, tensor


def fingerprint(model: nn.Module) -> str:
    """Return a SHA-256 over the names, shapes, dtypes and bytes of all weights."""
    return tensors_sha256(
        (f"{name} {tuple(tensor.shape)} {tensor.dtype}", [tensor])
        for name, tensor in named_weights(model)
    )


@cache
def _multipliers() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-(2**62), 2**62, (2**17,), generator=generator) * 2 + 1


@torch.no_grad()
def checksum(tensor: Tensor) -> str:
    """Return a checksum of a tensor's bytes, for tensors of one shape and dtype.

    Eight bytes at a time are multiplied by fixed odd numbers and summed modulo ``2**64``, in pieces
    of 1 MiB. The tensor is read once, on its own device. The sum detects accidental changes, not
    intended collisions; what names a model is :func:`fingerprint`.
    """
    raw = as_bytes(tensor.clone() if tensor.storage_offset() else tensor)
    whole = len(raw) // 8 * 8
    multipliers = _multipliers().to(raw.device)
    words = raw[:whole].view(torch.int64)
    sums = [(each * multipliers[: len(each)]).sum() for each in words.split(len(multipliers))]
    found = torch.stack([*sums, raw[whole:].sum()]).cpu().numpy()
    return f"{hashlib.sha256(found.tobytes()).hexdigest()} {raw[whole:].tolist()}"


def require_finite(model: nn.Module) -> None:
    """Refuse a model that holds a NaN or an infinity.

    Raises:
        NonFiniteError: names each tensor and how many of its entries are not finite.
    """
    found = []
    for name, tensor in named_weights(model):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.sum())):
            bad = int((~torch.isfinite(tensor)).sum())
            if bad:
                found.append(f"{name} ({bad} of {tensor.numel()} entries)")
    if found:
        raise NonFiniteError(f"the model's weights are not finite: {', '.join(found)}")
