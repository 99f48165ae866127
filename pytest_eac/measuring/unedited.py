"""All that is asked of the unedited model before a chain starts, or a release is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pytest_eac.abilities.measure import UneditedAbilities, ask_abilities
from pytest_eac.cache.entries import Cache
from pytest_eac.errors import UnavailableError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.measuring.environment import describe_model
from pytest_eac.measuring.probes import (
    GROUPS,
    NO_ANSWER,
    Questions,
    exclude,
    make_questions,
    summarize_answers,
)
from pytest_eac.records.run import Chain, EditRecord, EditTexts, Excluded, Measurement, ModelRecord
from pytest_eac.scoring.answers import generation_length
from pytest_eac.scoring.asker import Answer, Asker, ModelState, Question, as_loaded, in_words, write
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.schema.spec_file import Match
from pytest_eac.spec.spec import Spec

# How many tokens of the unedited model's own answer count where a neighbour names no answer.
OWN_ANSWER_TOKENS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UneditedAnswers:
    """What the unedited model answers to the questions of a sequence of edits.

    Attributes:
        asker: put the questions to the unedited model.
        questions: the questions, neighbours' with the model's own answers where they name none.
        own: these answers by prompt.
        answers: to all questions but those of paraphrases.
        written: what the model writes after each edit's prompt: as much as shows a target.
        excluded: why an edit does not count, if it does not.
        known: how many of the edits' truths the model gives.
        confidence: the level of the intervals.
    """

    asker: Asker
    questions: Questions
    own: Mapping[str, str]
    answers: Mapping[Question, Answer]
    written: Mapping[str, str]
    excluded: tuple[Excluded | None, ...]
    known: Measurement
    confidence: float

    @property
    def before(self) -> tuple[str, ...]:
        """What the model writes after each edit's prompt, edit by edit."""
        return tuple(self.written[edit.prompt] for edit in self.questions.edits)

    @property
    def records(self) -> tuple[EditRecord, ...]:
        """The edits as a record has them."""
        asked = self.questions
        return tuple(
            EditRecord(
                texts=EditTexts.of(edit.texts),
                origin=edit.origin,
                space=edit.space,
                spaced=edit.spaced,
                superseded_by=by,
                excluded=why,
            )
            for edit, by, why in zip(asked.edits, asked.superseded, self.excluded, strict=True)
        )


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
            sample=spec.sample,
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
    loaded: LoadedModel, spec: Spec, options: AskOptions, *, report: Callable[[str], None]
) -> Unedited:
    """Ask the unedited model what a spec's checks compare the edited one with.

    Args:
        loaded: the unedited model.
        spec: the facts, the scoring and the abilities.
        options: how it is asked.
        report: called with the name of an ability that is about to be measured.

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
            report=report,
            absent=options.absent,
        ),
    )


def ask_questions(
    state: ModelState, edits: tuple[Edit, ...], match: Match, *, confidence: float = 0.95
) -> UneditedAnswers:
    """Ask the unedited model the questions of a sequence of edits.

    Args:
        state: the unedited model.
        edits: the edits, in order.
        match: how answers are scored.
        confidence: the level of the intervals.

    Raises:
        EditError: a question has more tokens than the model takes.
        NonFiniteError: a logit is not finite.
    """
    open_prompts = (
        prompt
        for edit in edits
        for group in GROUPS.values()
        for prompt, answer in group.prompts(edit)
        if answer is None
    )
    wrote = write(state, open_prompts, OWN_ANSWER_TOKENS)
    own = {prompt: answer or NO_ANSWER for prompt, answer in wrote.items()}
    asked = make_questions(edits, match, state.loaded.tokenizer, own)
    # One length for every call: texts of different lengths could not be compared.
    probes = (*asked.unchanged, *asked.groups["truth"], *asked.targets)
    length = generation_length(state.loaded, [each.question.answer for each in probes])
    asker = Asker(state=state, match=match, length=length)
    return _answered(asker, asked, own, confidence)


def rearrange(earlier: UneditedAnswers, edits: tuple[Edit, ...]) -> UneditedAnswers:
    """Return the answers for some of these edits, in any order, repeated or taken back.

    Answers that are known are reused; the model is asked the other questions in its present state,
    which must be the unedited one.
    """
    asker = earlier.asker
    asked = make_questions(edits, asker.match, asker.state.loaded.tokenizer, earlier.own)
    return _answered(asker, asked, earlier.own, earlier.confidence, earlier)


def _answered(
    asker: Asker,
    asked: Questions,
    own: Mapping[str, str],
    confidence: float,
    earlier: UneditedAnswers | None = None,
) -> UneditedAnswers:
    known, wrote = (earlier.answers, earlier.written) if earlier else ({}, {})
    answers = dict(known)
    for probes in (asked.unchanged, (*asked.groups["truth"], *asked.targets)):
        new = [each.question for each in probes if each.question not in known]
        answers.update(zip(new, asker.ask(new), strict=True))
    prompts = [edit.prompt for edit in asked.edits if edit.prompt not in wrote]
    written = {**wrote, **asker.write(prompts)}
    truths = [each for each in asked.groups["truth"] if each.question not in asked.alike]
    gave = [answers[each.question] for each in truths]
    if asker.match == "accuracy":
        gave = in_words([each.question for each in truths], gave, written)
    return UneditedAnswers(
        asker=asker,
        questions=asked,
        own=own,
        answers=answers,
        written=written,
        excluded=exclude(asked, [answers[each.question].score for each in asked.targets]),
        known=summarize_answers(
            zip(truths, gave, strict=True), len(asked.edits), confidence=confidence
        ),
        confidence=confidence,
    )
