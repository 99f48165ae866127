"""What an update rule is given: where to write, what to write, what to leave alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.editing.covariance import Moment
    from pytest_eac.spec.schema.settings import UpdateSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """One matrix to change for ``n`` edits at once.

    Attributes:
        module: path of the edited module.
        weight: the matrix as it is now, W; (d_out, d_in), float32.
        bare_keys: the module's input at the subject of each bare prompt; (d_in, n).
        keys: the same, averaged over the contexts in the method's own way, K; (d_in, n).
        residuals: what the matrix must add for those keys, R; (d_out, n).
        earlier: the keys of the edits before these, K_p; (d_in, m).
        moment: the second moment C of the module's inputs; ``None`` stands for the identity.
        options: the method's own.
    """

    module: str
    weight: Tensor
    bare_keys: Tensor
    keys: Tensor
    residuals: Tensor
    earlier: Tensor
    moment: Moment | None
    options: UpdateSettings

    def whiten(self, right: Tensor) -> Tensor:
        """Return ``C^-1 right``, (d_in, n) in float64."""
        return right.double() if self.moment is None else self.moment.solve(right)


def solve_with_keys(solve: Callable[[Tensor], Tensor], keys: Tensor, right: Tensor) -> Tensor:
    """Return ``(M + A A^T)^-1 B`` from a solver of ``M`` alone, by the Woodbury identity.

    Args:
        solve: ``X -> M^-1 X``.
        keys: ``A``; (d, m).
        right: ``B``; (d, n).

    Exact, and cheap while there are fewer keys than dimensions: the factorisation of ``M`` is the
    same for a whole sequence.
    """
    base, base_keys = solve(right), solve(keys)
    small = torch.eye(keys.shape[1], dtype=base.dtype, device=base.device) + keys.T @ base_keys
    correction: Tensor = base_keys @ torch.linalg.solve(small, keys.T @ base)
    return base - correction
