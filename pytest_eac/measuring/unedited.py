"""All that is asked of the unedited model before a chain starts, or a release is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_eac.abilities.measure import ask_abilities
from pytest_eac.measuring.environment import describe_model
from pytest_eac.measuring.unedited_answers import ask_questions, rearrange
from pytest_eac.records.run import Chain
from pytest_eac.scoring.answer_cache import as_loaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.abilities.measure import UneditedAbilities
    from pytest_eac.cache.entries import Cache
    from pytest_eac.errors import UnavailableError
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.measuring.unedited_answers import UneditedAnswers
    from pytest_eac.records.run import ModelRecord
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """How a model is asked.

    Attributes:
        cache: where answers are looked up and kept.
        offline: whether data sets may come from this machine only.
        absent: called with the name of an ability whose data are not on this machine, which is then
            left out; by default that is an error.
    """

    cache: Cache | None = None
    offline: bool = False
    absent: Callable[[str, UnavailableError], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unedited:
    """An unedited model with its answers to a spec's questions, and its abilities."""

    model: ModelRecord
    answers: UneditedAnswers
    abilities: UneditedAbilities

    def rearranged(self, edits: tuple[Edit, ...]) -> Unedited:
        """Return the same for some of the edits, in any order; see :func:`rearrange`."""
        return replace(self, answers=rearrange(self.answers, edits))

    def record(self, spec: Spec, method: str, *, seed: int) -> Chain:
        """Return the record of a chain before its first edit."""
        return Chain(
            spec=spec.file.as_posix(),
            method=method,
            seed=seed,
            model=self.model,
            scoring=spec.scoring.match,
            hyperparameters={},
            contexts=(),
            edits=self.answers.records,
            known=self.answers.known,
            before=self.answers.before,
            abilities=self.abilities.records,
            asked={name: bounds.asked for name, bounds in spec.checks.abilities.items()},
            checkpoints=(),
            per_edit=(),
            seconds=0.0,
            confidence=spec.stats.confidence,
        )


def ask_unedited(
    loaded: LoadedModel, spec: Spec, options: AskOptions, *, tell: Callable[[str], None]
) -> Unedited:
    """Ask the unedited model what a spec's checks compare the edited one with.

    Args:
        loaded: the unedited model.
        spec: the facts, the scoring and the abilities.
        options: how it is asked.
        tell: called with the name of an ability that is about to be measured.

    Raises:
        EditError: a question has more tokens than the model takes.
        NonFiniteError: a logit is not finite.
        DataError, UnavailableError, SettingsError, SpoiledModelError: as
            :func:`pytest_eac.abilities.measure.ask_abilities`.
    """
    state, level = as_loaded(loaded, options.cache), spec.stats.confidence
    return Unedited(
        model=describe_model(loaded),
        answers=ask_questions(state, spec.edits, spec.scoring.match, confidence=level),
        abilities=ask_abilities(
            state,
            spec.checks.abilities,
            offline=options.offline,
            confidence=level,
            tell=tell,
            absent=options.absent,
        ),
    )
