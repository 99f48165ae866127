"""What an edited model recalls: efficacy, generalization, locality and retention.

Every metric is a mean over edits of a score between 0 and 1; an edit's score is the mean over its
prompts. ``docs/metrics.md`` defines each. A metric is a function of an :class:`EditedModel`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_eac.measuring.probes import GROUPS
from pytest_eac.measuring.summary import summarize_answers
from pytest_eac.text.spacing import Continuation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_eac.measuring.probes import Probe
    from pytest_eac.measuring.unedited import UneditedAnswers
    from pytest_eac.records.run import Measurement
    from pytest_eac.scoring.asker import Answer, Asker


@dataclass(frozen=True, kw_only=True, eq=False)
class EditedModel:
    """The model after some of a sequence's edits, and all that a metric may need of it.

    Attributes:
        unedited: the questions, and what the unedited model answers.
        asker: puts questions to the model as it is now.
        count: how many edits have been made.
        right_after: what each of them gave for its target right after it was made; ``None`` where
            nobody asked then, as for a model that was edited elsewhere.
    """

    unedited: UneditedAnswers
    asker: Asker
    count: int
    right_after: Sequence[Answer] | None = None

    @property
    def standing(self) -> list[int]:
        """The edits so far that are neither excluded nor overwritten."""
        return [
            index
            for index, by in enumerate(self.unedited.questions.superseded[: self.count])
            if (by is None or by >= self.count) and self.unedited.excluded[index] is None
        ]

    @cached_property
    def retained(self) -> Measurement:
        """The score of the targets of all edits that stand, asked once."""
        targets = self.unedited.questions.targets
        return self.measure_targets([targets[index] for index in self.standing])

    def measure_targets(self, probes: Sequence[Probe]) -> Measurement:
        """Ask whether each probe's answer follows now."""
        answers = self.asker.ask_in_words([each.question for each in probes])
        return self.summarize(zip(probes, answers, strict=True))

    def summarize(self, answered: Iterable[tuple[Probe, Answer]]) -> Measurement:
        """Put answered probes together to a measurement of the edits so far."""
        return summarize_answers(answered, self.count, confidence=self.unedited.confidence)


def efficacy(edited: EditedModel) -> Measurement:
    """Score each edit so far that counts on its prompt, right after it was made.

    Of a model that was edited elsewhere only its end is known: this is then its retention.
    """
    if edited.right_after is None:
        return edited.retained
    unedited = edited.unedited
    answered = zip(unedited.questions.targets, edited.right_after, strict=False)
    return edited.summarize(pair for pair in answered if unedited.excluded[pair[0].edit] is None)


def generalization(edited: EditedModel) -> Measurement:
    """Score the edits that stand on their paraphrases."""
    return measure_group(edited, "generalization")


def locality(edited: EditedModel) -> Measurement:
    """Score the answers in the neighborhood of all edits so far: 1 where unchanged."""
    return measure_group(edited, "locality")


def retention(edited: EditedModel) -> Measurement:
    """Score the edits that stand on their prompts, on the model as it is now."""
    return edited.retained


def measure_group(edited: EditedModel, group: str) -> Measurement:
    """Score a group of probes of the edits so far, as the group expects."""
    probes = edited.unedited.questions.asked(group, edited.count)
    if GROUPS[group].expect == "target":
        standing = set(edited.standing)
        return edited.measure_targets([each for each in probes if each.edit in standing])
    answers = edited.asker.ask([each.question for each in probes])
    return edited.summarize(
        _compared(probe, edited.unedited.answers[probe.question], now)
        for probe, now in zip(probes, answers, strict=True)
    )


def _compared(probe: Probe, before: Answer, now: Answer) -> tuple[Probe, Answer]:
    """Score an answer by the share of it that is the same as before the edits."""
    if isinstance(before.said, tuple) and isinstance(now.said, tuple):
        same = sum(a == b for a, b in zip(before.said, now.said, strict=True))
        score = same / len(before.said)
    else:
        score = float(before.said == now.said)
    expected = replace(probe.question, answer=Continuation(before.got))
    return replace(probe, question=expected), replace(now, score=score)
