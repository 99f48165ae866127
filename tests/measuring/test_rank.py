from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eac.measuring.rank import effective_rank


def slow_rank(matrix: torch.Tensor, tolerance: float) -> int:
    """Count by a whole SVD."""
    values = torch.linalg.svdvals(matrix.double())
    return next(
        r for r in range(len(values) + 1) if float(values[r:].square().sum()) <= tolerance**2
    )


@settings(max_examples=60)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    rank=st.integers(0, 12),
    noise=st.sampled_from([0.0, 1e-6, 1e-4]),
    chunk=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_the_rank_is_that_of_a_whole_svd(
    rows: int, columns: int, rank: int, noise: float, chunk: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    matrix = normal(rows, rank) @ normal(rank, columns) + noise * normal(rows, columns)
    tolerance = 1e-2 * float(matrix.norm())
    found = effective_rank(
        lambda: matrix.split(chunk), (rows, columns), limit=40, tolerance=tolerance
    )
    assert found == slow_rank(matrix, tolerance)


@pytest.mark.parametrize(("rank", "found"), [(4, 4), (5, 5), (6, 6), (30, 6)])
def test_a_rank_above_the_limit_is_one_above_it(rank: int, found: int) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(50, rank, generator=generator) @ torch.randn(rank, 60, generator=generator)
    assert effective_rank(lambda: [matrix], (50, 60), limit=5, tolerance=0) == found


def test_what_rounding_leaves_of_a_low_rank_update_is_no_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(64, 96, generator=generator)
    update = torch.randn(64, 3, generator=generator) @ torch.randn(3, 96, generator=generator)
    change = (base + 0.1 * update) - base
    assert int(torch.linalg.matrix_rank(change, rtol=1e-8)) > 50
    tolerance = 1e-3 * float(change.norm())
    assert effective_rank(lambda: [change], (64, 96), limit=20, tolerance=tolerance) == 3
