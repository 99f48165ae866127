"""Reading many rows of tokens in few passes: packed by length, common beginnings computed once.

What a row says does not depend on the rows it is read with: the numbers are those of a row read
alone, up to rounding. Hugging Face's own modules compute them; a cache layer hands them the keys
and values of what stands before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from pytest_eac.lm.forward.shared_prefixes import (
    Ids,
    PassLimits,
    Segment,
    alone,
    as_segments,
    cut,
    pack,
    width,
)
from pytest_eac.lm.layout import text_config
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import pad

# Tokens in one pass: larger passes are no faster.
BUDGET = 2048
# Logits in one pass, counted in float32, which they are scored in.
_LOGIT_BYTES = 2**28
# A row attends to much more than is computed for it, but only one layer at a time.
_SLOTS_PER_TOKEN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One pass's own keys and values, and which of its rows each later row goes on from.

    Attributes:
        layers: the cache layers that the pass filled.
        rows: (later rows,) indices into the rows of the pass.
    """

    layers: list[_Continued]
    rows: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What stands before each row of a pass.

    Attributes:
        links: keys and values, the first pass first.
        mask: (rows, slots), 1 where a slot holds a token and 0 where it is padding.
    """

    links: tuple[Link, ...]
    mask: Tensor

    def of(self, rows: Sequence[int]) -> Past:
        """Return the past of some of the rows, in that order and as often as named."""
        index = torch.tensor(rows, device=self.mask.device)
        links = tuple(Link(layers=link.layers, rows=link.rows[index]) for link in self.links)
        return Past(links=links, mask=self.mask[index])

    def cache(self, layers: int) -> DynamicCache:
        """Return a cache for one more pass, or for several."""
        cache = DynamicCache()
        cache.layers = [
            _Continued([(link.layers[index], link.rows) for link in self.links])
            for index in range(layers)
        ]
        return cache


class _Continued(DynamicLayer):  # type: ignore[misc]  # transformers is untyped here
    """A cache layer behind others: it keeps only its own keys and values.

    Those before it are put together while its attention runs, so that what many rows have in
    common is held once, and the rows' own copies for one layer at a time.
    """

    def __init__(self, before: list[tuple[_Continued, Tensor]]) -> None:
        super().__init__()
        self._before = before
        self._length: int = sum(layer.keys.shape[-2] for layer, _ in before)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some of the rows."""
        if self.is_initialized:  # it has none of its own before its first pass
            super().batch_select_indices(indices)
        self._before = [(layer, rows[indices.to(rows.device)]) for layer, rows in self._before]

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Add keys and values, (rows, heads, tokens, width); return all, those before first."""
        own_keys, own_values = super().update(keys, values, *args, **kwargs)
        if not self._before:
            return own_keys, own_values
        return (
            torch.cat([*(_rows(each.keys, rows) for each, rows in self._before), own_keys], -2),
            torch.cat([*(_rows(each.values, rows) for each, rows in self._before), own_values], -2),
        )

    def get_seq_length(self) -> int:
        """Return how many slots are filled, those before included."""
        own: int = super().get_seq_length()
        return self._length + own


def _rows(states: Tensor, rows: Tensor) -> Tensor:
    """Take rows of keys or values; a single one is not copied."""
    if len(states) == 1:
        return states.expand(len(rows), -1, -1, -1)
    return states.index_select(0, rows.to(states.device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A forward pass over segments.

    Attributes:
        segments: what was read, one row each.
        logits: (segments, tokens, vocabulary) of the last tokens: a segment's last is at ``-1``.
        past: what stands before the tokens that follow; ``None`` where none do.
    """

    segments: list[Segment]
    logits: Tensor
    past: Past | None


