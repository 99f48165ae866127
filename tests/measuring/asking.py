"""Recall for tests: questions asked of the unedited model, and of the model as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.measuring.recall import EditedModel
from pytest_eac.measuring.unedited import UneditedAnswers, ask_questions
from pytest_eac.scoring.asker import as_loaded

if TYPE_CHECKING:
    from pytest_eac.cache.entries import Cache
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.run import Measurement
    from pytest_eac.scoring.asker import Answer
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.spec_file import Match


def ask(
    loaded: LoadedModel, edits: tuple[Edit, ...], match: Match, *, cache: Cache | None = None
) -> UneditedAnswers:
    """What the unedited model answers."""
    return ask_questions(as_loaded(loaded, cache), edits, match)


def after(unedited: UneditedAnswers, count: int) -> EditedModel:
    """The model as it is now, taken as that after ``count`` edits."""
    return EditedModel(unedited=unedited, asker=unedited.asker, count=count)


def answer(unedited: UneditedAnswers, index: int) -> Answer:
    """What the model as it is now gives for one edit's target."""
    return unedited.asker.ask_in_words([unedited.questions.targets[index].question])[0]


def missed(unedited: UneditedAnswers, measured: Measurement) -> list[str]:
    """The prompts that did not score in full."""
    records = unedited.records
    return [records[miss.edit].asked(miss)[0] for miss in measured.misses]
