"""What an edit shows the model: its prompt in every context, and a sentence to leave alone.

Contexts are short texts before a prompt, so that an edit holds wherever the fact is asked for.
"""

from dataclasses import dataclass

import torch

from pytest_eac.cache.entries import Cache, source_digest
from pytest_eac.cache.kinds import MEASUREMENTS
from pytest_eac.lm.forward.generate import sample
from pytest_eac.lm.identity import identify
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import Located, continuation, decode, encode
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.schema.settings import ContextSettings

# How ROME starts its sampled prefixes.
_OPENINGS = ("The", "Therefore", "Because", "I", "You")
_TOP_K = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPrompts:
    """Token ids of an edit's prompts; the bare prompt is the first row.

    Attributes:
        rows: each context's prompt, followed by the target's ids but the last.
        subjects: for each row, the index of the subject's last token.
        starts: for each row, the index whose next token is the target's first.
        target: the target's ids.
        essence: ids of "{subject} is a", on which the edit must leave the model's mind alone.
        essence_subject: the index of the subject's last token there.
    """

    rows: tuple[tuple[int, ...], ...]
    subjects: tuple[int, ...]
    starts: tuple[int, ...]
    target: tuple[int, ...]
    essence: tuple[int, ...]
    essence_subject: int


def prepare(loaded: LoadedModel, edit: Edit, contexts: tuple[str, ...]) -> EditPrompts:
    """Put an edit's prompt into every context and turn it all into ids.

    Raises:
        EditError: the subject cannot be found among the tokens, or there are too many of them.
        ModelError: the tokenizer has no tokens for the target.
    """
    tokenizer = loaded.tokenizer
    target = continuation(tokenizer, edit.ending)
    rows: list[tuple[int, ...]] = []
    subjects: list[int] = []
    starts: list[int] = []
    for context in contexts:
        row = Located.encode(tokenizer, context.replace("{}", edit.prompt))
        loaded.require_room(row.ids, len(target) - 1)
        at = context.index("{}") + edit.start
        subject = range(at, at + len(edit.subject))
        if not rows:
            row.require_own_token(subject)
        rows.append((*row.ids, *target[:-1]))
        subjects.append(row.tokens_of(subject)[-1])
        starts.append(len(row.ids) - 1)
    essence = Located.encode(tokenizer, f"{edit.subject} is a")
    return EditPrompts(
        rows=tuple(rows),
        subjects=tuple(subjects),
        starts=tuple(starts),
        target=target,
        essence=essence.ids,
        essence_subject=essence.tokens_of(range(len(edit.subject)))[-1],
    )


def make_contexts(
    loaded: LoadedModel, settings: ContextSettings, *, seed: int, cache: Cache | None = None
) -> tuple[str, ...]:
    """Return context templates, each with ``{}`` where the prompt goes; the first is bare.

    Sampled from the model as it is (top 5, like ROME), so call it before the first edit. The same
    model, settings and seed give the same contexts; a ``cache`` keeps them.
    """
    if settings.texts is not None:
        return ("{}", *(text for text in settings.texts if text != "{}"))
    if cache is None:
        return ("{}", *_sample(loaded, settings, seed))
    key = {
        "code": source_digest("editing/prompts.py", "lm"),
        "model": identify(loaded),
        "contexts": settings.lengths,
        "seed": seed,
    }
    return ("{}", *cache.take(MEASUREMENTS, key, lambda: _sample(loaded, settings, seed)))


def _sample(loaded: LoadedModel, settings: ContextSettings, seed: int) -> list[str]:
    generator = torch.Generator(device="cpu").manual_seed(seed)
    contexts = []
    for tokens, count in settings.lengths:
        openings = [_OPENINGS[index % len(_OPENINGS)] for index in range(count)]
        rows = [encode(loaded.tokenizer, opening) for opening in openings]
        ids = sample(loaded, rows, tokens=tokens, top_k=_TOP_K, generator=generator)
        for row, new in zip(rows, ids, strict=True):
            text = decode(loaded.tokenizer, (*row, *new), special=False)
            plain = " ".join(text.replace("{", " ").replace("}", " ").split())
            contexts.append(plain + ". {}")
    return contexts
