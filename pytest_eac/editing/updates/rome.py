"""ROME's update: one rank-one step that maps the subject's key to the new value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.errors import EditError
from pytest_eac.lm.weights import WeightDelta

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_ALIGNMENT = 1e-3


def rome_update(module: str, *, delta: Tensor, key: Tensor, mean_key: Tensor) -> WeightDelta:
    """Return ``dW = (v* - W k) u^T / (k . u)`` with ``u = mean_key / ||mean_key||``.

    Since the layer's output at the bare prompt is ``W k`` (plus its bias), ``v* - W k`` is
    ``delta`` itself: the change has rank one and is zero on every row where ``delta`` is.

    Args:
        module: path of the edited module.
        delta: ``v* - v_init``; (d_out,).
        key: ``k``, the layer's input at the subject's last token in the bare prompt; (d_in,).
        mean_key: the same, averaged over all contexts; (d_in,).

    Raises:
        EditError: the keys are so unlike that the division would blow the update up.

    Source: ROME (Meng et al. 2022), equation 2, with the identity as covariance, as the released
    EAC code has it.
    """
    direction = mean_key / mean_key.norm()
    scale = key @ direction
    alignment = float(scale / key.norm())
    if not abs(alignment) > _LEAST_ALIGNMENT:
        raise EditError(
            f"the subject's key in the bare prompt and its mean over contexts are almost orthogonal"
            f" (cosine {alignment:.1e}): the update would blow up. Put a few words before the "
            "subject in the prompt, or give other contexts"
        )
    return WeightDelta(module=module, left=(delta / scale)[:, None], right=direction[:, None])
