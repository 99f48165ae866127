"""A model's answers in the cache, by the state of its weights and what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_eac.cache.entries import source_digest
from pytest_eac.cache.kinds import MEASUREMENTS
from pytest_eac.lm.identity import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_eac.cache.entries import Cache
    from pytest_eac.lm.loading.load import LoadedModel

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerMemory:
    """What one model has answered in one state.

    Attributes:
        cache: where the answers are, if anywhere.
        model: what the unedited model's answers depend on.
        after: the name of the last update, which stands for the weights after it
            (:class:`pytest_eac.editing.sequence.Step`); empty for the unedited model, and ``None``
            for a state that nothing stands for: what is answered then is not kept.
    """

    cache: Cache | None
    model: Mapping[str, Any]
    after: str | None = ""

    def edited(self, update: str | None) -> AnswerMemory:
        """Return the memory of the same model after an update; see ``after``."""
        return replace(self, after=update)

    def recall(self, question: Mapping[str, Any], ask: Callable[[], Reply]) -> Reply:
        """Return the answer to a question, plain data; ``ask`` puts it to the model."""
        if self.cache is None or self.after is None:
            return ask()
        key = {**self.model, "after": self.after, **question}
        return self.cache.take(MEASUREMENTS, key, ask)


def open_memory(cache: Cache | None, loaded: LoadedModel) -> AnswerMemory:
    """Return the memory of an unedited model."""
    if cache is None:
        return AnswerMemory(cache=None, model={})
    code = source_digest("scoring", "measuring", "abilities", "lm", "text")
    model = {"code": code, "model": identify(loaded)}
    return AnswerMemory(cache=cache, model=model)
