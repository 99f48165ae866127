"""Short contexts put before a prompt, so that an edit holds wherever the fact is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pytest_eac.cache.entries import source_digest
from pytest_eac.cache.kinds import MEASUREMENTS
from pytest_eac.lm.forward.generate import sample
from pytest_eac.lm.identity import identify
from pytest_eac.lm.tokens import decode, encode

if TYPE_CHECKING:
    from pytest_eac.cache.entries import Cache
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.schema.settings import ContextSettings

# How ROME starts its sampled prefixes.
_OPENINGS = ("The", "Therefore", "Because", "I", "You")
_TOP_K = 5


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
        "code": source_digest("editing/contexts.py", "lm"),
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
