from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.stats import multivariate_normal, norm, rankdata, t

from pytest_eac.stats.dependence import (
    RHO,
    dependence,
    drawn,
    effects,
    log_likelihood,
    normal_scores,
    normalised,
    rise_weights,
)

if TYPE_CHECKING:
    from tests.stats.growing import Floats


def correlations(rho: float, n: int) -> Floats:
    return np.asarray(toeplitz(rho ** np.arange(n)), dtype=float)


def line(n: int) -> Floats:
    return np.asarray(np.arange(n) - (n - 1) / 2, dtype=float)


@pytest.mark.parametrize("n", [6, 25])
def test_effects_on_t_are_those_of_whole_matrices(n: int) -> None:
    """Traces of n x n matrices are the twin."""
    design = np.column_stack([np.ones(n), line(n)])
    found = effects(np.full(len(RHO), 1 / len(RHO)), design)
    basis = design / np.linalg.norm(design, axis=0)
    left = np.eye(n) - basis @ basis.T
    for k, rho in enumerate(RHO):
        matrix = correlations(rho, n)
        trace = np.trace(left @ matrix)
        contrast = basis[:, 1]
        assert found.inflation[k] == pytest.approx(contrast @ matrix @ contrast * (n - 2) / trace)
        assert found.freedom[k] == pytest.approx(trace**2 / np.trace(left @ matrix @ left @ matrix))
        assert found.spread[k] == pytest.approx(np.sqrt(n / trace))
    assert found.inflation[0] == pytest.approx(1)
    assert found.freedom[0] == pytest.approx(n - 2)


def test_likelihoods_are_those_of_contrasts_of_the_values() -> None:
    """The normal density of what is at right angles to the design, over its scale, is the twin."""
    n = 9
    values = np.random.default_rng(1).normal(size=n).cumsum()
    design = np.column_stack([np.ones(n), line(n)])
    found = log_likelihood(values, design)
    contrasts = np.linalg.svd(design)[0][:, 2:]
    seen = contrasts.T @ values
    twin = []
    for rho in RHO:
        matrix = contrasts.T @ correlations(rho, n) @ contrasts
        scale = seen @ np.linalg.solve(matrix, seen) / (n - 2)
        twin.append(multivariate_normal.logpdf(seen, cov=scale * matrix))
    assert found - found[0] == pytest.approx(np.array(twin) - twin[0])


def test_a_new_level_is_weighed_as_its_design_would_be() -> None:
    """A design for each place, and the straight line, one by one, are the twin."""
    n = 11
    values = np.random.default_rng(2).normal(size=n)

    def of(column: Floats) -> Floats:
        column = column - column.mean()
        column = column * np.sqrt(n / (column @ column))
        return log_likelihood(values, np.column_stack([np.ones(n), column]))

    levels = [np.exp(of(np.array(np.arange(n) >= k, dtype=np.float64))) for k in range(3, n - 2)]
    twin = np.log(np.exp(of(line(n))) + np.mean(levels, axis=0))
    assert rise_weights(values) == pytest.approx(normalised(twin))


def test_p_and_quantile_are_inverse_and_wider_than_students_t() -> None:
    found = dependence(np.random.default_rng(3).normal(size=20), line(20))
    for confidence in (0.6, 0.9, 0.975):
        limit = found.quantile(confidence)
        assert found.p(limit) == pytest.approx(1 - confidence)
        assert limit > t.ppf(confidence, 18)
    assert found.p(-1.3) == pytest.approx(1 - found.p(1.3))


def test_values_that_resemble_their_neighbours_are_noticed() -> None:
    generator = np.random.default_rng(4)
    found = {
        rho: np.mean(
            [dependence(drawn(np.array([rho]), 60, generator)[0], line(60)).rho for _ in range(60)]
        )
        for rho in (0.0, 0.5, 0.8)
    }
    assert found[0.0] < 0.2
    assert found[0.5] == pytest.approx(0.5, abs=0.07)
    assert found[0.8] == pytest.approx(0.8, abs=0.12)


def test_a_rise_to_a_new_level_is_no_resemblance() -> None:
    values = normal_scores(np.array([1.0, 1.2, 0.8, 1.1, 0.9] * 4 + [3.0, 3.3, 2.9, 3.1, 2.7] * 4))
    assert rise_weights(values) @ RHO < 0.1
    assert dependence(values).rho > 0.4, "what it looks like if the rise is left in"


def test_drawn_rows_have_the_correlation_that_was_asked_for() -> None:
    rho = np.repeat([0.0, 0.4, 0.9], 4000)
    found = drawn(rho, 5, np.random.default_rng(5))
    for each in (0.0, 0.4, 0.9):
        rows = found[rho == each]
        assert np.corrcoef(rows.T) == pytest.approx(correlations(each, 5), abs=0.06)
        assert rows.std(axis=0) == pytest.approx(1, abs=0.05)


def test_normal_scores_are_quantiles_of_ranks() -> None:
    values = np.array([3.0, 100.0, 1.0, 2.0])
    assert normal_scores(values) == pytest.approx(norm.ppf(rankdata(values) / 5))
    assert not normal_scores(np.ones(5)).any()
