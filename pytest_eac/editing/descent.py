"""Gradient descent: Adam within a ball, for several edits at once, each independent."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pytest_eac.errors import NonFiniteError
from pytest_eac.spec.schema.settings import ValueSettings


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
class Terms:
    """The weighted terms of the loss at a point of each edit, and whether its target is said there.

    All are (edits,).
    """

    nll: Tensor
    kl: Tensor
    decay: Tensor
    net: Tensor
    said: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum, (edits,)."""
        return self.nll + self.kl + self.decay + self.net

    def read(self) -> list[tuple[StepLoss, bool]]:
        """Return the numbers of each edit, and whether its target is said."""
        parts = (self.total, self.nll, self.kl, self.decay, self.net, self.said.float())
        rows = torch.stack([each.detach() for each in parts], dim=1).tolist()
        return [
            (StepLoss(total=total, nll=nll, kl=kl, decay=decay, net=net), bool(said))
            for total, nll, kl, decay, net, said in rows
        ]


class _Walk:
    """One edit's descent: its current point, and the losses and gradients so far."""

    def __init__(self, start: Tensor, radius: float, learning_rate: float) -> None:
        self.point = start.detach().clone().requires_grad_()
        self._radius = radius
        self._optimizer = torch.optim.Adam([self.point], lr=learning_rate)
        self._gradients = torch.zeros_like(start)
        self._updates = 0
        self.losses: list[StepLoss] = []
        self.said = 0
        self.reached = False

    def move(self, gradient: Tensor) -> None:
        """Make one step against the gradient, then project back on the ball if the step left it."""
        self._gradients += gradient
        self._updates += 1
        self.point.grad = gradient
        self._optimizer.step()
        with torch.no_grad():
            norm = self.point.norm()
            if norm > self._radius:
                self.point.mul_(self._radius / norm)

    def finish(self) -> Descent:
        return Descent(
            end=self.point.detach(),
            mean_gradient=self._gradients / max(self._updates, 1),
            losses=tuple(self.losses),
            reached=self.reached,
        )


def descend(
    terms: Callable[[list[Tensor], list[int]], Terms],
    starts: Mapping[int, Tensor],
    *,
    settings: ValueSettings,
    steps: int,
    radii: Mapping[int, float],
    update_last: bool,
) -> dict[int, Descent]:
    """Minimise the sum of ``terms`` (NLL, KL, decay, net) of each edit by Adam within a ball.

    One step is: losses, stop if below the stop loss, gradient, Adam, projection on the ball
    ``||delta||_2 <= radius``. Adam starts from scratch in each call. An edit that has stopped takes
    no part in the remaining steps of the others.

    Args:
        terms: the weighted terms of the loss at (points, of these edits).
        starts: where each edit starts, by its number; any shape.
        settings: learning rate and stop loss.
        steps: largest number of evaluations.
        radii: each edit's radius.
        update_last: whether the last evaluation is followed by an update (EAC's stages) or only
            reports where the search stands (ROME, MEMIT).

    Raises:
        NonFiniteError: a loss is NaN or infinite; its ``edit`` is the edit's number.
    """
    walks = {
        edit: _Walk(start, radii[edit], settings.learning_rate) for edit, start in starts.items()
    }
    running = list(walks)
    for step in range(steps):
        if not running:
            break
        points = [walks[edit].point for edit in running]
        parts = terms(points, running)
        moving = []
        for edit, (losses, said) in zip(running, parts.read(), strict=True):
            walk = walks[edit]
            if not math.isfinite(losses.total):
                what = f"the loss is {losses.total} at step {step + 1} of the search"
                raise NonFiniteError(what, edit=edit)
            walk.losses.append(losses)
            walk.said += said
            walk.reached = losses.total < settings.stop_loss or (
                settings.stop_when == "argmax" and walk.said >= settings.argmax_steps
            )
            moving.append(not walk.reached)
        if any(moving) and (step < steps - 1 or update_last):
            gradients = torch.autograd.grad(parts.total[torch.tensor(moving)].sum(), points)
            for edit, gradient, moves in zip(running, gradients, moving, strict=True):
                if moves:
                    walks[edit].move(gradient)
        running = [edit for edit, moves in zip(running, moving, strict=True) if moves]
    return {edit: walk.finish() for edit, walk in walks.items()}
