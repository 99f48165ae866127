"""What the model recalls: efficacy, generalization, locality, retention, and what it knew before.

Every metric is a mean over edits of a score between 0 and 1; an edit's score is the mean over its
prompts. ``docs/metrics.md`` defines each.
"""

from __future__ import annotations

from copy import copy
from dataclasses import asdict, astuple, dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING

from pytest_eac.lm.tokens import continuation, decode
from pytest_eac.records.run import EditRecord, Measurement, Miss
from pytest_eac.scoring.answer_cache import open_memory
from pytest_eac.scoring.answers import (
    Forced,
    force,
    generate,
    generation_length,
    says,
)
from pytest_eac.spec.edits import Edit, normalized_answer, question, questions, superseded
from pytest_eac.stats.intervals import wilson
from pytest_eac.text.spacing import Continuation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_eac.cache.entries import Cache
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.run import Excluded
    from pytest_eac.spec.schema.spec_file import Match

# How many tokens of the unedited model's own answer count where a neighbour names no answer.
OWN_ANSWER_TOKENS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """A question put to the model on behalf of an edit; ``rival`` is for ``success`` only."""

    edit: int
    prompt: str
    answer: Continuation
    rival: Continuation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the model said: a score between 0 and 1, its text, and a form to compare later."""

    score: float
    got: str
    said: tuple[int, ...] | str | bool


class Recall:
    """Scores of a sequence of edits on one model, held against the model before the first edit.

    Create it on the unedited model: the answers on neighbourhood prompts are recorded then. Answers
    in the ``cache`` are reused. ``confidence`` is the level of the intervals.

    Attributes:
        edits: those whose questions are asked.
        superseded: for each, the later one that overwrites it, if any.
        known: how many of their truths the unedited model gives.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        edits: tuple[Edit, ...],
        match: Match,
        *,
        cache: Cache | None = None,
        confidence: float = 0.95,
    ) -> None:
        self._confidence = confidence
        self._memory = open_memory(cache, loaded)
        self._loaded = loaded
        self._match = match
        self._own = self._own_answers(edits)
        self._place(edits)
        every = (*self._truths, *self._neighbors, *self._targets)
        # One length for every call: texts of different lengths could not be compared.
        self._length = generation_length(loaded, [ask.answer for ask in every])
        self._before = self._answers(self._neighbors)
        both = self._answers([*self._truths, *self._targets])
        known = self._in_words(self._truths, both[: len(self._truths)])
        self._wrote = self._written([edit.prompt for edit in edits])
        # Of equal asks the last one's answer is kept: that of a truth, which is in words.
        asks = (*self._targets, *self._neighbors, *self._truths)
        said = (*both[len(known) :], *self._before, *known)
        self._told = {_question(ask): answer for ask, answer in zip(asks, said, strict=True)}
        self._exclude()
        self.known = self._measure(*self._counted_truths(), len(edits))

    def arranged(self, edits: tuple[Edit, ...]) -> Recall:
        """Return the same for some of these edits, in any order, repeated or taken back.

        What has been answered already is not asked again; what else there is, the model is asked
        as it is now: the unedited one.
        """
        other = copy(self)
        other._place(edits)
        asks = (*other._neighbors, *other._truths, *other._targets)
        new = [ask for ask in asks if _question(ask) not in self._told]
        answers = other._in_words(new, other._answers(new))
        other._told = self._told | {
            _question(ask): answer for ask, answer in zip(new, answers, strict=True)
        }
        other._before = [other._told[_question(ask)] for ask in other._neighbors]
        other._exclude()
        other.known = other._measure(*other._counted_truths(), len(edits))
        other._wrote = self._wrote | other._written(
            [edit.prompt for edit in edits if edit.prompt not in self._wrote]
        )
        return other

    @property
    def before(self) -> tuple[str, ...]:
        """What the unedited model writes after each edit's prompt: as much as shows a target."""
        return tuple(self._wrote[edit.prompt] for edit in self.edits)

    def _place(self, edits: tuple[Edit, ...]) -> None:
        """Take these edits, and what is to be asked for them."""
        self.edits = edits
        self.superseded = superseded(edits)
        self._truths = [
            _ask(index, edit, edit.prompt, edit.truth, rival=edit.target)
            for index, edit in enumerate(edits)
            if edit.truth is not None
        ]
        self._targets = [self._edit_ask(index) for index in range(len(edits))]
        self._neighbors = self._neighbor_asks()
        self._alike = self._same_to_success((*self._truths, *self._targets, *self._neighbors))

    def _exclude(self) -> None:
        """Find the edits that cannot show whether a method works, from the unedited answers."""
        written: dict[str, set[str]] = {}
        found: list[Excluded | None] = []
        for ask, edit in zip(self._targets, self.edits, strict=True):
            # Where an earlier edit gives another answer, the unedited model's one is outdated.
            replaces = written.get(question(edit.prompt), set()) - {normalized_answer(edit.target)}
            held = self._told[_question(ask)].score >= 1 and not replaces
            is_truth = (ask.answer, ask.rival) in self._alike
            found.append("target is truth" if is_truth else "already held" if held else None)
            for text in questions(edit):
                written.setdefault(text, set()).add(normalized_answer(edit.target))
        self.excluded = tuple(found)

    def _same_to_success(self, asks: Iterable[_Ask]) -> set[tuple[str, str | None]]:
        """Return the pairs of answer and rival between which ``success`` sees no difference."""
        pairs = {(ask.answer, ask.rival) for ask in asks if ask.rival is not None}
        if self._match != "success":
            return set()
        texts = {text for pair in pairs for text in pair if text is not None}
        tokens = {
            text: continuation(self._loaded.tokenizer, Continuation(normalized_answer(text)))
            for text in texts
        }
        return {(one, other) for one, other in pairs if other and tokens[one] == tokens[other]}

    def _counted_truths(self) -> tuple[list[_Ask], list[_Answer]]:
        """Return the truths that differ from their targets, and the unedited model's answers."""
        asks = [ask for ask in self._truths if (ask.answer, ask.rival) not in self._alike]
        return asks, [self._told[_question(ask)] for ask in asks]

    @property
    def records(self) -> tuple[EditRecord, ...]:
        """The edits as a record has them."""
        return tuple(
            EditRecord(**asdict(edit), superseded_by=by, spaced=edit.spaced, excluded=why)
            for edit, by, why in zip(self.edits, self.superseded, self.excluded, strict=True)
        )

    def after(self, update: str | None) -> Recall:
        """Return the same questions, for the model as an update has left it.

        ``update`` is the update's name, under which answers are kept; ``None`` if it has none.
        """
        edited = copy(self)
        edited._memory = self._memory.edited(update)
        return edited

    def on(self, loaded: LoadedModel) -> Recall:
        """Return the same questions for another model with the same tokenizer.

        Its answers are held against those of the model that this was created on.
        """
        moved = copy(self)
        moved._loaded = loaded
        moved._memory = open_memory(self._memory.cache, loaded)
        return moved

    def efficacy(self, index: int) -> tuple[float, Miss | None]:
        """Score one edit on its own prompt, on the model as it is now."""
        ask = self._targets[index]
        (answer,) = self._in_words([ask], self._answers([ask]))
        return answer.score, _miss(ask, answer)

    def right_after(self, scores: Sequence[float | None], misses: Iterable[Miss]) -> Measurement:
        """Summarize the results of :meth:`efficacy` for each edit so far that is not excluded."""
        counted = [
            score if why is None else None
            for score, why in zip(scores, self.excluded, strict=False)
        ]
        return self.summarize(
            counted, [miss for miss in misses if self.excluded[miss.edit] is None]
        )

    def retention(self, count: int) -> Measurement:
        """Score all of the first ``count`` edits that stand: neither excluded nor overwritten."""
        asks = [self._targets[index] for index in self._standing(count)]
        return self._measure(asks, self._in_words(asks, self._answers(asks)), count)

    def generalization(self, count: int) -> Measurement:
        """Score the same edits on their paraphrases.

        A paraphrase that a later edit asks, or that is the edit's own prompt, is left out.
        """
        last = {text: index for index in range(count) for text in questions(self.edits[index])}
        asks = [
            _ask(index, edit, text, edit.target, rival=edit.truth)
            for index in self._standing(count)
            for edit in (self.edits[index],)
            for text in edit.paraphrases
            if last[question(text)] == index and question(text) != question(edit.prompt)
        ]
        return self._measure(asks, self._in_words(asks, self._answers(asks)), count)

    def locality(self, count: int) -> Measurement:
        """Score the neighbourhood answers of the first ``count`` edits: 1 where unchanged.

        A neighbour that one of these edits asks about itself is left out: it is meant to change.
        So is one, under ``success``, whose answer is the target: there is nothing to compare.
        """
        edited = {text for edit in self.edits[:count] for text in questions(edit)}
        chosen = [
            index
            for index, ask in enumerate(self._neighbors)
            if ask.edit < count
            and question(ask.prompt) not in edited
            and (ask.answer, ask.rival) not in self._alike
        ]
        asks = [self._neighbors[index] for index in chosen]
        answers = [
            self._unchanged(self._before[index], now)
            for index, now in zip(chosen, self._answers(asks), strict=True)
        ]
        told = [
            replace(ask, answer=Continuation(self._before[index].got))
            for index, ask in zip(chosen, asks, strict=True)
        ]
        return self._measure(told, answers, count)

    def summarize(self, scores: Sequence[float | None], misses: Iterable[Miss] = ()) -> Measurement:
        """Return the mean of per-edit scores with its interval."""
        there = [score for score in scores if score is not None]
        value = sum(there) / len(there) if there else None
        low = high = None
        if value is not None:
            low, high = wilson(value, len(there), confidence=self._confidence)
        return Measurement(
            value=value,
            n=len(there),
            low=low,
            high=high,
            scores=tuple(scores),
            misses=tuple(misses),
        )

    def _standing(self, count: int) -> list[int]:
        return [
            index
            for index, by in enumerate(self.superseded[:count])
            if (by is None or by >= count) and self.excluded[index] is None
        ]

    def _edit_ask(self, index: int) -> _Ask:
        edit = self.edits[index]
        return _ask(index, edit, edit.prompt, edit.target, rival=edit.truth)

    def _neighbor_asks(self) -> list[_Ask]:
        return [
            _ask(
                index,
                edit,
                neighbor.prompt,
                neighbor.answer or self._own[neighbor.prompt],
                rival=edit.target,
            )
            for index, edit in enumerate(self.edits)
            for neighbor in edit.neighborhood
        ]

    def _own_answers(self, edits: tuple[Edit, ...]) -> dict[str, str]:
        """Return the model's own answers, by prompt, where a neighbour names none."""
        near = (neighbor for edit in edits for neighbor in edit.neighborhood)
        prompts = list(dict.fromkeys(each.prompt for each in near if each.answer is None))
        answers = self._generations(prompts, OWN_ANSWER_TOKENS)
        return {prompt: answer.strip() or "." for prompt, answer in answers.items()}

    def _written(self, prompts: Iterable[str]) -> dict[str, str]:
        """Return what the model writes by itself, as much as shows a target, by prompt."""
        answers = self._generations(list(dict.fromkeys(prompts)), self._length)
        return {prompt: answer.strip() for prompt, answer in answers.items()}

    def _generations(self, prompts: list[str], tokens: int) -> dict[str, str]:
        if not prompts:
            return {}
        answers = self._memory.recall(
            {"prompts": prompts, "tokens": tokens},
            lambda: generate(self._loaded, prompts, tokens=tokens),
        )
        return dict(zip(prompts, answers, strict=True))

    def _unchanged(self, before: _Answer, now: _Answer) -> _Answer:
        """Score an answer against the recorded one: the share of it that is the same."""
        if isinstance(before.said, tuple) and isinstance(now.said, tuple):
            same = sum(a == b for a, b in zip(before.said, now.said, strict=True))
            score = same / len(before.said)
        else:
            score = float(before.said == now.said)
        return _Answer(score=score, got=now.got, said=now.said)

    def _in_words(self, asks: Sequence[_Ask], answers: Sequence[_Answer]) -> list[_Answer]:
        """Put answers in words: the text of one that misses is what the model writes by itself.

        Teacher forcing gives the likeliest token at each place of the answer, each after the
        answer's own tokens: no text that the model would write.
        """
        if self._match != "accuracy":
            return list(answers)
        missed = [answer.score < 1 for answer in answers]
        wrote = self._written(ask.prompt for ask in compress(asks, missed))
        return [
            replace(answer, got=wrote[ask.prompt]) if misses else answer
            for ask, answer, misses in zip(asks, answers, missed, strict=True)
        ]

    def _answers(self, asks: Sequence[_Ask]) -> list[_Answer]:
        """Return the answers, from the cache if they are there."""
        if not asks:
            return []
        question = {
            "match": self._match,
            "length": self._length,
            "asks": [(ask.prompt, ask.answer, ask.rival) for ask in asks],
        }
        told = self._memory.recall(question, lambda: [astuple(each) for each in self._answer(asks)])
        return [
            _Answer(score=score, got=got, said=tuple(said) if isinstance(said, list) else said)
            for score, got, said in told
        ]

    def _answer(self, asks: Sequence[_Ask]) -> list[_Answer]:
        if self._match == "generation":
            return self._generated(asks)
        if self._match == "accuracy":
            return [
                _Answer(score=each.accuracy, got=self._text(each), said=each.predicted)
                for each in force(self._loaded, [(ask.prompt, ask.answer) for ask in asks])
            ]
        # In one call, so that both candidates go on from one reading of their prompt.
        both = force(
            self._loaded,
            [
                (ask.prompt, text)
                for ask in asks
                for text in (ask.answer, ask.rival or Continuation(""))
            ],
        )
        return [
            self._preferred(ask, *pair)
            for ask, *pair in zip(asks, both[::2], both[1::2], strict=True)
        ]

    def _generated(self, asks: Sequence[_Ask]) -> list[_Answer]:
        texts = generate(self._loaded, [ask.prompt for ask in asks], tokens=self._length)
        return [
            _Answer(score=float(says(self._loaded, text, ask.answer)), got=text.strip(), said=text)
            for ask, text in zip(asks, texts, strict=True)
        ]

    def _preferred(self, ask: _Ask, wanted: Forced, rival: Forced) -> _Answer:
        better = wanted.log_likelihood > rival.log_likelihood
        got = ask.answer if better else ask.rival or ""
        return _Answer(score=float(better), got=got.strip(), said=better)

    def _text(self, forced: Forced) -> str:
        return decode(self._loaded.tokenizer, forced.predicted).strip()

    def _measure(self, asks: Sequence[_Ask], answers: Sequence[_Answer], count: int) -> Measurement:
        by_edit: dict[int, list[float]] = {}
        misses = []
        for ask, answer in zip(asks, answers, strict=True):
            by_edit.setdefault(ask.edit, []).append(answer.score)
            if miss := _miss(ask, answer):
                misses.append(miss)
        means = [_mean(by_edit.get(index)) for index in range(count)]
        return self.summarize(means, misses)


def _ask(index: int, edit: Edit, prompt: str, answer: str, *, rival: str | None) -> _Ask:
    """Return the question whether ``answer`` follows one of an edit's prompts, or ``rival``."""
    return _Ask(
        edit=index,
        prompt=prompt,
        answer=edit.after(prompt, answer),
        rival=None if rival is None else edit.after(prompt, rival),
    )


def _question(ask: _Ask) -> tuple[str, str, str | None]:
    """Return what is asked, on behalf of whichever edit."""
    return ask.prompt, ask.answer, ask.rival


def _mean(scores: list[float] | None) -> float | None:
    return sum(scores) / len(scores) if scores else None


def _miss(ask: _Ask, answer: _Answer) -> Miss | None:
    if answer.score >= 1:
        return None
    return Miss(
        edit=ask.edit,
        prompt=ask.prompt,
        expected=ask.answer.strip(),
        got=answer.got,
        score=answer.score,
    )
