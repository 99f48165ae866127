"""A model in one state of its weights, with the answers it has given in that state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_eac.cache.entries import source_digest
from pytest_eac.cache.kinds import MEASUREMENTS
from pytest_eac.lm.identity import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from pytest_eac.cache.entries import Cache
    from pytest_eac.lm.loading.load import LoadedModel

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelState:
    """A model in one state of its weights; what it answers is kept under that state.

    Attributes:
        loaded: the model.
        cache: where its answers are kept, if anywhere.
        identity: what the answers of the model depend on as it was loaded.
        update: the name of the last update, which stands for the weights after it
            (:class:`pytest_eac.editing.sequence.Step`); empty for the model as it was loaded, and
            ``None`` for a state without a name: answers given in it are not kept.
        originals: the weights before the first update, by module path.
    """

    loaded: LoadedModel
    cache: Cache | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    update: str | None = ""
    originals: Mapping[str, Tensor] = field(default_factory=dict)

    def after(self, update: str | None, originals: Mapping[str, Tensor]) -> ModelState:
        """Return the state of the same model after an update; see the attributes."""
        return replace(self, update=update, originals=originals)

    def recall(self, question: Mapping[str, Any], ask: Callable[[], Reply]) -> Reply:
        """Return the answer to a question, plain data; ``ask`` puts it to the model."""
        if self.cache is None or self.update is None:
            return ask()
        key = {**self.identity, "after": self.update, **question}
        return self.cache.take(MEASUREMENTS, key, ask)


def as_loaded(loaded: LoadedModel, cache: Cache | None = None) -> ModelState:
    """Return the state of a model whose weights are as they were loaded."""
    if cache is None:
        return ModelState(loaded=loaded)
    code = source_digest("scoring", "measuring", "abilities", "lm", "text")
    return ModelState(
        loaded=loaded, cache=cache, identity={"code": code, "model": identify(loaded)}
    )
