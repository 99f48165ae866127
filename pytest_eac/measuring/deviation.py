"""How far the edited matrices are from the original ones: the quantity that EAC holds down."""

from math import sqrt

import torch
from torch import Tensor, nn

from pytest_eac.errors import NonFiniteError
from pytest_eac.lm.layout import find_module
from pytest_eac.records.run import Deviation, Norms


@torch.no_grad()
def measure_deviation(model: nn.Module, originals: dict[str, Tensor]) -> Deviation:
    """Return ``||W_t - W_0||`` in L1 and Frobenius norm, absolute and over ``||W_0||``.

    Both norms are over the edited matrices: those with at least one changed entry. A matrix that a
    method may change and has not changed would only make the share smaller. As for a released
    model, only the present weights count: a change that was undone to the last bit does not.

    Args:
        model: the edited model.
        originals: the weights before the first edit, by module path, including those not edited.

    Raises:
        NonFiniteError: an edited weight is NaN or infinite.

    Source: EAC (arXiv 2503.00035), which constrains the L1 norm.
    """
    by_parameter = {}
    sums = torch.zeros(4, dtype=torch.float64)
    for path, original in originals.items():
        weight = find_module(model, path).weight
        base = original.double()
        change = weight.double() - base  # type: ignore[operator]
        parts = torch.stack(
            [change.abs().sum(), base.abs().sum(), change.square().sum(), base.square().sum()]
        ).cpu()
        found = _finite_norms(parts)
        if found["l1"] > 0:
            by_parameter[f"{path}.weight"] = Norms(**found)
            sums += parts
    return Deviation(**_finite_norms(sums), by_parameter=by_parameter)


def _finite_norms(parts: Tensor) -> dict[str, float]:
    l1, base_l1, squares, base_squares = parts.tolist()
    if not l1 + squares < float("inf"):
        raise NonFiniteError("the edited weights are not finite")
    return {
        **norms(l1, base_l1, sqrt(squares), sqrt(base_squares)),
        "frobenius_relative": sqrt(squares / base_squares) if base_squares else 0.0,
    }


def norms(l1: float, base_l1: float, frobenius: float, base_frobenius: float) -> dict[str, float]:
    """Return the fields of :class:`pytest_eac.records.run.Norms` from those of both matrices."""
    return {
        "l1": l1,
        "l1_relative": l1 / base_l1 if base_l1 else 0.0,
        "frobenius": frobenius,
        "frobenius_relative": frobenius / base_frobenius if base_frobenius else 0.0,
    }
