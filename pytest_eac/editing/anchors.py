"""Which dimensions carry an edit: the weighted-gradient saliency of Editing Anchor Compression."""

import torch
from torch import Tensor

from pytest_eac.spec.schema.settings import AnchorSettings


def saliency(mean_gradient: Tensor, delta: Tensor) -> Tensor:
    """Return ``s = |mean_t(g_t) * delta|``, element by element.

    Args:
        mean_gradient: mean of the signed gradients over the optimisation steps; (d_out,).
        delta: the value's change that those steps found; (d_out,).

    Source: EAC (arXiv 2503.00035), section 3, weighted-gradient saliency.
    """
    return (mean_gradient * delta).abs()


def choose_anchors(
    settings: AnchorSettings, mean_gradient: Tensor, delta: Tensor, *, seed: int
) -> Tensor:
    """Return the anchors' indices, ascending.

    Args:
        settings: ``choice`` ranks the dimensions; ``ratio`` or ``threshold`` says how many to keep.
        mean_gradient: (d_out,).
        delta: (d_out,).
        seed: of the ranking by chance.
    """
    if settings.choice == "all":
        return torch.arange(delta.numel(), device=delta.device)
    if settings.choice == "random":
        generator = torch.Generator().manual_seed(seed)
        ranking = torch.rand(delta.numel(), generator=generator).to(delta.device)
    elif settings.choice == "gradient":
        ranking = mean_gradient.abs()
    elif settings.choice == "magnitude":
        ranking = delta.abs()
    else:
        ranking = saliency(mean_gradient, delta)
    if settings.threshold is not None:
        return (ranking >= settings.threshold * ranking.max()).nonzero()[:, 0]
    return top_anchors(ranking, settings.ratio)


def top_anchors(scores: Tensor, ratio: float) -> Tensor:
    """Return the indices of the ``floor(ratio * d_out)`` largest scores (at least one), ascending.

    Args:
        scores: (d_out,).
        ratio: share of dimensions to keep, in (0, 1].
    """
    count = max(1, int(ratio * scores.numel()))
    return scores.topk(count).indices.sort().values


def net_l1(delta: Tensor, scores: Tensor, *, scored: bool) -> Tensor:
    """Return the elastic net's L1 term: scored, or plain ``sum_i |delta_i|``."""
    return scored_l1(delta, scores) if scored else delta.abs().sum()


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
