"""The second moment of a layer's inputs as updates use it: solved with, and projected on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pytest_eac.errors import EditError

_SHARES = (0.1, 0.5, 0.9, 1.0)
TOKENS_PER_INPUT = 10
"""With fewer tokens, other texts lie elsewhere than the one that was measured."""


def is_few(tokens: int, inputs: int) -> bool:
    """Return whether a second moment of this many inputs is measured on too few tokens."""
    return tokens < TOKENS_PER_INPUT * inputs


def projects(options: Any) -> bool:
    """Say whether a method with these options under ``update`` writes to a null space alone.

    Their model then has a method ``null_space(moment)`` that returns the :class:`NullSpace`.
    """
    return hasattr(options, "null_space")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NullSpace:
    """The directions in which other texts' keys have (almost) no share.

    Attributes:
        basis: orthonormal columns, (d_in, rank), float64.
        energy: the directions' share of the trace of ``C``.
    """

    basis: Tensor
    energy: float

    @property
    def rank(self) -> int:
        """The number of directions."""
        return self.basis.shape[1]

    def project(self, keys: Tensor) -> Tensor:
        """Return ``P keys``, (d_in, n) in float64."""
        return self.basis @ (self.basis.T @ keys.double())


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
        half: the same of every other row of the texts (a row is a text, or part of a long one);
            ``None`` unless there are few tokens and it was asked for.
        half_tokens: how many inputs that is the mean of.
    """

    matrix: Tensor
    tokens: int
    ridge: float
    corpus: str = ""
    corpus_sha256: str = ""
    half: Tensor | None = None
    half_tokens: int = 0
    _factors: dict[tuple[float, float], Tensor] = field(default_factory=dict)
    _spaces: dict[tuple[float | None, float | None], NullSpace] = field(default_factory=dict)
    _values: list[Tensor] = field(default_factory=list)

    def regularised(self) -> Tensor:
        """``C + ridge * mean(diag C) * I``; (d_in, d_in)."""
        diagonal = self.matrix.diagonal()
        return self.matrix + torch.diag((self.ridge * diagonal.mean()).expand_as(diagonal))

    def weighted(self, weight: float, identity: float) -> Tensor:
        """``weight * C + identity * I`` with the regularised ``C``; (d_in, d_in)."""
        matrix = weight * self.regularised()
        matrix.diagonal().add_(identity)
        return matrix

    def solve(self, right: Tensor, *, weight: float = 1.0, identity: float = 0.0) -> Tensor:
        """Return ``(weight * C + identity * I)^-1 right`` with the regularised ``C``; float64.

        The factorisation is made once for a weight.

        Raises:
            EditError: the matrix is singular: too few tokens for too small a ridge.
        """
        key = (weight, identity)
        if key not in self._factors:
            matrix = self.weighted(weight, identity)
            factor, failed = torch.linalg.cholesky_ex(matrix)
            if bool(failed):
                raise EditError(
                    f"the covariance of {self.tokens} tokens is singular ({len(matrix)} "
                    f"dimensions, ridge {self.ridge:g}); give more text or a larger ridge"
                )
            self._factors[key] = factor
        return torch.cholesky_solve(right.double(), self._factors[key])

    def whiten(self, right: Tensor) -> Tensor:
        """Return ``C^-1 right`` with the regularised ``C``, by whatever factorisation there is.

        Raises:
            EditError: see :meth:`solve`.
        """
        weight = next((weight for weight, identity in self._factors if not identity), 1.0)
        return weight * self.solve(right, weight=weight)

    @property
    def token_ratio(self) -> float:
        """Tokens for each dimension."""
        return self.tokens / len(self.matrix)

    def eigenvalues(self) -> Tensor:
        """Return those of ``C`` (no ridge), ascending; computed once."""
        if not self._values:
            self._values.append(torch.linalg.eigvalsh(self.matrix))
        return self._values[0]

    def condition(self) -> float | None:
        """Return the condition number of the regularised ``C``; ``None`` if it is singular."""
        values = self.eigenvalues() + self.ridge * self.matrix.diagonal().mean()
        least, most = float(values[0]), float(values[-1])
        precision = len(values) * torch.finfo(values.dtype).eps
        return most / least if least > precision * most else None

    def describe(self) -> str:
        """Say what it was measured on, and how its eigenvalues lie."""
        return (
            f"{len(self.matrix)} dimensions, {self.tokens} tokens, eigenvalues at "
            f"{_quantiles(self.eigenvalues())} "
            f"(ridge: {self.ridge * float(self.matrix.diagonal().mean()):.2g})"
        )

    def null_space(
        self, *, energy: float | None = None, threshold: float | None = None
    ) -> NullSpace:
        """Return the span of the eigenvectors of ``C`` (no ridge) with the least eigenvalues.

        Args:
            energy: largest share of the trace of ``C`` that they may have together.
            threshold: in place of that, what their eigenvalues are below.

        Raises:
            EditError: these are none, or all, of the eigenvectors.
        """
        key = (energy, threshold)
        if key not in self._spaces:
            values, vectors = torch.linalg.eigh(self.matrix)
            if not self._values:
                self._values.append(values)
            self._spaces[key] = _least(values, vectors, energy=energy, threshold=threshold)
        return self._spaces[key]

    def halves(self) -> tuple[Moment, Moment] | None:
        """Return the second moments of the two halves of the text, where they were measured."""
        if self.half is None or not 0 < self.half_tokens < self.tokens:
            return None
        rest = self.tokens - self.half_tokens
        other = (self.tokens * self.matrix - self.half_tokens * self.half) / rest
        return (
            replace(self, matrix=self.half, tokens=self.half_tokens, half=None, **_fresh()),
            replace(self, matrix=other, tokens=rest, half=None, **_fresh()),
        )


def _fresh() -> dict[str, Any]:
    return {"_factors": {}, "_spaces": {}, "_values": []}


def held_out_energy(options: Any, moment: Moment) -> tuple[float, float] | None:
    """Return how much of its energy a text has in the null space that is that of another text.

    The null space of one half of the text is held against the other, both ways.

    Args:
        options: of a method that projects (:func:`projects`).
        moment: with halves.

    Returns:
        The share of the energy of the half not seen, and of the half seen; ``None`` without
        halves, and where one of them has no null space.
    """
    if (halves := moment.halves()) is None:
        return None
    found = []
    for seen, unseen in (halves, halves[::-1]):
        try:
            space: NullSpace = options.null_space(seen)
        except EditError:
            return None
        inside = (space.basis * (unseen.matrix @ space.basis)).sum() / unseen.matrix.trace()
        found.append((float(inside), space.energy))
    return sum(each for each, _ in found) / 2, sum(each for _, each in found) / 2


def _least(
    values: Tensor, vectors: Tensor, *, energy: float | None, threshold: float | None
) -> NullSpace:
    """Return the span of the eigenvectors with the least of some ascending eigenvalues."""
    shares = values.clamp_min(0).cumsum(0) / values.clamp_min(0).sum()
    kept = shares <= energy if energy is not None else values < (threshold or 0)
    if not bool(kept.any()) or bool(kept.all()):
        option = f"threshold {threshold}" if energy is None else f"energy {energy:g}"
        raise EditError(
            f"{option}: {int(kept.sum())} of {len(values)} directions may be written to, so "
            f"nothing would be projected; eigenvalues at {_quantiles(values)}"
        )
    return NullSpace(basis=vectors[:, kept], energy=float(shares[kept][-1]))


def _quantiles(values: Tensor) -> str:
    return ", ".join(f"{100 * share:g} %: {float(values.quantile(share)):.2g}" for share in _SHARES)
