"""Abilities scored by the probability of the right answer instead of by right and wrong.

A small model gives few right answers, so counting them shows little of what an edit has cost. The
probability of the right answer changes on every item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

from pytest_eac.abilities.asking import Asked, Replies
from pytest_eac.abilities.data_items import Row, text, texts
from pytest_eac.abilities.templates import Template
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.scoring.answers import force
from pytest_eac.text.spacing import as_continuation


@dataclass(frozen=True, kw_only=True)
class Answers(Asked):
    """Prompts with their accepted answers; the score is the probability of the likeliest of these.

    That of an answer is the geometric mean over its tokens, ``exp(mean log-probability)``, so that
    longer answers are at no disadvantage.

    Attributes:
        prompts: one per item.
        accepted: the forms of each item's answer.
        unasked: the unedited model's mean score on prompts whose fields are empty: the probability
            of the answers without the questions.
    """

    prompts: tuple[str, ...]
    accepted: tuple[tuple[str, ...], ...]
    unasked: float

    @property
    def chance(self) -> float:
        """The score of the answers without the questions."""
        return self.unasked

    @property
    def items(self) -> Sequence[Any]:
        """Prompt and accepted answers of each item."""
        return [(*pair, "probability") for pair in zip(self.prompts, self.accepted, strict=True)]

    def ask(self, loaded: LoadedModel) -> Replies:
        """Score all accepted answers in one call."""
        return Replies(scores=_probabilities(loaded, self.prompts, self.accepted))


def questions(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Answers:
    """Ask open questions, with the accepted forms of their answers."""
    return _answers(loaded, rows, template, [texts(row, "answer", "answers") for row in rows])


def summaries(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Answers:
    """Ask for summaries of dialogues (SAMSum's format)."""
    return _answers(loaded, rows, template, [(text(row, "summary"),) for row in rows])


def problems(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Answers:
    """Ask word problems, with their worked solutions (GSM8K's format)."""
    return _answers(loaded, rows, template, [(text(row, "answer"),) for row in rows])


def _answers(
    loaded: LoadedModel,
    rows: Sequence[Row],
    template: Template,
    accepted: Sequence[tuple[str, ...]],
) -> Answers:
    blank = (template.blank(loaded),) * len(rows)
    unasked = _probabilities(loaded, blank, accepted)
    return Answers(
        prompts=tuple(template.ask(loaded, row) for row in rows),
        accepted=tuple(accepted),
        unasked=sum(unasked) / len(unasked),
    )


def _probabilities(
    loaded: LoadedModel, prompts: Sequence[str], accepted: Sequence[tuple[str, ...]]
) -> tuple[float, ...]:
    pairs = [
        (prompt, as_continuation(prompt, form))
        for prompt, forms in zip(prompts, accepted, strict=True)
        for form in forms
    ]
    likely = iter([forced.log_likelihood for forced in force(loaded, pairs)])
    return tuple(exp(max(next(likely) for _ in forms)) for forms in accepted)
