"""Answers and their scores: teacher forcing, likelihood, greedy generation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch

from pytest_eac.errors import EditError, NonFiniteError
from pytest_eac.lm.forward.generate import TO_END_CHARACTER, greedy
from pytest_eac.lm.forward.packed import BUDGET, read
from pytest_eac.lm.forward.shared_prefixes import Ids
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import continuation, decode, encode
from pytest_eac.text.spacing import Continuation, starts_with

# Behind the target, so that "Rome" and "Romeo" can be distinguished.
_EXTRA_TOKENS = 3
# How many tokens may be generated beyond the longest answer in all.
MOST_EXTRA_TOKENS = _EXTRA_TOKENS + TO_END_CHARACTER


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
    loaded: LoadedModel, pairs: Sequence[tuple[str, Continuation]], *, budget: int = BUDGET
) -> list[Forced]:
    """Score continuations under teacher forcing.

    Ask for everything in one call: rows are packed, what they have in common is read once, and an
    ask that occurs twice is answered once.

    Args:
        loaded: the model.
        pairs: (prompt, what follows it): :func:`pytest_eac.text.spacing.as_continuation` puts a
            space before an answer where one belongs.
        budget: tokens in one forward pass. Neither it nor the other pairs change a score beyond
            rounding.

    Raises:
        EditError: a prompt has no tokens, or a pair has more than the model takes.
        NonFiniteError: a logit is not finite.
    """
    prompts = {text: encode(loaded.tokenizer, text) for text in dict(pairs)}
    answers = {text: continuation(loaded.tokenizer, text) for text in {pair[1] for pair in pairs}}
    return force_ids(
        loaded, [(prompts[prompt], answers[answer]) for prompt, answer in pairs], budget=budget
    )


@torch.no_grad()
def force_ids(
    loaded: LoadedModel, rows: Sequence[tuple[Ids, Ids]], *, budget: int = BUDGET
) -> list[Forced]:
    """Score continuations, as ``force`` does, of (tokens before, tokens of the continuation)."""
    if not all(before for before, _ in rows):
        raise EditError("a prompt has no tokens, so that nothing stands before its answer's first")
    found: list[dict[int, tuple[int, float]]] = [{} for _ in rows]
    inputs = [(*before, *wanted[:-1]) for before, wanted in rows]
    firsts = [len(before) - 1 for before, _ in rows]
    for done in read(loaded, inputs, firsts, budget=budget):
        places = [
            (index, position - segment.end, row, position - firsts[row])
            for index, segment in enumerate(done.segments)
            for row in segment.rows
            for position in range(max(firsts[row], segment.start), segment.end)
        ]
        if places:
            asked = [(index, column, rows[row][1][token]) for index, column, row, token in places]
            scores = _token_scores(done.logits, asked)
            for (_, _, row, token), score in zip(places, scores, strict=True):
                found[row][token] = score
    return [
        Forced(
            wanted=wanted,
            predicted=tuple(tokens[index][0] for index in range(len(wanted))),
            log_likelihood=sum(tokens[index][1] for index in range(len(wanted))) / len(wanted),
        )
        for (_, wanted), tokens in zip(rows, found, strict=True)
    ]


def _token_scores(
    logits: torch.Tensor, asked: Sequence[tuple[int, int, int]]
) -> list[tuple[int, float]]:
    """Return the likeliest id and the wanted id's log-probability at places of a pass.

    Args:
        logits: (segments, tokens, vocabulary).
        asked: segment, token and wanted id of each; where several ask at one place, its
            distribution is computed once.
    """
    place = {at: index for index, at in enumerate(dict.fromkeys((i, j) for i, j, _ in asked))}
    segments, tokens = torch.tensor(list(place), device=logits.device).T
    chosen = logits[segments, tokens].float()
    if not bool(torch.isfinite(torch.stack(chosen.aminmax())).all()):
        raise NonFiniteError("the model's logits are not finite while it scores a text")
    at = torch.tensor([place[i, j] for i, j, _ in asked], device=logits.device)
    wanted = torch.tensor([token for _, _, token in asked], device=logits.device)
    likely = chosen[at, wanted] - chosen.logsumexp(dim=-1)[at]
    return list(zip(chosen.argmax(dim=-1)[at].tolist(), likely.tolist(), strict=True))


def generate(
    loaded: LoadedModel,
    prompts: Sequence[str],
    *,
    tokens: int,
    until: str | None = None,
    budget: int = BUDGET,
) -> list[str]:
    """Continue prompts greedily by up to ``tokens`` tokens; only the new text is returned.

    A text ends before the first id that ends one; it continues for up to three ids more if it would
    end inside a character. With ``until`` it also ends before the first occurrence of that, and
    white space at its start is dropped. Equal prompts are continued once; ``budget`` bounds the
    tokens in one forward pass and changes no text beyond what rounding does.
    """
    rows = [encode(loaded.tokenizer, prompt) for prompt in prompts]
    answers = [
        decode(
            loaded.tokenizer,
            tuple(takewhile(lambda token: token not in loaded.stop_ids, ids)),
            special=False,
        )
        for ids in greedy(loaded, rows, tokens=tokens, until=until, budget=budget)
    ]
    if until is None:
        return answers
    return [answer.lstrip().partition(until)[0] for answer in answers]


def generation_length(loaded: LoadedModel, answers: Sequence[Continuation]) -> int:
    """Return how many new tokens show whether a generation starts with the longest answer."""
    return max(len(continuation(loaded.tokenizer, text)) for text in answers) + _EXTRA_TOKENS


def says(loaded: LoadedModel, generated: str, answer: Continuation) -> bool:
    """Return whether a generated text starts with an answer, as whole words.

    A tokenizer may have no capital letters, no accents, or one form of some characters only: the
    answer counts as it was given, or as the tokenizer decodes it.
    """
    written = decode(loaded.tokenizer, continuation(loaded.tokenizer, answer))
    return any(starts_with(generated, form) for form in (answer, written) if form.strip())
