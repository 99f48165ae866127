"""What is asked on behalf of a sequence of edits, and what the answers amount to.

No model is run here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytest_eac.lm.tokens import continuation
from pytest_eac.records.run import Measurement, Miss
from pytest_eac.scoring.asker import Question
from pytest_eac.spec.edits import Edit, normalized_answer, question, questions, superseded
from pytest_eac.stats.means import mean_interval
from pytest_eac.text.spacing import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_eac.records.run import Excluded
    from pytest_eac.scoring.asker import Answer
    from pytest_eac.spec.schema.spec_file import Match

# Stands for the unedited model's own answer where it writes none, or has not been asked.
NO_ANSWER = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question that is asked on behalf of an edit.

    Attributes:
        edit: the edit's place in the sequence.
        group: the group that it is of.
        index: its place among the edit's questions of that group.
        question: the question.
    """

    edit: int
    group: str
    index: int
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Probes of one kind.

    Attributes:
        expect: what is asked for: the edit's ``target``, its ``truth``, or an answer ``unchanged``
            from the unedited model's.
        prompts: gives an edit's prompts, each with the answer that is asked for; ``None`` for the
            unedited model's own answer.
    """

    expect: Literal["target", "truth", "unchanged"]
    prompts: Callable[[Edit], Iterable[tuple[str, str | None]]]

    def questions(self, edit: Edit, own: Mapping[str, str]) -> Iterator[Question]:
        """Yield an edit's questions; ``own`` has the unedited model's own answers by prompt."""
        rival = edit.truth if self.expect == "target" else edit.target
        for prompt, answer in self.prompts(edit):
            yield Question(
                prompt=prompt,
                answer=edit.after(prompt, answer or own.get(prompt, NO_ANSWER)),
                rival=None if rival is None else edit.after(prompt, rival),
            )


GROUPS = {
    "prompt": Group(expect="target", prompts=lambda edit: [(edit.prompt, edit.target)]),
    "truth": Group(
        expect="truth",
        prompts=lambda edit: [] if edit.truth is None else [(edit.prompt, edit.truth)],
    ),
    "generalization": Group(
        expect="target", prompts=lambda edit: [(text, edit.target) for text in edit.paraphrases]
    ),
    "locality": Group(
        expect="unchanged",
        prompts=lambda edit: [(near.prompt, near.answer) for near in edit.neighborhood],
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The questions of a sequence of edits.

    Attributes:
        edits: the edits.
        superseded: for each, the later one that overwrites it, if any.
        groups: the probes by the name of their group; ``prompt`` has one for each edit.
        alike: questions between whose answer and rival ``success`` sees no difference.
    """

    edits: tuple[Edit, ...]
    superseded: tuple[int | None, ...]
    groups: Mapping[str, tuple[Probe, ...]]
    alike: frozenset[Question]

    @property
    def targets(self) -> tuple[Probe, ...]:
        """Whether each edit's target follows its prompt."""
        return self.groups["prompt"]

    @property
    def unchanged(self) -> tuple[Probe, ...]:
        """The probes of all groups that are compared with the unedited model's answers."""
        return tuple(
            probe
            for name, probes in self.groups.items()
            if GROUPS[name].expect == "unchanged"
            for probe in probes
        )

    def asked(self, group: str, count: int) -> list[Probe]:
        """Return the probes of a group that say something about the first ``count`` edits.

        A probe that is to have the edit's target is left out where a later edit asks it, or where
        it is the edit's own prompt. One that is to be unchanged is left out where any edit asks it,
        since it is then meant to change, and where it compares an answer with itself.
        """
        last = {text: index for index in range(count) for text in questions(self.edits[index])}
        probes = [probe for probe in self.groups[group] if probe.edit < count]
        if GROUPS[group].expect == "unchanged":
            return [
                probe
                for probe in probes
                if question(probe.question.prompt) not in last and probe.question not in self.alike
            ]
        return [
            probe
            for probe in probes
            for text in (question(probe.question.prompt),)
            if last.get(text, probe.edit) == probe.edit
            and text != question(self.edits[probe.edit].prompt)
        ]


