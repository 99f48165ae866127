"""What an edited model recalls: its answers to the edits' questions, put together to metrics.

Every metric is a mean over edits of a score between 0 and 1; an edit's score is the mean over its
prompts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_eac.measuring.probes import GROUPS, Probe, summarize_answers
from pytest_eac.measuring.unedited import UneditedAnswers
from pytest_eac.records.run import Measurement
from pytest_eac.scoring.asker import Answer, Asker
from pytest_eac.text.spacing import Continuation


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

    def measure_group(self, group: str) -> Measurement:
        """Score a group of probes of the edits so far, as the group expects."""
        probes = self.unedited.questions.asked(group, self.count)
        if GROUPS[group].expect == "target":
            standing = set(self.standing)
            return self.measure_targets([each for each in probes if each.edit in standing])
        answers = self.asker.ask([each.question for each in probes])
        return self.summarize(
            _compared(probe, self.unedited.answers[probe.question], now)
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
