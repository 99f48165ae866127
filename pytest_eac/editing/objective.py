"""The loss that a value is found by: make the target likely, leave the subject's essence alone.

``NLL(target | contexts) + kl_factor * KL(edited || reference, on "{subject} is a")``; the
regularisers on ``delta`` are added by the value solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pytest_eac.lm.layout import find_module
from pytest_eac.lm.tail import FullWindow, open_window
from pytest_eac.lm.trace import capture, patch

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.editing.prompts import EditPrompts
    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.lm.tail import Window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What the model says with a delta in place.

    Attributes:
        nll: mean over prompts of the mean negative log-likelihood of the target's tokens; scalar.
        essence: log-probabilities at the subject's last token of "{subject} is a"; (vocabulary,).
        said: whether every target token is the most likely one in every context; scalar.
    """

    nll: Tensor
    essence: Tensor
    said: Tensor


class Objective:
    """One edit's forward pass, as a function of the change at the subject's last token.

    Attributes:
        init: the output of ``site`` at the subject in the bare prompt, before any change; (d_out,).
        written: the output of the layer's down-projection there; ``init`` itself where that is the
            site; (d_out,).
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: EditPrompts,
        *,
        layer: int,
        site: str | None = None,
        whole: bool = False,
    ) -> None:
        """Prepare the pass.

        Args:
            loaded: the model as it is now.
            prompts: the edit's.
            layer: the layer that the value is for.
            site: path of the module whose output is changed; the layer's down-projection (ROME), or
                the whole decoder layer (MEMIT). By default the former.
            whole: run all tokens through all layers, for comparison.
        """
        rows = (*prompts.rows, prompts.essence)
        subjects = (*prompts.subjects, prompts.essence_subject)
        self._window: Window = (
            FullWindow(loaded, rows) if whole else open_window(loaded, rows, subjects, layer=layer)
        )
        down = loaded.layout.down.format(layer)
        self._module = find_module(loaded.model, site or down)
        device = loaded.device
        offset = self._window.offset
        self._row = torch.arange(len(rows), device=device)
        self._subject = torch.tensor(subjects, device=device) - offset
        target = torch.tensor(prompts.target, device=device)
        self._target = target.expand(len(prompts.rows), -1)
        first = torch.tensor(prompts.starts, device=device) - offset[:-1]
        scored = first[:, None] + torch.arange(len(target), device=device)
        # The head runs only at positions that the loss reads in some row.
        self._kept, where = torch.cat([scored.flatten(), self._subject[-1:]]).unique(
            return_inverse=True
        )
        self._scored = where[:-1].view_as(scored)
        self._essence = where[-1]
        with (
            torch.no_grad(),
            capture(self._module) as at_site,
            capture(find_module(loaded.model, down)) as at_down,
        ):
            self._window.logits(self._kept[:1])
        self.init = at_site.output[0, self._subject[0]].float()
        self.written = at_down.output[0, self._subject[0]].float()

    def __call__(self, delta: Tensor) -> Outcome:
        """Run the model with ``delta`` (d_out,) added at the subject in every row."""

        def add(output: Tensor) -> Tensor:
            changed = output.clone()
            changed[self._row, self._subject] += delta.to(output.dtype)
            return changed

        with patch(self._module, add):
            logits = self._window.logits(self._kept)
        chosen = logits[self._row[:-1, None], self._scored].float().log_softmax(dim=-1)
        likely = chosen.gather(-1, self._target[..., None])[..., 0]
        essence = logits[-1, self._essence].float().log_softmax(dim=-1)
        said = (chosen.detach().argmax(dim=-1) == self._target).all()
        return Outcome(nll=-likely.mean(dim=1).mean(), essence=essence, said=said)
