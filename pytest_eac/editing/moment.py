"""The second moment of a layer's inputs as updates use it: solved with, and projected on."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pytest_eac.errors import EditError

_SHARES = (0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """The second moment of one module's inputs.

    Attributes:
        matrix: ``C``, uncentred, without its ridge; (d_in, d_in), float64.
        tokens: how many inputs it is the mean of.
        ridge: what is added to its diagonal before it is solved with, as a multiple of the
            diagonal's mean.
        corpus: the name of the texts.
        corpus_sha256: the hash that identifies them.
    """

    matrix: Tensor
    tokens: int
    ridge: float
    corpus: str = ""
    corpus_sha256: str = ""
    _kept: dict[object, Tensor] = field(default_factory=dict)

    def regularised(self) -> Tensor:
        """``C + ridge * mean(diag C) * I``; (d_in, d_in)."""
        diagonal = self.matrix.diagonal()
        return self.matrix + torch.diag((self.ridge * diagonal.mean()).expand_as(diagonal))

    def solve(self, right: Tensor, *, weight: float = 1.0, identity: float = 0.0) -> Tensor:
        """Return ``(weight * C + identity * I)^-1 right`` with the regularised ``C``; float64.

        The factorisation is made once for a weight.

        Raises:
            EditError: the matrix is singular: too few tokens for too small a ridge.
        """
        key = (weight, identity)
        if key not in self._kept:
            matrix = weight * self.regularised()
            matrix.diagonal().add_(identity)
            factor, failed = torch.linalg.cholesky_ex(matrix)
            if bool(failed):
                raise EditError(
                    f"the covariance of {self.tokens} tokens is singular ({len(matrix)} "
                    f"dimensions, ridge {self.ridge:g}); give more text or a larger ridge"
                )
            self._kept[key] = factor
        return torch.cholesky_solve(right.double(), self._kept[key])

    def describe(self) -> str:
        """Say what it was measured on, and how its eigenvalues lie."""
        values = torch.linalg.eigvalsh(self.matrix)
        return (
            f"{len(self.matrix)} dimensions, {self.tokens} tokens, eigenvalues at "
            f"{_quantiles(values)} (ridge: {self.ridge * float(self.matrix.diagonal().mean()):.2g})"
        )

    def project(self, keys: Tensor, threshold: float) -> Tensor:
        """Project on the eigenvectors of ``C`` (no ridge) with an eigenvalue below ``threshold``.

        Raises:
            EditError: none, or all, of the eigenvalues are below it.
        """
        key = ("eigenvectors", threshold)
        if key not in self._kept:
            values, vectors = torch.linalg.eigh(self.matrix)
            below = values < threshold
            if not bool(below.any()) or bool(below.all()):
                raise EditError(
                    f"threshold {threshold:g}: {int(below.sum())} of {len(values)} directions are "
                    f"below it, so nothing would be projected; eigenvalues at {_quantiles(values)}"
                )
            self._kept[key] = vectors[:, below]
        basis = self._kept[key]
        return basis @ (basis.T @ keys.double())


def _quantiles(values: Tensor) -> str:
    return ", ".join(f"{100 * share:g} %: {float(values.quantile(share)):.2g}" for share in _SHARES)
