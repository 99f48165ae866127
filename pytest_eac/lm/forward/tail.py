"""The forward pass of an edit's prompts, whole or only the part that an edit can change.

A change at one token and one layer reaches neither the tokens before it nor the layers below it.
Their hidden states, keys and values are constants of the edit: ``TailWindow`` computes them once
and then runs only the later tokens through the later layers, by Hugging Face's own modules.
``FullWindow`` runs everything; the two give the same numbers up to rounding.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor

from pytest_eac.errors import EacWarning
from pytest_eac.lm.forward.hooks import fed, head_at, passed_through, watched
from pytest_eac.lm.layout import find_module, text_config
from pytest_eac.lm.loading.load import LoadedModel


class Window(Protocol):
    """The tokens of each row that a forward pass computes.

    ``offset`` (rows,) is the index of each row's first computed token: what stands at index ``i``
    of a row is at ``i - offset`` in the hidden states that hooks see.
    """

    offset: Tensor

    def logits(self, rows: Tensor, places: Tensor) -> Tensor:
        """Run the model; return the logits at token ``places[i]`` of row ``rows[i]``.

        Both are (n,); the result is (n, vocabulary). The head is computed nowhere else.
        """
        ...

    def narrowed(self, rows: Tensor) -> Window:
        """Return the window of some of the rows, which are numbered from 0 again."""
        ...


def open_windows(
    loaded: LoadedModel,
    rows: Sequence[Sequence[int]],
    starts: Sequence[int],
    *,
    layers: Sequence[int],
) -> dict[int, Window]:
    """Return a window for each of ``layers``: tails where they are exact, all from one full pass.

    A sliding attention window is counted in cache slots, and a tail's slots come after those of
    the whole row: the tail is exact only while all of them fit into the sliding window.
    """
    lengths = [len(row) for row in rows]
    tails = [length - start for length, start in zip(lengths, starts, strict=True)]
    sliding = getattr(text_config(loaded.model.config), "sliding_window", None)
    if sliding is not None and max(lengths) + max(tails) > sliding:
        warnings.warn(
            f"{max(lengths)} tokens and {max(tails)} of their tail do not fit into the model's "
            f"sliding window of {sliding}: every step runs all tokens, which is slower",
            EacWarning,
            stacklevel=2,
        )
        return dict.fromkeys(layers, FullWindow(loaded, rows))
    first = TailWindow(loaded, rows, starts, layers=layers)
    return {layer: first.entered_at(layer) for layer in layers}


class FullWindow:
    """All tokens through all layers."""

    def __init__(self, loaded: LoadedModel, rows: Sequence[Sequence[int]]) -> None:
        padded = loaded.pad(rows, side="right")
        self._model = loaded.model
        self._inputs = padded.as_inputs()
        self.offset = torch.zeros(len(rows), dtype=torch.long, device=loaded.device)

    def logits(self, rows: Tensor, places: Tensor) -> Tensor:
        """Run everything."""
        with head_at(self._model, rows, places):
            logits: Tensor = self._model(**self._inputs, use_cache=False).logits
        return logits[0]

    def narrowed(self, rows: Tensor) -> FullWindow:
        """Return the window of some of the rows."""
        window = copy.copy(self)
        window._inputs = {name: each[rows] for name, each in self._inputs.items()}
        window.offset = self.offset[rows]
        return window


class TailWindow:
    """Only the tokens from ``starts`` on, only through the layers from the first of ``layers`` on.

    Args:
        loaded: the model as it is now; make a new window after every change of its weights.
        rows: token ids of each row.
        starts: for each row, the first token to compute.
        layers: the layers that ``entered_at`` takes; the window begins at the first of them.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        rows: Sequence[Sequence[int]],
        starts: Sequence[int],
        *,
        layers: Sequence[int],
    ) -> None:
        device = loaded.device
        entries = sorted(set(layers))
        self._model = loaded.model
        self._layers = [
            find_module(loaded.model, loaded.layout.layer.format(index))
            for index in range(entries[-1] + 1)
        ]
        self.offset = torch.tensor(starts, device=device)
        whole = loaded.pad(rows, side="right")
        tails = [row[start:] for row, start in zip(rows, starts, strict=True)]
        tail = loaded.pad(tails, side="right")
        with torch.no_grad(), ExitStack() as stack:
            seen = {entry: stack.enter_context(watched(self._layers[entry])) for entry in entries}
            out = self._model(**whole.as_inputs(), logits_to_keep=1, use_cache=True)
        self._cache_name = loaded.cache_name
        self._cache = getattr(out, self._cache_name)
        del out  # its logits are large
        self._first = self._entry = entries[0]
        for below in self._cache.layers[: self._first]:  # never read, but asked for their length
            below.keys = below.keys.new_zeros(()).expand_as(below.keys)
            below.values = below.values.new_zeros(()).expand_as(below.values)
        width = tail.input_ids.shape[1]
        index = self.offset[:, None] + torch.arange(width, device=device)
        last = whole.input_ids.shape[1] - 1
        rows_index = torch.arange(len(rows), device=device)[:, None]
        self._hidden = {
            entry: states[0][0][rows_index, index.clamp_max(last)] for entry, states in seen.items()
        }
        self._in_tuples = seen[self._first][0][1]
        before = torch.arange(last + 1, device=device) < self.offset[:, None]
        self._inputs = {
            "input_ids": tail.input_ids,
            "attention_mask": torch.cat([before.long(), tail.attention_mask], dim=1),
            "position_ids": index.clamp_max(last),
        }

    def entered_at(self, layer: int) -> TailWindow:
        """Return the same window from another of its layers on."""
        window = copy.copy(self)
        window._entry = layer
        return window

    def logits(self, rows: Tensor, places: Tensor) -> Tensor:
        """Run the tail against a copy of the cache that shares its tensors."""
        with ExitStack() as stack:
            for module in self._layers[: self._entry]:
                stack.enter_context(passed_through(module, self._in_tuples))
            stack.enter_context(fed(self._layers[self._entry], self._hidden[self._entry]))
            stack.enter_context(head_at(self._model, rows, places - self.offset[rows]))
            logits: Tensor = self._model(
                **self._inputs, use_cache=True, **{self._cache_name: _copied(self._cache)}
            ).logits
        return logits[0]

    def narrowed(self, rows: Tensor) -> TailWindow:
        """Return the window of some of the rows."""
        window = copy.copy(self)
        window._cache = _copied(self._cache)
        for index, layer in enumerate(window._cache.layers):
            kept = rows if index >= self._first else slice(len(rows))
            layer.keys, layer.values = layer.keys[kept], layer.values[kept]
        window._hidden = {entry: each[rows] for entry, each in self._hidden.items()}
        window._inputs = {name: each[rows] for name, each in self._inputs.items()}
        window.offset = self.offset[rows]
        return window


def _copied(cache: Any) -> Any:
    """Return a key/value cache that can grow on its own; its tensors are shared so far."""
    copied = copy.copy(cache)
    copied.layers = [copy.copy(each) for each in cache.layers]
    return copied
