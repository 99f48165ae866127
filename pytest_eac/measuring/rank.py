"""The effective rank of a matrix that is read a few rows at a time."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

# Columns of the sketch beyond the rank that is looked for.
_OVERSAMPLING = 10
_SEED = 0
_ROUNDING = 5e-7


def effective_rank(
    rows: Callable[[], Iterable[Tensor]], shape: tuple[int, int], *, limit: int, tolerance: float
) -> int:
    """Return the smallest r for which the best rank-r approximation is within ``tolerance``.

    With the singular values ``s`` of D (m, n): the smallest r with
    ``||D||_F^2 - (s_1^2 + ... + s_r^2) <= tolerance^2``. They are found by a randomised range
    finder with one power iteration: ``Q = orth(D^T D Omega)`` for a seeded Gaussian Omega
    (n, ``limit`` + 10), and ``s^2`` the eigenvalues of ``(D Q)^T D Q``. D is read twice and never
    held; what is held has the shape of Omega.

    Args:
        rows: yields D from its start at each call: chunks of whole rows, in order, any float dtype.
        shape: (m, n) of D.
        limit: ``limit`` + 1 is returned for any rank above it.
        tolerance: an absolute Frobenius norm; below 7e-4 of D's, that is what counts, since
            products are in float32.

    Source: Halko, Martinsson and Tropp, "Finding structure with randomness" (2011), algorithms 4.4
    and 5.1.
    """
    m, n = shape
    width = min(m, n, limit + _OVERSAMPLING)
    generator = torch.Generator().manual_seed(_SEED)
    start = torch.randn(n, width, generator=generator)
    squares = 0.0
    sketch = torch.zeros(n, width, dtype=torch.float64)
    for chunk in rows():
        squares += float(chunk.double().square().sum())
        part = chunk.float()
        sketch += part.T @ (part @ start)
    if squares <= tolerance**2:
        return 0
    basis, _ = torch.linalg.qr(sketch)
    basis = basis.float()
    gram = torch.zeros(width, width, dtype=torch.float64)
    for chunk in rows():
        image = (chunk.float() @ basis).double()
        gram += image.T @ image
    found = torch.linalg.eigvalsh(gram).flip(0).clamp_min(0)
    left = squares - found.cumsum(0)
    # A residual of zero comes out as what products in float32 leave of it.
    rank = int((left > max(tolerance**2, squares * _ROUNDING)).sum()) + 1
    return min(rank, limit + 1)