@torch.no_grad()
def read(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    firsts: Sequence[int],
    *,
    budget: int = BUDGET,
    more: int = 0,
) -> Iterator[Pass]:
    """Read rows of tokens; every token is in one segment of one pass.

    Args:
        loaded: the model.
        rows: token ids of each row, at least one.
        firsts: for each row, the position from which on its logits are wanted.
        budget: tokens in one pass.
        more: how many tokens every row will be continued by; above 0, each pass has its ``past``.

    Raises:
        EditError: a row is longer than the model's positions.
    """
    if not rows:
        return
    loaded.require_room(max(rows, key=len), more)
    longest = max(map(len, rows)) + more
    reads = max(_LOGIT_BYTES // (4 * loaded.shape["vocab_size"]), 1)
    limits = PassLimits(tokens=budget, reads=reads, slots=_SLOTS_PER_TOKEN * budget, more=more)
    segments = [cut(each, min(budget, reads)) for each in as_segments(rows, firsts)]
    config = text_config(loaded.model.config)
    sliding = getattr(config, "sliding_window", None)
    if sliding is not None and width(segments) + more > sliding:
        # A window is counted in slots: padding between a row's tokens would take part of it.
        segments = alone(rows, firsts)
    if longest > _rope_changes_at(config):
        segments, limits = alone(rows, firsts), replace(limits, tokens=1)
    yield from _read(loaded, segments, limits, None)


def _rope_changes_at(config: Any) -> float:
    """Return the length of row beyond which positions are turned by how long the longest row is.

    The longest of those read together: such rows are read each by itself.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    each = rope.values() if all(isinstance(value, dict) for value in rope.values()) else [rope]
    return min(
        (
            one.get("original_max_position_embeddings", config.max_position_embeddings)
            for one in each
            if one.get("rope_type") in {"longrope", "dynamic"}
        ),
        default=math.inf,
    )


def _read(
    loaded: LoadedModel, segments: Sequence[Segment], limits: PassLimits, past: Past | None
) -> Iterator[Pass]:
    """Read segments and all that is behind them; ``past`` has a row for each."""
    before = 0 if past is None else past.mask.shape[1]
    for chosen in pack(segments, limits, before=before):
        batch = [segments[index] for index in chosen]
        done = _run(loaded, batch, past and past.of(chosen), keep=limits.more > 0)
        yield done
        here = done.past
        del done  # its logits are large
        rows = [row for row, segment in enumerate(batch) for _ in segment.after]
        if rows and here:
            behind = [each for segment in batch for each in segment.after]
            yield from _read(loaded, behind, limits, here.of(rows))


def _run(loaded: LoadedModel, batch: list[Segment], past: Past | None, *, keep: bool) -> Pass:
    """Read segments in one pass, padded on the left: their last tokens stand in one column."""
    padded = pad(
        [segment.ids for segment in batch], side="left", fill=loaded.pad_id, device=loaded.device
    )
    keep = keep or any(segment.after for segment in batch)
    starts = torch.tensor([segment.start for segment in batch], device=loaded.device)
    if past is None:
        past = Past(links=(), mask=padded.attention_mask[:, :0])
    mask = torch.cat([past.mask, padded.attention_mask], dim=1)
    cache = None
    if keep or past.links:
        cache = past.cache(loaded.shape["num_hidden_layers"])
    # Named one by one: a slice of the hidden states is a view, for which torch would multiply row
    # by row and stream the whole head from memory for each.
    columns = torch.arange(padded.input_ids.shape[1], device=loaded.device)
    logits = loaded.model(
        input_ids=padded.input_ids,
        attention_mask=mask,
        position_ids=padded.position_ids + starts[:, None],
        use_cache=cache is not None,
        logits_to_keep=columns[-max(1, *(segment.read for segment in batch)) :],
        **{loaded.cache_name: cache},
    ).logits
    if cache is None or not keep:
        return Pass(segments=batch, logits=logits, past=None)
    own = Link(layers=cache.layers, rows=torch.arange(len(batch), device=loaded.device))
    return Pass(segments=batch, logits=logits, past=Past(links=(*past.links, own), mask=mask))
