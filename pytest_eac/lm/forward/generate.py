"""Continuing prompts: greedy for answers, top-k sampling for contexts."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pytest_eac.errors import NonFiniteError
from pytest_eac.lm.forward.packed import BUDGET, read
from pytest_eac.lm.forward.shared_prefixes import Ids
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import decode

# How the bytes of an incomplete character decode; and how many more tokens may be needed to end it
# where each token is a byte.
_INCOMPLETE = "\ufffd"
TO_END_CHARACTER = 3


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
    out = loaded.model(**batch.as_inputs(), use_cache=True, logits_to_keep=1)
    return _continue(
        loaded,
        out.logits[:, -1],
        getattr(out, loaded.cache_name),
        batch.attention_mask,
        batch.position_ids[:, -1:],
        tokens=tokens,
        choose=lambda logits: _choose(logits, top_k, generator),
    )


@torch.no_grad()
def greedy(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    *,
    tokens: int,
    until: str | None = None,
    budget: int = BUDGET,
) -> list[Ids]:
    """Continue each row greedily by up to ``tokens`` new ids, or 3 more to complete a character.

    Where a token is a byte, a character of most scripts takes several: a text that would end inside
    one continues until it is complete. Rows are packed, common beginnings are read once, and equal
    rows are continued once. A row ends with an id that ends a text, or once its new text contains
    ``until``, not counting white space in front.

    Raises:
        EditError: a row has more tokens, the new ones included, than the model takes.
        NonFiniteError: a logit is not finite.
    """

    def is_over(new: Sequence[int]) -> bool:
        if new[-1] in loaded.stop_ids:
            return True
        if len(new) >= tokens and not decode(loaded.tokenizer, new).endswith(_INCOMPLETE):
            return True
        return until is not None and until in decode(loaded.tokenizer, new).lstrip()

    most = tokens + TO_END_CHARACTER

    answers: dict[int, Ids] = {}
    lasts = [len(row) - 1 for row in rows]
    for done in read(loaded, rows, lasts, budget=budget, more=most):
        ends = {
            index: ended
            for index, segment in enumerate(done.segments)
            if (ended := [row for row in segment.rows if lasts[row] == segment.end - 1])
        }
        if not ends or done.past is None:
            continue
        chosen = list(ends)
        past = done.past.of(chosen)
        new = _continue(
            loaded,
            done.logits[chosen, -1],
            past.cache(loaded.shape["num_hidden_layers"]),
            past.mask,
            torch.tensor([done.segments[i].end - 1 for i in chosen], device=loaded.device)[:, None],
            tokens=most,
            choose=lambda logits: logits.argmax(dim=-1),
            is_over=is_over,
        )
        for index, ids in zip(chosen, new, strict=True):
            answers.update(dict.fromkeys(ends[index], ids))
    return [answers[index] for index in range(len(rows))]


def _continue(
    loaded: LoadedModel,
    logits: Tensor,
    cache: Any,
    mask: Tensor,
    positions: Tensor,
    *,
    tokens: int,
    choose: Callable[[Tensor], Tensor],
    is_over: Callable[[Sequence[int]], bool] = lambda _: False,
) -> list[Ids]:
    """Go on, token by token, from rows that have been read.

    Args:
        loaded: the model.
        logits: (rows, vocabulary) of each row's last token.
        cache: the rows' keys and values; it grows, and loses rows that are over.
        mask: (rows, slots) of the cache, 0 where it is padding.
        positions: (rows, 1), each row's last position.
        tokens: how many new ids at most.
        choose: picks an id for each row of (rows, vocabulary).
        is_over: whether a row's new ids are all that is wanted of it.
    """
    new: list[list[int]] = [[] for _ in logits]
    read, over = list(range(len(logits))), set[int]()
    while True:
        logits = logits.float().cpu()
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteError("the model's logits are not finite while it continues a prompt")
        chosen = choose(logits)
        for row, token in zip(read, chosen.tolist(), strict=True):
            if row not in over:
                new[row].append(token)
        over |= {row for row in read if row not in over and is_over(new[row])}
        going = [place for place, row in enumerate(read) if row not in over]
        if not going or len(new[read[going[0]]]) == tokens:
            return [tuple(row) for row in new]
        # Copying the cache costs about as much as a token; halving it pays for that at once.
        if 2 * len(going) <= len(read):
            kept = torch.tensor(going, device=loaded.device)
            cache.batch_select_indices(kept)
            mask, positions, chosen = mask[kept], positions[kept], chosen[going]
            read = [read[place] for place in going]
        column = chosen[:, None].to(loaded.device)
        mask = torch.cat([mask, torch.ones_like(column)], dim=1)
        positions = positions + 1
        logits = loaded.model(
            input_ids=column,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{loaded.cache_name: cache},
        ).logits[:, -1]


def _choose(logits: Tensor, top_k: int, generator: torch.Generator | None) -> Tensor:
    """Pick one id per row of ``logits`` (rows, vocabulary)."""
    if top_k == 1:
        return logits.argmax(dim=-1)
    values, ids = logits.topk(top_k, dim=-1)
    picked = torch.multinomial(values.softmax(dim=-1), 1, generator=generator)
    return ids.gather(1, picked)[:, 0]
