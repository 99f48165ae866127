"""The value: what the layer must write at the subject, so that the model says the target.

Plain editors search all dimensions. EAC searches all of them (stage 1), keeps the most salient as
anchors, and searches again on those alone (stage 2) under a scored elastic net. Both are the same
descent on the same objective, with other variables and other penalties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.anchors import saliency, scatter, scored_l1, top_anchors
from pytest_eac.errors import NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.editing.objective import Objective
    from pytest_eac.spec.methods import AnchorSettings, ValueSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLoss:
    """The terms of the loss at one step, weights included; ``total`` is their sum."""

    total: float
    nll: float
    kl: float
    decay: float
    net: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Descent:
    """A finished search: where it ended, its losses, the mean of its gradients (same shape)."""

    end: Tensor
    mean_gradient: Tensor
    losses: tuple[StepLoss, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Value:
    """A solved value.

    Attributes:
        delta: what to add to the layer's output at the subject; (d_out,).
        init: the output before the edit; (d_out,). The value itself is ``init + delta``.
        stages: the losses of each stage, step by step.
        first_delta: stage 1's delta; equal to ``delta`` for plain editors.
        anchors: ascending indices of the dimensions that carry the edit; ``None`` without EAC.
        reached: whether the last loss is below the stop loss.
    """

    delta: Tensor
    init: Tensor
    stages: tuple[tuple[StepLoss, ...], ...]
    first_delta: Tensor
    anchors: tuple[int, ...] | None
    reached: bool


Terms = tuple["Tensor", "Tensor", "Tensor", "Tensor"]


def descend(
    terms: Callable[[Tensor], Terms],
    start: Tensor,
    *,
    settings: ValueSettings,
    steps: int,
    radius: float,
    update_last: bool,
) -> Descent:
    """Minimise the sum of ``terms`` (NLL, KL, decay, net) by Adam within a ball.

    One step is: losses, stop if below the stop loss, gradient, Adam, projection on the ball
    ``||delta||_2 <= radius``. Adam starts afresh in each call.

    Args:
        terms: the weighted terms of the loss at a point.
        start: where to start; any shape.
        settings: learning rate and stop loss.
        steps: largest number of evaluations.
        radius: the ball's radius.
        update_last: whether the last evaluation is followed by an update (EAC's stages) or only
            reports where the search stands (ROME, MEMIT).

    Raises:
        NonFiniteError: the loss is NaN or infinite.
    """
    point = start.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([point], lr=settings.learning_rate)
    gradients = torch.zeros_like(point, requires_grad=False)
    losses: list[StepLoss] = []
    updates = 0
    for step in range(steps):
        parts = terms(point)
        total = torch.stack(parts).sum()
        if not bool(torch.isfinite(total)):
            raise NonFiniteError(f"the loss is {total.item()} at step {step + 1} of the search")
        nll, kl, decay, net = (float(part.detach()) for part in parts)
        losses.append(StepLoss(total=float(total.detach()), nll=nll, kl=kl, decay=decay, net=net))
        if losses[-1].total < settings.stop_loss or (step == steps - 1 and not update_last):
            break
        optimizer.zero_grad()
        total.backward()
        gradients += point.grad if point.grad is not None else 0
        optimizer.step()
        updates += 1
        with torch.no_grad():
            norm = point.norm()
            if norm > radius:
                point.mul_(radius / norm)
    return Descent(
        end=point.detach(), mean_gradient=gradients / max(updates, 1), losses=tuple(losses)
    )


def solve_value(
    objective: Objective, settings: ValueSettings, anchors: AnchorSettings | None
) -> Value:
    """Find the value of an edit.

    Args:
        objective: the edit's forward pass.
        settings: of the search.
        anchors: of EAC; ``None`` for the plain search.

    Returns:
        The value. With EAC, ``delta`` is zero off the anchors. A target that the model already
        gives (loss below the stop loss at once) needs no change: ``delta`` is zero and there are no
        anchors.

    Raises:
        NonFiniteError: a loss is NaN or infinite.

    Source: ROME (Meng et al. 2022), equation 4; EAC (arXiv 2503.00035), section 3.
    """
    init = objective.init
    size = init.norm()
    radius = settings.clamp * float(size)
    start = torch.zeros_like(init)
    with torch.no_grad():
        unedited = objective(start).essence
    none = init.new_zeros(())

    def terms(delta: Tensor, free: Tensor, reference: Tensor, net: Tensor) -> Terms:
        outcome = objective(delta)
        kl = torch.nn.functional.kl_div(
            reference, outcome.essence, log_target=True, reduction="sum"
        )
        decay = settings.weight_decay * free.norm() / size**2
        return outcome.nll, settings.kl_factor * kl, decay, net

    first = descend(
        lambda delta: terms(delta, delta, unedited, none),
        start,
        settings=settings,
        steps=settings.steps,
        radius=radius,
        update_last=anchors is not None,
    )
    if anchors is None or not bool(first.end.any()):
        return Value(
            delta=first.end,
            init=init,
            stages=(first.losses,),
            first_delta=first.end,
            anchors=None if anchors is None else (),
            reached=first.losses[-1].total < settings.stop_loss,
        )
    scores = saliency(first.mean_gradient, first.end)
    chosen = top_anchors(scores, anchors.ratio)
    free_start = first.end[chosen] if anchors.start == "warm" else torch.zeros_like(scores[chosen])
    reference = unedited
    if anchors.kl_reference == "start":
        with torch.no_grad():
            reference = objective(scatter(free_start, chosen, init.numel())).essence
    second = descend(
        lambda free: terms(
            scatter(free, chosen, init.numel()),
            free,
            reference,
            anchors.l1 * scored_l1(free, scores[chosen]),
        ),
        free_start,
        settings=settings,
        steps=anchors.steps,
        radius=radius,
        update_last=True,
    )
    return Value(
        delta=scatter(second.end, chosen, init.numel()),
        init=init,
        stages=(first.losses, second.losses),
        first_delta=first.end,
        anchors=tuple(chosen.tolist()),
        reached=second.losses[-1].total < settings.stop_loss,
    )
