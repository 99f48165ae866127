"""The value: what the layer must write at the subject, so that the model says the target.

Plain editors search all dimensions. EAC searches all of them (stage 1), keeps the most salient as
anchors, and searches again on those alone (stage 2) under a scored elastic net. Both are the same
descent on the same objective, with other variables and other penalties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.anchors import choose_anchors, net_l1, saliency, scatter
from pytest_eac.errors import NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.editing.objective import Objective
    from pytest_eac.spec.settings import AnchorSettings, ValueSettings


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
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Value:
    """A solved value.

    Attributes:
        delta: what to add to the layer's output at the subject; (d_out,).
        init: the output before the edit; (d_out,). The value itself is ``init + delta``.
        written: the part of ``init`` that the down-projection wrote; (d_out,).
        stages: the losses of each stage, step by step.
        first_delta: stage 1's delta; equal to ``delta`` for plain editors.
        anchors: ascending indices of the dimensions that carry the edit; ``None`` without EAC.
        reached: whether the search stopped because it was there (see ``stop_when``).
    """

    delta: Tensor
    init: Tensor
    written: Tensor
    stages: tuple[tuple[StepLoss, ...], ...]
    first_delta: Tensor
    anchors: tuple[int, ...] | None
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """The weighted terms of the loss at a point, and whether the target is said there."""

    nll: Tensor
    kl: Tensor
    decay: Tensor
    net: Tensor
    said: Tensor


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
    reached = False
    losses: list[StepLoss] = []
    updates = 0
    for step in range(steps):
        parts = terms(point)
        total = parts.nll + parts.kl + parts.decay + parts.net
        if not bool(torch.isfinite(total)):
            raise NonFiniteError(f"the loss is {total.item()} at step {step + 1} of the search")
        losses.append(
            StepLoss(
                total=float(total.detach()),
                nll=float(parts.nll.detach()),
                kl=float(parts.kl.detach()),
                decay=float(parts.decay.detach()),
                net=float(parts.net.detach()),
            )
        )
        reached = losses[-1].total < settings.stop_loss or (
            settings.stop_when == "argmax" and bool(parts.said)
        )
        if reached or (step == steps - 1 and not update_last):
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
        end=point.detach(),
        mean_gradient=gradients / max(updates, 1),
        losses=tuple(losses),
        reached=reached,
    )


class _Search:
    """The loss of one edit's value, and the two stages that minimise it."""

    def __init__(self, objective: Objective, settings: ValueSettings) -> None:
        self.objective = objective
        self.settings = settings
        self.size = objective.init.norm()
        self.width = objective.init.numel()
        self.unedited = self.essence(torch.zeros_like(objective.init))

    @torch.no_grad()
    def essence(self, delta: Tensor) -> Tensor:
        """What the model takes the subject for, with ``delta`` in place."""
        return self.objective(delta).essence

    def terms(self, delta: Tensor, reference: Tensor, *, l2: float, net: Tensor) -> Terms:
        """Return the loss's terms at ``delta`` (d_out,); the KL is against ``reference``."""
        outcome = self.objective(delta)
        kl = torch.nn.functional.kl_div(
            reference, outcome.essence, log_target=True, reduction="sum"
        )
        return Terms(
            nll=outcome.nll,
            kl=self.settings.kl_factor * kl,
            decay=l2 * delta.norm() / self.size**2,
            net=net,
            said=outcome.said,
        )

    def descend(
        self,
        terms: Callable[[Tensor], Terms],
        start: Tensor,
        *,
        steps: int,
        update_last: bool,
    ) -> Descent:
        radius = self.settings.clamp * float(self.size)
        return descend(
            terms,
            start,
            settings=self.settings,
            steps=steps,
            radius=radius,
            update_last=update_last,
        )

    def everywhere(self, *, update_last: bool) -> Descent:
        """Search all dimensions: the plain search, and EAC's stage 1."""
        none = self.size.new_zeros(())
        l2 = self.settings.weight_decay
        return self.descend(
            lambda delta: self.terms(delta, self.unedited, l2=l2, net=none),
            torch.zeros_like(self.objective.init),
            steps=self.settings.steps,
            update_last=update_last,
        )

    def on_anchors(
        self, first: Descent, chosen: Tensor, scores: Tensor, anchors: AnchorSettings
    ) -> Descent:
        """Search the anchors alone, under the elastic net: EAC's stage 2."""
        kept = first.end[chosen]
        start = kept if anchors.start == "warm" else torch.zeros_like(kept)
        l2 = self.settings.weight_decay if anchors.l2 is None else anchors.l2
        reference = self.unedited
        if anchors.kl_reference == "start":
            reference = self.essence(scatter(start, chosen, self.width))
        return self.descend(
            lambda free: self.terms(
                scatter(free, chosen, self.width),
                reference,
                l2=l2,
                net=anchors.l1 * net_l1(free, scores, scored=anchors.scored),
            ),
            start,
            steps=anchors.steps,
            update_last=True,
        )


def solve_value(
    objective: Objective,
    settings: ValueSettings,
    anchors: AnchorSettings | None,
    *,
    seed: int = 0,
) -> Value:
    """Find the value of an edit.

    Args:
        objective: the edit's forward pass.
        settings: of the search.
        anchors: of EAC; ``None`` for the plain search.
        seed: of anchors chosen by chance.

    Returns:
        The value. With EAC, ``delta`` is zero off the anchors. A target that the model already
        gives (the search stops at once) needs no change: ``delta`` is zero and there are no
        anchors.

    Raises:
        NonFiniteError: a loss is NaN or infinite.

    Source: ROME (Meng et al. 2022), equation 4; EAC (arXiv 2503.00035), section 3.
    """
    search = _Search(objective, settings)
    first = last = search.everywhere(update_last=anchors is not None)
    delta, chosen, stages = first.end, None, [first.losses]
    if anchors is not None and not bool(delta.any()):
        chosen = torch.empty(0, dtype=torch.long)
    elif anchors is not None:
        chosen = choose_anchors(anchors, first.mean_gradient, first.end, seed=seed)
        delta = scatter(first.end[chosen], chosen, search.width)
        if anchors.retrain:
            scores = saliency(first.mean_gradient, first.end)[chosen]
            last = search.on_anchors(first, chosen, scores, anchors)
            delta = scatter(last.end, chosen, search.width)
            stages.append(last.losses)
    return Value(
        delta=delta,
        init=objective.init,
        written=objective.written,
        stages=tuple(stages),
        first_delta=first.end,
        anchors=None if chosen is None else tuple(chosen.tolist()),
        reached=last.reached,
    )
