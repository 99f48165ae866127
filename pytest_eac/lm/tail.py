"""The forward pass of an edit's prompts, whole or only the part that an edit can change.

A change at one token and one layer reaches neither the tokens before it nor the layers below it.
Their hidden states, keys and values are constants of the edit: ``TailWindow`` computes them once
and then runs only the later tokens through the later layers, by Hugging Face's own modules.
``FullWindow`` runs everything; the two give the same numbers up to rounding.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch

from pytest_eac.lm.layout import find_module, text_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from pytest_eac.lm.load import LoadedModel


class Window(Protocol):
    """The tokens of each row that a forward pass computes.

    ``offset`` (rows,) is the index of each row's first computed token: what stands at index ``i``
    of a row is at ``i - offset`` in the hidden states that hooks see and in ``logits``.
    """

    offset: Tensor

    def logits(self, keep: Tensor) -> Tensor:
        """Run the model; return the logits at the positions ``keep``, (rows, keep, vocabulary)."""
        ...


def open_window(
    loaded: LoadedModel,
    rows: Sequence[Sequence[int]],
    starts: Sequence[int],
    *,
    layer: int,
) -> Window:
    """Return the tail window where it is exact, else the full one.

    A sliding attention window is counted in cache slots, and a tail's slots lie behind those of
    the whole row: the tail is exact only while all of them fit into the sliding window.
    """
    lengths = [len(row) for row in rows]
    tails = [length - start for length, start in zip(lengths, starts, strict=True)]
    sliding = getattr(text_config(loaded.model.config), "sliding_window", None)
    if sliding is not None and max(lengths) + max(tails) > sliding:
        return FullWindow(loaded, rows)
    return TailWindow(loaded, rows, starts, layer=layer)


class FullWindow:
    """All tokens through all layers."""

    def __init__(self, loaded: LoadedModel, rows: Sequence[Sequence[int]]) -> None:
        padded = loaded.pad(rows, side="right")
        self._model = loaded.model
        self._inputs = padded.as_inputs()
        self.offset = torch.zeros(len(rows), dtype=torch.long, device=loaded.device)

    def logits(self, keep: Tensor) -> Tensor:
        """Run everything."""
        logits: Tensor = self._model(**self._inputs, logits_to_keep=keep, use_cache=False).logits
        return logits


class TailWindow:
    """Only the tokens from ``starts`` on, only through the layers from ``layer`` on.

    Args:
        loaded: the model as it is now; make a new window after every change of its weights.
        rows: token ids of each row.
        starts: for each row, the first token to compute.
        layer: the first layer to compute.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        rows: Sequence[Sequence[int]],
        starts: Sequence[int],
        *,
        layer: int,
    ) -> None:
        device = loaded.device
        self._model = loaded.model
        self._skipped = [
            find_module(loaded.model, loaded.layout.layer.format(index)) for index in range(layer)
        ]
        self._first = find_module(loaded.model, loaded.layout.layer.format(layer))
        self.offset = torch.tensor(starts, device=device)
        whole = loaded.pad(rows, side="right")
        tails = [row[start:] for row, start in zip(rows, starts, strict=True)]
        tail = loaded.pad(tails, side="right")
        with torch.no_grad(), _watched(self._first) as seen:
            self._cache = self._model(
                **whole.as_inputs(), logits_to_keep=1, use_cache=True
            ).past_key_values
        width = tail.input_ids.shape[1]
        index = self.offset[:, None] + torch.arange(width, device=device)
        last = whole.input_ids.shape[1] - 1
        rows_index = torch.arange(len(rows), device=device)[:, None]
        hidden, self._in_tuples = seen[0]
        self._hidden = hidden[rows_index, index.clamp_max(last)]
        before = torch.arange(last + 1, device=device) < self.offset[:, None]
        self._inputs = {
            "input_ids": tail.input_ids,
            "attention_mask": torch.cat([before.long(), tail.attention_mask], dim=1),
            "position_ids": index.clamp_max(last),
        }

    def logits(self, keep: Tensor) -> Tensor:
        """Run the tail against a copy of the cache that shares its tensors."""
        cache = copy.copy(self._cache)
        cache.layers = [copy.copy(each) for each in self._cache.layers]
        with ExitStack() as stack:
            for module in self._skipped:
                stack.enter_context(_passed_through(module, self._in_tuples))
            stack.enter_context(_fed(self._first, self._hidden))
            logits: Tensor = self._model(
                **self._inputs, past_key_values=cache, logits_to_keep=keep, use_cache=True
            ).logits
        return logits


@contextmanager
def _watched(layer: nn.Module) -> Iterator[list[tuple[Tensor, bool]]]:
    """Collect the hidden states that enter a layer, and whether it returns a tuple."""
    seen: list[tuple[Tensor, bool]] = []

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        entering = args[0] if args else kwargs["hidden_states"]
        seen.append((entering.detach(), isinstance(output, tuple)))

    handle = layer.register_forward_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def _fed(layer: nn.Module, hidden: Tensor) -> Iterator[None]:
    """Replace the hidden states that enter a layer."""

    def hook(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (hidden, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": hidden}

    handle = layer.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _passed_through(layer: nn.Module, in_tuples: bool) -> Iterator[None]:
    """Let a layer return what it is given, without computing anything."""

    def forward(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor | tuple[Tensor]:
        return (hidden_states,) if in_tuples else hidden_states

    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward
