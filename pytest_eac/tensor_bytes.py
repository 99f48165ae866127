"""Tensors as bytes, which is what their hashes are of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def as_bytes(tensor: Tensor) -> Tensor:
    """View a tensor as its bytes: compared so, NaN equals itself, and 0 differs from -0."""
    import torch

    return tensor.detach().contiguous().flatten().view(torch.uint8)


def tensor_sha256(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's dtype, shape and bytes."""
    return tensors_sha256([(f"{tensor.dtype} {tuple(tensor.shape)}", [tensor])])


def tensors_sha256(described: Iterable[tuple[str, Iterable[Tensor]]]) -> str:
    """Return one SHA-256 of the bytes of several tensors and of a text about each.

    Args:
        described: for each tensor a text (its dtype, shape or name), and the tensor in parts, in
            order.
    """
    found = hashlib.sha256()
    for text, parts in described:
        found.update(f"{text}\n".encode())
        for part in parts:
            found.update(as_bytes(part.cpu()).numpy().data)
    return found.hexdigest()
