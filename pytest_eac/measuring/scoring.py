"""Answers and their scores: teacher forcing, likelihood, greedy generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from pytest_eac.errors import NonFiniteError
from pytest_eac.lm.generate import Ids, sample
from pytest_eac.lm.tokens import continuation, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_eac.lm.load import LoadedModel

Row = TypeVar("Row")
Result = TypeVar("Result")

BATCH = 16
# Behind the target, so that "Rome" can be told from "Romeo".
_EXTRA_TOKENS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """A continuation under teacher forcing: each token is asked for after the true ones before it.

    Attributes:
        wanted: the continuation's ids.
        predicted: the likeliest id at each of its places.
        log_likelihood: mean log-probability of its tokens.
    """

    wanted: Ids
    predicted: Ids
    log_likelihood: float

    @property
    def accuracy(self) -> float:
        """Share of the continuation's tokens that are the likeliest ones."""
        pairs = zip(self.wanted, self.predicted, strict=True)
        return sum(a == b for a, b in pairs) / len(self.wanted)


@torch.no_grad()
def force(
    loaded: LoadedModel, pairs: Sequence[tuple[str, str]], *, batch: int = BATCH
) -> list[Forced]:
    """Score continuations under teacher forcing.

    Args:
        loaded: the model.
        pairs: (prompt, continuation) texts; one space is put between them.
        batch: rows per forward pass. Neither it nor the padding changes a score beyond rounding.

    Raises:
        NonFiniteError: a logit is not finite.
    """
    encoded = [
        (encode(loaded.tokenizer, prompt), continuation(loaded.tokenizer, text))
        for prompt, text in pairs
    ]
    return _in_batches(
        encoded, [len(a) + len(b) for a, b in encoded], batch, lambda rows: _force(loaded, rows)
    )


def _force(loaded: LoadedModel, rows: Sequence[tuple[Ids, Ids]]) -> list[Forced]:
    padded = loaded.pad([(*prompt, *text[:-1]) for prompt, text in rows], side="right")
    places = [range(len(prompt) - 1, len(prompt) + len(text) - 1) for prompt, text in rows]
    kept = sorted({place for each in places for place in each})
    column = {place: index for index, place in enumerate(kept)}
    keep = torch.tensor(kept, device=loaded.device)
    logits = loaded.model(**padded.as_inputs(), logits_to_keep=keep, use_cache=False).logits
    results = []
    for row, ((_, wanted), where) in enumerate(zip(rows, places, strict=True)):
        chosen = logits[row, [column[place] for place in where]].float()
        if not bool(torch.isfinite(chosen).all()):
            raise NonFiniteError("the model's logits are not finite while it scores a prompt")
        likely = chosen.log_softmax(dim=-1)
        index = torch.tensor(wanted, device=likely.device)[:, None]
        results.append(
            Forced(
                wanted=wanted,
                predicted=tuple(likely.argmax(dim=-1).tolist()),
                log_likelihood=float(likely.gather(1, index).mean()),
            )
        )
    return results


def generate(
    loaded: LoadedModel, prompts: Sequence[str], *, tokens: int, batch: int = BATCH
) -> list[str]:
    """Continue prompts greedily by ``tokens`` tokens; only the new text is returned."""
    rows = [encode(loaded.tokenizer, prompt) for prompt in prompts]
    new = _in_batches(
        rows,
        [len(row) for row in rows],
        batch,
        lambda each: sample(loaded, each, tokens=tokens),
    )
    return [
        loaded.tokenizer.decode(_until_stop(ids, loaded.stop_ids), skip_special_tokens=True)
        for ids in new
    ]


def _until_stop(ids: Ids, stops: frozenset[int]) -> Ids:
    """Cut a row before its first end-of-text id: what follows is no part of the answer."""
    end = next((index for index, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


def generation_length(loaded: LoadedModel, targets: Sequence[str]) -> int:
    """Return how many new tokens show whether a generation starts with the longest target."""
    return max(len(continuation(loaded.tokenizer, text)) for text in targets) + _EXTRA_TOKENS


def starts_with(generated: str, target: str) -> bool:
    """Say whether a generated text starts with ``target`` as whole words.

    White space before it does not count; case does.
    """
    text, wanted = generated.lstrip(), target.strip()
    following = text[len(wanted) : len(wanted) + 1]
    joined = wanted[-1:].isalnum() and following.isalnum()
    return text.startswith(wanted) and not joined


def _in_batches(
    rows: Sequence[Row],
    lengths: Sequence[int],
    batch: int,
    run: Callable[[Sequence[Row]], list[Result]],
) -> list[Result]:
    """Run rows in batches of similar length; results come in the order of ``rows``."""
    order = sorted(range(len(rows)), key=lambda index: lengths[index])
    results: dict[int, Result] = {}
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        done = run([rows[index] for index in chosen])
        results.update(zip(chosen, done, strict=True))
    return [results[index] for index in range(len(rows))]
