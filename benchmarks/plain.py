"""The plain way of editing, as research code does it: all tokens, all layers, all logits.

Every step runs each prompt in full, takes the log-softmax over the vocabulary at every token, and
only then picks what the loss reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.objective import Response
from pytest_eac.lm.forward.hooks import capture, patch
from pytest_eac.lm.layout import find_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pytest_eac.editing.prompts import EditPrompts
    from pytest_eac.lm.loading.load import LoadedModel


class PlainObjective:
    """One edit's objective; takes the place of :class:`pytest_eac.editing.objective.Objective`."""

    def __init__(
        self, loaded: LoadedModel, prompts: Sequence[EditPrompts], *, layer: int, site: str
    ) -> None:
        (only,) = prompts
        rows = (*only.rows, only.essence)
        self._model = loaded.model
        self._inputs = loaded.pad(rows, side="right").as_inputs()
        self._row = torch.arange(len(rows))
        self._subject = torch.tensor((*only.subjects, only.essence_subject))
        self._module = find_module(loaded.model, site)
        self._target = torch.zeros(self._inputs["input_ids"].shape, dtype=torch.long)[:-1]
        self._mask = torch.zeros_like(self._target, dtype=torch.float32)
        for row, start in enumerate(only.starts):
            where = slice(start, start + len(only.target))
            self._target[row, where] = torch.tensor(only.target)
            self._mask[row, where] = 1.0
        down = find_module(loaded.model, loaded.layout.down.format(layer))
        with torch.no_grad(), capture(self._module) as at_site, capture(down) as at_down:
            self._model(**self._inputs, use_cache=False)
        self.init = at_site.output[0, only.subjects[0]][None]
        self.written = at_down.output[0, only.subjects[0]][None]

    def __call__(self, deltas: Tensor, edits: Sequence[int]) -> Response:
        """Run everything."""
        (only,) = range(len(edits))

        def add(output: Tensor) -> Tensor:
            changed = output.clone()
            changed[self._row, self._subject] += deltas[only]
            return changed

        with patch(self._module, add):
            logits = self._model(**self._inputs, use_cache=False).logits
        likely = logits[:-1].log_softmax(dim=-1).gather(-1, self._target[..., None])[..., 0]
        nll = -(likely * self._mask).sum(dim=1) / self._mask.sum(dim=1)
        right = (logits[:-1].argmax(dim=-1) == self._target) | (self._mask == 0)
        essence = logits[-1, self._subject[-1]].log_softmax(dim=-1)
        return Response(nll=nll.mean()[None], essence=essence[None], said=right.all()[None])
