"""The abilities of a spec, measured before the first edit and held against that afterwards."""

from __future__ import annotations

import hashlib
import json
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_eac.abilities.asking import Told
from pytest_eac.abilities.lm_eval import Harness, prepare_task
from pytest_eac.abilities.tasks import Prepared, prepare
from pytest_eac.abilities.third_party import Brought, find_ability
from pytest_eac.errors import EacError, SettingsError, UnavailableError
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.lm.weights import swapped
from pytest_eac.records.run import Ability
from pytest_eac.scoring.answer_cache import open_memory
from pytest_eac.scoring.perplexity import continued_perplexity
from pytest_eac.spec.schema.abilities import BUILT_IN, LM_EVAL
from pytest_eac.stats.paired import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from pytest_eac.abilities.asking import Asked
    from pytest_eac.cache.entries import Cache
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.schema.abilities import AbilityBounds


class Abilities:
    """What a model can do apart from the edited facts.

    Create it on the unedited model, which is asked then. What is in the ``cache`` the model is not
    asked again; what nobody can know all about is always asked: abilities of other packages, and
    lm-eval tasks with code of their own.

    Args:
        loaded: the unedited model.
        wanted: the abilities by name, and how they are asked for.
        cache: where scores are looked up and kept.
        offline: whether data sets may come from this machine only.
        confidence: the level of the intervals.
        tell: called with the name of an ability that is about to be measured.
        absent: where to put, by name, the abilities whose data are not on this machine, and to do
            without them; by default one such is an error.

    Attributes:
        base: the unedited model's abilities.

    Raises:
        DataError: items cannot be read.
        UnavailableError: a data set is not on this machine.
        SettingsError: an ability's options do not fit.
        NonFiniteError: a logit is not finite.
        SpoiledModelError: an ability of another package, or lm-eval, left something behind.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        wanted: Mapping[str, AbilityBounds],
        *,
        cache: Cache | None = None,
        offline: bool = False,
        confidence: float = 0.95,
        tell: Callable[[str], None] = lambda _: None,
        absent: dict[str, UnavailableError] | None = None,
    ) -> None:
        self._confidence = confidence
        self._memory = open_memory(cache, loaded)
        self._loaded = loaded
        self._originals: Mapping[str, Tensor] = {}
        self._prepared: dict[str, Prepared] = {}
        for name, bounds in wanted.items():
            try:
                self._prepared[name] = _prepare(loaded, name, bounds, offline=offline)
            except EacError as error:
                error.check = name
                if absent is None or not isinstance(error, UnavailableError):
                    raise
                absent[name] = error
        self._keys = {
            name: _digest(each) for name, each in self._prepared.items() if each.asked.items
        }
        self._base = {name: self._ask(name, tell) for name in self._prepared}
        self.base = {name: self._ability(name, told) for name, told in self._base.items()}

    def after(self, update: str | None, originals: Mapping[str, Tensor]) -> Abilities:
        """Return the same abilities, for the model as an update has left it.

        Args:
            update: the update's name, under which scores are kept; ``None`` if it has none.
            originals: the unedited weights by module path.
        """
        edited = copy(self)
        edited._memory = self._memory.edited(update)
        edited._originals = originals
        return edited

    def on(self, loaded: LoadedModel) -> Abilities:
        """Return the same abilities for another model, held against the one this was created on."""
        moved = copy(self)
        moved._loaded = loaded
        moved._memory = open_memory(self._memory.cache, loaded)
        return moved

    def measure(
        self, names: Iterable[str], *, tell: Callable[[str], None] = lambda _: None
    ) -> dict[str, Ability]:
        """Measure some of the abilities on the model as it is now; ``tell`` is told each name."""
        there = [name for name in names if name in self._prepared]
        return {name: self._ability(name, self._ask(name, tell)) for name in there}

    def _ask(self, name: str, tell: Callable[[str], None]) -> Told:
        tell(name)
        if name not in self._keys:
            return self._put(name)

        def ask() -> list[Any]:
            told = self._put(name)
            return [list(told.scores), told.unparsable, told.about]

        question = {"ability": name, "items": self._keys[name]}
        scores, unparsable, about = self._memory.recall(question, ask)
        return Told(scores=tuple(scores), unparsable=unparsable, about=about)

    def _put(self, name: str) -> Told:
        """Put the items to the model as it is now; whatever goes wrong bears the ability's name."""
        try:
            told = self._asked(self._prepared[name].asked)
            if not told.texts:
                return told
            with swapped(self._loaded.model, self._originals):
                read = continued_perplexity(self._loaded, told.texts)
            return replace(told, about={**told.about, "perplexity_unedited": read}, texts=())
        except EacError as error:
            raise type(error)(f"ability {name!r}: {error}") from error

    def _asked(self, asked: Asked) -> Told:
        """Ask; code of other packages must leave the model as it is."""
        if not isinstance(asked, Brought | Harness):
            return asked.ask(self._loaded)
        with preserved_random_state(), unchanged(self._loaded, "it", whole=True):
            return asked.ask(self._loaded)

    def _ability(self, name: str, told: Told) -> Ability:
        prepared, base = self._prepared[name], self._base[name].scores
        asked = prepared.asked
        if len(told.scores) != len(base):
            raise SettingsError(
                f"ability {name!r}: found {len(told.scores)} scores, expected {len(base)} as for "
                "the unedited model, one for each of the same items"
            )
        level = self._confidence
        value = asked.value(told.scores, confidence=level)
        kept = asked.kept(base, told.scores, confidence=level) or Interval(
            value=0.0, low=None, high=None
        )
        return Ability(
            value=value.value,
            low=value.low,
            high=value.high,
            base=asked.value(base).value,
            kept=kept.value if any(base) else None,
            kept_low=kept.low,
            kept_high=kept.high,
            n=len(base),
            unparsable=told.unparsable,
            chance=asked.chance,
            majority=asked.majority,
            signal=asked.signal(base),
            scores=told.scores,
            about=told.about,
            template=prepared.template,
            data=prepared.data,
            sha256=prepared.sha256,
        )


def _prepare(loaded: LoadedModel, name: str, bounds: AbilityBounds, *, offline: bool) -> Prepared:
    if name in BUILT_IN:
        return prepare(loaded, name, bounds, offline=offline)
    if name.startswith(LM_EVAL):
        with preserved_random_state(), unchanged(loaded, name):
            return prepare_task(loaded, name, bounds, offline=offline)
    return Prepared(asked=find_ability(name), template=None, data=None, sha256=None)


def _digest(prepared: Prepared) -> str:
    return hashlib.sha256(json.dumps(prepared.asked.items).encode()).hexdigest()
