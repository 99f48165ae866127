"""Which dimensions carry an edit: the weighted-gradient saliency of Editing Anchor Compression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def saliency(mean_gradient: Tensor, delta: Tensor) -> Tensor:
    """Return ``s = |mean_t(g_t) * delta|``, element by element.

    Args:
        mean_gradient: mean of the signed gradients over the optimisation steps; (d_out,).
        delta: the value's change that those steps found; (d_out,).

    Source: EAC (arXiv 2503.00035), section 3, weighted-gradient saliency.
    """
    return (mean_gradient * delta).abs()


def top_anchors(scores: Tensor, ratio: float) -> Tensor:
    """Return the indices of the ``floor(ratio * d_out)`` largest scores (at least one), ascending.

    Args:
        scores: (d_out,).
        ratio: share of dimensions to keep, in (0, 1].
    """
    count = max(1, int(ratio * scores.numel()))
    return scores.topk(count).indices.sort().values


def scored_l1(delta: Tensor, scores: Tensor) -> Tensor:
    """Return ``sum_i |delta_i| / (s_i + 1e-6)``: the less a dimension matters, the dearer it is.

    Args:
        delta: change on the anchors; (anchors,).
        scores: their saliencies; (anchors,).

    Source: EAC, section 3, scored elastic net.
    """
    return (delta.abs() / (scores + 1e-6)).sum()


def scatter(values: Tensor, anchors: Tensor, width: int) -> Tensor:
    """Put ``values`` (anchors,) at ``anchors`` of a vector of zeros; (width,)."""
    return torch.zeros(width, dtype=values.dtype, device=values.device).index_put(
        (anchors,), values
    )
