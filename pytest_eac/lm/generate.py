"""Continuing prompts: greedy for answers, top-k sampling for contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pytest_eac.errors import NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.lm.load import LoadedModel

Ids = tuple[int, ...]


@torch.no_grad()
def sample(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    *,
    tokens: int,
    top_k: int = 1,
    generator: torch.Generator | None = None,
) -> list[Ids]:
    """Continue each row by ``tokens`` new ids, all rows in one padded batch.

    ``top_k=1`` is greedy decoding. Nothing stops a row early and no generation default of the
    checkpoint (temperature, repetition penalty) applies: the ids are the model's own.

    Raises:
        NonFiniteError: a logit is not finite.
    """
    batch = loaded.pad(rows, side="left", more=tokens)
    inputs = batch.as_inputs()
    new: list[torch.Tensor] = []
    cache = None
    for _ in range(tokens):
        out = loaded.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        logits = out.logits[:, -1].float().cpu()
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteError("the model's logits are not finite while it continues a prompt")
        chosen = _choose(logits, top_k, generator)
        new.append(chosen)
        column = chosen[:, None].to(loaded.device)
        inputs = {
            "input_ids": column,
            "attention_mask": torch.cat([inputs["attention_mask"], torch.ones_like(column)], dim=1),
            "position_ids": inputs["position_ids"][:, -1:] + 1,
        }
    return [tuple(row) for row in torch.stack(new, dim=1).tolist()]


def _choose(logits: torch.Tensor, top_k: int, generator: torch.Generator | None) -> torch.Tensor:
    """Pick one id per row of ``logits`` (rows, vocabulary)."""
    if top_k == 1:
        return logits.argmax(dim=-1)
    values, ids = logits.topk(top_k, dim=-1)
    picked = torch.multinomial(values.softmax(dim=-1), 1, generator=generator)
    return ids.gather(1, picked)[:, 0]
