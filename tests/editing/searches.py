"""Objectives made by hand, each for one edit, put together as the solver wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from pytest_eac.editing.objective import Response
from pytest_eac.editing.value import Value, solve_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pytest_eac.spec.schema.settings import AnchorSettings, ValueSettings


class Alone(Protocol):
    """One edit's objective: a delta (d_out,) to an outcome without the dimension of edits."""

    init: Tensor
    written: Tensor

    def __call__(self, delta: Tensor) -> Response: ...


class Together:
    """Some of them as one."""

    def __init__(self, *alone: Alone) -> None:
        self.alone = alone
        self.init = torch.stack([each.init for each in alone])
        self.written = torch.stack([each.written for each in alone])

    def __call__(self, deltas: Tensor, edits: Sequence[int]) -> Response:
        outcomes = [self.alone[edit](delta) for edit, delta in zip(edits, deltas, strict=True)]
        return Response(
            nll=torch.stack([each.nll for each in outcomes]),
            essence=torch.stack([each.essence for each in outcomes]),
            said=torch.stack([each.said for each in outcomes]),
        )


def solve_alone(
    objective: Alone, settings: ValueSettings, anchors: AnchorSettings | None, *, seed: int = 0
) -> Value:
    return solve_values(Together(objective), settings, anchors, seeds=[seed])[0]
