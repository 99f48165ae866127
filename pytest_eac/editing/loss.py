"""How unlikely the targets are under other weights: what fine-tuning minimises."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pytest_eac.editing.prompts import prepare
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.spec.edits import Edit


class TargetLoss:
    """The mean over edits of the mean NLL of the target's tokens after the bare prompt.

    Call it with weights by name, e.g. ``{"model.layers.9.mlp.down_proj.weight": changed}``, in the
    module's own orientation; the model itself is neither changed nor left with gradients.

    Each token of the target is read after those before it (teacher forcing), or, with
    ``at_prompt``, all of them where the prompt ends.
    """

    def __init__(
        self, loaded: LoadedModel, edits: tuple[Edit, ...], *, at_prompt: bool = False
    ) -> None:
        self._at_prompt = at_prompt
        self._model = loaded.model
        prompts = [prepare(loaded, edit, ("{}",)) for edit in edits]
        self._inputs = loaded.pad([each.rows[0] for each in prompts], side="right").as_inputs()
        self._places = [(each.starts[0], each.target) for each in prompts]

    def __call__(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Run the model with other weights; scalar, float32."""
        arguments = {**self._inputs, "use_cache": False}
        logits = torch.func.functional_call(self._model, dict(weights), (), arguments).logits
        likely = logits.float().log_softmax(dim=-1)
        losses = [
            -likely[row, self._read_at(start, len(target)), list(target)].mean()
            for row, (start, target) in enumerate(self._places)
        ]
        return torch.stack(losses).mean()

    def _read_at(self, start: int, count: int) -> Tensor:
        return (
            torch.full((count,), start) if self._at_prompt else torch.arange(start, start + count)
        )
