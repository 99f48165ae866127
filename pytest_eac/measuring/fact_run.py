"""One fact's runs for causal tracing: clean, corrupted, and with one part restored at a time."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pytest_eac.errors import NonFiniteError
from pytest_eac.lm.forward.hooks import capture, patch
from pytest_eac.lm.forward.shared_prefixes import Ids
from pytest_eac.lm.forward.tail import FullWindow, Window, open_windows
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.records.tracing import layers_around

# Restorations of a layer that share a batch: MLP outputs, and the layer's whole output.
_KINDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFact:
    """A fact that the model knows.

    Attributes:
        edit: which edit it belongs to.
        own: whether the answer is the model's own.
        text: the answer's text.
        answer: the answer's ids.
        row: the prompt's ids, followed by the answer's but the last.
        subject: the indices of the subject's tokens.
    """

    edit: int
    own: bool
    text: str
    answer: Ids
    row: Ids
    subject: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """One fact's probabilities: clean, corrupted, and what each layer brings back of it."""

    clean: float
    corrupted: float
    mlp: tuple[float, ...]
    state: tuple[float, ...]


class FactRun:
    """One fact's runs, all noise samples in one batch.

    Rows have one length, so a place counted from the end is the same in a whole row and in a tail.
    """

    def __init__(self, loaded: LoadedModel, fact: KnownFact, noise: Tensor) -> None:
        """Prepare the runs; ``noise`` is (samples, tokens of the subject, width)."""
        self._loaded = loaded
        self._fact = fact
        self._depth = int(loaded.shape["num_hidden_layers"])
        self._last = fact.subject[-1] - len(fact.row)
        self._answer = torch.tensor(fact.answer, device=loaded.device)
        self._noise = torch.zeros(len(noise), len(fact.row), noise.shape[-1])
        self._noise[:, fact.subject.start : fact.subject.stop] = noise
        self._noise = self._noise.to(loaded.device, loaded.dtype)

    def effects(self, window: int, layer_done: Callable[[], None]) -> Effects:
        """Run everything, one layer's restorations in one batch."""
        layers = range(self._depth)
        layout = self._loaded.layout
        mlps = [layout.down.format(layer) for layer in layers]
        states = [layout.layer.format(layer) for layer in layers]
        clean, values = self._clean((*mlps, *states))
        samples = len(self._noise)
        rows = [self._fact.row] * (_KINDS * samples)
        starts = [self._fact.subject[-1]] * len(rows)
        noise = self._noise.repeat(_KINDS, 1, 1)
        embedding = self._loaded.model.get_input_embeddings()
        found = []
        # A tail takes its first layer's input from the noisy pass, whatever its embeddings are.
        with patch(embedding, lambda output: output + noise[:, -output.shape[1] :]):
            windows = open_windows(self._loaded, rows, starts, layers=layers)
            corrupted = self._probabilities(windows[self._depth - 1])[:samples].mean()
            for layer in layers:
                span = layers_around(layer, window=window, depth=self._depth)
                put_back = ([mlps[each] for each in span], [states[layer]])
                with ExitStack() as stack:
                    for kind, paths in enumerate(put_back):
                        where = slice(kind * samples, (kind + 1) * samples)
                        for path in paths:
                            put = partial(_put, rows=where, place=self._last, value=values[path])
                            stack.enter_context(patch(find_module(self._loaded.model, path), put))
                    restored = self._probabilities(windows[span[0]]).view(_KINDS, samples)
                found.append(restored.mean(dim=1) - corrupted)
                layer_done()
        mlp, state = torch.stack(found, dim=1).tolist()
        return Effects(clean=clean, corrupted=float(corrupted), mlp=tuple(mlp), state=tuple(state))

    def _clean(self, paths: Sequence[str]) -> tuple[float, dict[str, Tensor]]:
        """Return the answer's probability, and what modules give at the subject's last token."""
        with ExitStack() as stack:
            seen = {
                path: stack.enter_context(capture(find_module(self._loaded.model, path)))
                for path in paths
            }
            clean = self._probabilities(FullWindow(self._loaded, [self._fact.row]))
        return float(clean), {path: each.output[0, self._last] for path, each in seen.items()}

    def _probabilities(self, window: Window) -> Tensor:
        """Return each row's probability of the whole answer, under teacher forcing."""
        length = len(self._fact.row)
        places = torch.arange(length - len(self._answer), length, device=self._loaded.device)
        rows = torch.arange(len(window.offset), device=self._loaded.device)
        logits = window.logits(rows.repeat_interleave(len(places)), places.repeat(len(rows)))
        logits = logits.float().unflatten(0, (len(rows), -1))
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteError("the model's logits are not finite while a fact is traced")
        likely = logits.log_softmax(dim=-1)[:, torch.arange(len(self._answer)), self._answer]
        probabilities: Tensor = likely.sum(dim=1).exp()
        return probabilities


def _put(output: Tensor, *, rows: slice, place: int, value: Tensor) -> Tensor:
    changed = output.clone()
    changed[rows, place] = value
    return changed
