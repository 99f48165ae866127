"""What an update rule is given: where to write, what to write, what to leave alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pytest_eac.editing.moment import Moment
from pytest_eac.lm.weights import WeightDelta


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
        earlier_sum: ``K_p K_p^T``, (d_in, d_in) in float64, where there are more earlier keys than
            inputs: what is solved with it costs the same for any number of them.
        moment: the second moment C of the module's inputs; ``None`` stands for the identity.
        options: an instance of the method's own ``update`` model.
    """

    module: str
    weight: Tensor
    bare_keys: Tensor
    keys: Tensor
    residuals: Tensor
    earlier: Tensor
    moment: Moment | None
    options: Any
    earlier_sum: Tensor | None = None

    @property
    def all_keys(self) -> Tensor:
        """The keys of these edits and of those before them, ``[K_p K]``; (d_in, m + n)."""
        return torch.cat([self.earlier, self.keys], dim=1)

    def whiten(self, right: Tensor) -> Tensor:
        """Return ``C^-1 right``, (d_in, n) in float64."""
        return right.double() if self.moment is None else self.moment.solve(right)

    def delta(self, left: Tensor, right: Tensor | None = None) -> WeightDelta:
        """Return the change ``left right^T`` of the matrix, in the number format of ``left``.

        Args:
            left: (d_out, r); the whole change, (d_out, d_in), where there is no ``right``.
            right: (d_in, r).
        """
        right = None if right is None else right.to(left.dtype)
        return WeightDelta(module=self.module, left=left, right=right)


@dataclass(kw_only=True, eq=False)
class KeySum:
    """The sum ``K K^T`` of keys that more are appended to, in float64.

    It is derived from the keys and is not stored: whoever resumes a sequence sums them once.
    """

    _last: tuple[Tensor, Tensor] | None = None

    def of(self, keys: Tensor) -> Tensor:
        """Return ``K K^T``, (d, d), of keys (d, m); only columns that are new are added.

        Keys that do not begin with those of the call before are all summed.
        """
        total, count = keys.new_zeros((len(keys), len(keys)), dtype=torch.float64), 0
        if self._last is not None:
            seen, before = self._last
            if torch.equal(keys[:, : seen.shape[1]], seen):
                total, count = before, seen.shape[1]
        added = keys[:, count:].double()
        total = total.addmm(added, added.T)
        self._last = keys, total
        return total


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
