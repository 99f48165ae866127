"""The loss that values are found by: make the target likely, leave the subject's essence alone.

``NLL(target | contexts) + kl_factor * KL(edited || reference, on "{subject} is a")``; the
regularisers on ``delta`` are added by the value solver. Several edits share one forward pass: no
row sees another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pytest_eac.editing.prompts import EditPrompts
from pytest_eac.lm.forward.hooks import capture, patch
from pytest_eac.lm.forward.tail import FullWindow, Window, open_windows
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading.load import LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Response:
    """What the model says with deltas in place, for each edit asked about.

    Attributes:
        nll: mean over prompts of the mean negative log-likelihood of the target's tokens; (edits,).
        essence: log-probabilities at the subject's last token of "{subject} is a";
            (edits, vocabulary).
        said: whether every target token is the most likely one in every context; (edits,).
    """

    nll: Tensor
    essence: Tensor
    said: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Asks:
    """Where the loss reads the head; ``n`` target tokens over all rows.

    Attributes:
        row: of the target's token; (n,).
        place: the token that it is predicted from; (n,).
        token: the target's id; (n,).
        weight: its share in its edit's NLL; (n,).
        edit: which edit it belongs to; (n,).
    """

    row: Tensor
    place: Tensor
    token: Tensor
    weight: Tensor
    edit: Tensor


class Objective:
    """The forward pass of some edits, as a function of the changes at their subjects' last tokens.

    Attributes:
        init: the output of ``site`` at the subject in the bare prompts, before any change;
            (edits, d_out).
        written: the output of the layer's down-projection there; ``init`` itself where that is the
            site; (edits, d_out).
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: Sequence[EditPrompts],
        *,
        layer: int,
        site: str | None = None,
        whole: bool = False,
    ) -> None:
        """Prepare the pass.

        Args:
            loaded: the model as it is now.
            prompts: the edits'.
            layer: the layer that the values are for.
            site: path of the module whose output is changed; the layer's down-projection (ROME), or
                the whole decoder layer (MEMIT). By default the former.
            whole: run all tokens through all layers, for comparison.
        """
        rows = [row for each in prompts for row in rows_of(each)]
        subjects = [at for each in prompts for at in (*each.subjects, each.essence_subject)]
        self._window: Window = (
            FullWindow(loaded, rows)
            if whole
            else open_windows(loaded, rows, subjects, layers=[layer])[layer]
        )
        down = loaded.layout.down.format(layer)
        self._model = loaded.model
        self._module = find_module(loaded.model, site or down)
        device = loaded.device
        counts = [len(each.rows) + 1 for each in prompts]
        self._owner = torch.arange(len(prompts)).repeat_interleave(torch.tensor(counts)).to(device)
        self._subject = torch.tensor(subjects, device=device)
        first = [sum(counts[:index]) for index in range(len(counts))]
        self._essence = torch.tensor(first, device=device) + torch.tensor(counts, device=device) - 1
        self._asks = _asks(prompts, first, device)
        self._narrow: tuple[tuple[int, ...], Window] | None = None
        bare = torch.tensor(first, device=device)
        with (
            torch.no_grad(),
            capture(self._module) as at_site,
            capture(find_module(loaded.model, down)) as at_down,
        ):
            self._window.logits(bare[:1], self._subject[:1])
        at = self._subject[bare] - self._window.offset[bare]
        self.init = at_site.output[bare, at].float().to(device)
        self.written = at_down.output[bare, at].float().to(device)

    def __call__(self, deltas: Tensor, edits: Sequence[int]) -> Response:
        """Run the prompts of ``edits`` with ``deltas`` (edits, d_out) added at their subjects.

        ``edits`` are ascending indices; the outcome is in their order.
        """
        device, count = self._subject.device, len(edits)
        new = torch.full((len(self.init),), -1, device=device)
        new[list(edits)] = torch.arange(count, device=device)
        owner = new[self._owner]
        kept = (owner >= 0).nonzero()[:, 0]
        window = self._window_of(tuple(edits), kept)
        row = (owner >= 0).cumsum(0) - 1  # where each row stands in that window
        subject = self._subject[kept] - window.offset
        every = torch.arange(len(kept), device=device)

        def add(output: Tensor) -> Tensor:
            changed = output.clone()
            changed[every, subject] += deltas[owner[kept]].to(output)
            return changed

        asks = self._asks
        mine = new[asks.edit] >= 0
        essence = self._essence[list(edits)]
        with patch(self._module, add):
            logits = window.logits(
                torch.cat([row[asks.row[mine]], row[essence]]),
                torch.cat([asks.place[mine], self._subject[essence]]),
            )
        chosen = logits[:-count].float().log_softmax(dim=-1)
        token, of = asks.token[mine], new[asks.edit[mine]]
        likely = chosen.gather(-1, token[:, None])[:, 0]
        missed = (chosen.detach().argmax(dim=-1) != token).float()
        none = likely.new_zeros(count)
        return Response(
            nll=none.index_add(0, of, -likely * asks.weight[mine]),
            essence=logits[-count:].float().log_softmax(dim=-1),
            said=none.index_add(0, of, missed) == 0,
        )

    def _window_of(self, edits: tuple[int, ...], rows: Tensor) -> Window:
        """Return the window of some edits' rows; the last one is kept."""
        if len(rows) == len(self._owner):
            return self._window
        if self._narrow is None or self._narrow[0] != edits:
            self._narrow = edits, self._window.narrowed(rows)
        return self._narrow[1]

    def saved_bytes(self) -> int:
        """Return what one pass keeps for its backward pass: all that grows with the edits."""
        # Detached: a graph whose hook returned the tensor itself would hold itself for good.
        saved: list[Tensor] = []

        def note(tensor: Tensor) -> Tensor:
            saved.append(tensor.detach())
            return saved[-1]

        deltas = torch.zeros_like(self.init).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self(deltas, range(len(deltas)))
        storages = [tensor.untyped_storage() for tensor in saved]
        sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
        for weight in self._model.parameters():
            sizes.pop(weight.untyped_storage().data_ptr(), None)
        return sum(sizes.values())


def rows_of(prompts: EditPrompts) -> list[tuple[int, ...]]:
    """Return the ids of an edit's rows; nothing behind the subject is read in the last of them."""
    return [*prompts.rows, prompts.essence[: prompts.essence_subject + 1]]


def tail_tokens(prompts: EditPrompts) -> int:
    """Return how many tokens a pass computes for an edit: from the subjects on, padded."""
    rows = zip(prompts.rows, prompts.subjects, strict=True)
    return (len(prompts.rows) + 1) * max(len(row) - at for row, at in rows)


def _asks(prompts: Sequence[EditPrompts], first: Sequence[int], device: torch.device) -> _Asks:
    found = [
        (start + row, begin + index, token, 1 / (len(each.rows) * len(each.target)), edit)
        for edit, (each, start) in enumerate(zip(prompts, first, strict=True))
        for row, begin in enumerate(each.starts)
        for index, token in enumerate(each.target)
    ]
    return _Asks(*(torch.tensor(each, device=device) for each in zip(*found, strict=True)))
