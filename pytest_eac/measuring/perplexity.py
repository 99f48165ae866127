"""How well a model predicts plain text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from pytest_eac.errors import NonFiniteError
from pytest_eac.lm.tokens import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.lm.load import LoadedModel

_BATCH = 8


@torch.no_grad()
def perplexity(loaded: LoadedModel, texts: Sequence[str]) -> float:
    """Return ``exp`` of the mean negative log-likelihood over all tokens but each text's first.

    Every text stands alone, with the tokenizer's own special tokens; tokens weigh the same,
    whichever text they are in.

    Raises:
        NonFiniteError: a logit is not finite.
        ValueError: no text has a second token.
    """
    rows = sorted((encode(loaded.tokenizer, text) for text in texts), key=len)
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        raise ValueError("no text of two tokens or more to measure on")
    total, count = 0.0, 0
    for start in range(0, len(rows), _BATCH):
        batch = loaded.pad(rows[start : start + _BATCH], side="right")
        logits = loaded.model(**batch.as_inputs(), use_cache=False).logits[:, :-1]
        wanted = batch.input_ids[:, 1:]
        scored = batch.attention_mask[:, 1:].bool()
        likely = logits.float().log_softmax(dim=-1).gather(-1, wanted[..., None])[..., 0]
        total -= float(likely[scored].double().sum())
        count += int(scored.sum())
    if not math.isfinite(total):
        raise NonFiniteError("the model's logits are not finite while it reads a text")
    return math.exp(total / count)