def make_questions(
    edits: tuple[Edit, ...], match: Match, tokenizer: Any, own: Mapping[str, str]
) -> Questions:
    """Return the questions of a sequence of edits.

    Args:
        edits: the edits, in order.
        match: how answers are scored.
        tokenizer: the model's.
        own: the unedited model's answers, by prompt, where a neighbour names none.
    """
    groups = {
        name: tuple(
            Probe(edit=place, group=name, index=index, question=each)
            for place, edit in enumerate(edits)
            for index, each in enumerate(group.questions(edit, own))
        )
        for name, group in GROUPS.items()
    }
    every = {probe.question for probes in groups.values() for probe in probes}
    return Questions(
        edits=edits,
        superseded=superseded(edits),
        groups=groups,
        alike=_alike(every, tokenizer) if match == "success" else frozenset(),
    )


def every_question(edit: Edit) -> list[Question]:
    """Return all questions of an edit; the model's own answers are not known."""
    return [each for group in GROUPS.values() for each in group.questions(edit, {})]


def exclude(asked: Questions, scores: Sequence[float]) -> tuple[Excluded | None, ...]:
    """Say of each edit why it cannot show whether a method works, if it cannot.

    Args:
        asked: the questions of the edits.
        scores: of the unedited model on each edit's target.
    """
    written: dict[str, set[str]] = {}
    found: list[Excluded | None] = []
    for edit, probe, score in zip(asked.edits, asked.targets, scores, strict=True):
        # Where an earlier edit gives another answer, the unedited model's one is outdated.
        replaces = written.get(question(edit.prompt), set()) - {normalized_answer(edit.target)}
        is_truth = probe.question in asked.alike
        held = score >= 1 and not replaces
        found.append("target is truth" if is_truth else "already held" if held else None)
        for text in questions(edit):
            written.setdefault(text, set()).add(normalized_answer(edit.target))
    return tuple(found)


def _alike(asked: set[Question], tokenizer: Any) -> frozenset[Question]:
    texts = {text for each in asked for text in (each.answer, each.rival) if text is not None}
    tokens = {
        text: continuation(tokenizer, Continuation(normalized_answer(text))) for text in texts
    }
    return frozenset(
        each for each in asked if each.rival and tokens[each.answer] == tokens[each.rival]
    )


def summarize_answers(
    answered: Iterable[tuple[Probe, Answer]], count: int, *, confidence: float
) -> Measurement:
    """Return the mean over edits of each edit's mean over its probes.

    Args:
        answered: probes of the first ``count`` edits with their answers.
        count: the number of edits; one without an answer here has no score.
        confidence: the level of the interval.
    """
    by_edit: dict[int, list[float]] = {}
    misses = []
    for probe, answer in answered:
        by_edit.setdefault(probe.edit, []).append(answer.score)
        if answer.score < 1:
            unchanged = GROUPS[probe.group].expect == "unchanged"
            misses.append(
                Miss(
                    edit=probe.edit,
                    group=probe.group,
                    index=probe.index,
                    before=probe.question.answer.strip() if unchanged else None,
                    got=answer.got,
                    score=answer.score,
                )
            )
    scores = [by_edit.get(index) for index in range(count)]
    means = [sum(each) / len(each) if each else None for each in scores]
    return summarize_scores(means, misses, confidence=confidence)


def summarize_scores(
    scores: Sequence[float | None], misses: Iterable[Miss] = (), *, confidence: float
) -> Measurement:
    """Return the mean of per-edit scores between 0 and 1 with its interval at ``confidence``."""
    there = [score for score in scores if score is not None]
    value = sum(there) / len(there) if there else None
    low = high = None
    if value is not None:
        low, high = mean_interval(there, confidence=confidence)
    return Measurement(
        value=value, n=len(there), low=low, high=high, scores=tuple(scores), misses=tuple(misses)
    )
