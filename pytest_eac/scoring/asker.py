"""Questions put to a model in one state of its weights, and the scores of its answers.

The answers that it has given in that state are cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, TypeVar

from torch import Tensor

from pytest_eac.cache.entries import Cache, source_digest
from pytest_eac.cache.kinds import MEASUREMENTS
from pytest_eac.lm.identity import identify
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import decode
from pytest_eac.scoring.answers import force, generate, says
from pytest_eac.spec.schema.spec_file import Match
from pytest_eac.text.spacing import Continuation

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whether an answer follows a prompt; ``rival`` is what ``success`` compares it with."""

    prompt: str
    answer: Continuation
    rival: Continuation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model answers.

    Attributes:
        score: how well that is the wanted answer, between 0 and 1.
        got: the answer as text.
        said: the answer in a form that can be compared with another answer to the same question.
    """

    score: float
    got: str
    said: tuple[int, ...] | str | bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asker:
    """Puts questions to a model in one state; answers that the cache has are reused.

    Attributes:
        state: the model.
        match: how answers are scored.
        length: how many tokens are generated; the same for all texts that are to be compared.
    """

    state: ModelState
    match: Match
    length: int

    def after(self, update: str | None, originals: Mapping[str, Tensor]) -> Asker:
        """Return the same for the model after an update; see :class:`ModelState`."""
        return replace(self, state=self.state.after(update, originals))

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers, one for each question."""
        if not questions:
            return []
        key = {
            "match": self.match,
            "length": self.length,
            "asks": [(each.prompt, each.answer, each.rival) for each in questions],
        }
        score = _SCORED_BY[self.match]
        loaded = self.state.loaded
        found = self.state.recall(
            key, lambda: [astuple(each) for each in score(loaded, questions, self.length)]
        )
        return [
            Answer(score=score, got=got, said=tuple(said) if isinstance(said, list) else said)
            for score, got, said in found
        ]

    def ask_in_words(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the same; the text of an answer that misses is what the model writes by itself.

        Teacher forcing gives the likeliest token at each place of the wanted answer, each after
        that answer's own tokens: the model would not write these tokens as a text.
        """
        answers = self.ask(questions)
        if self.match != "accuracy":
            return answers
        pairs = zip(questions, answers, strict=True)
        wrote = self.write(question.prompt for question, answer in pairs if answer.score < 1)
        return in_words(questions, answers, wrote)

    def write(self, prompts: Iterable[str]) -> dict[str, str]:
        """Return what the model writes by itself after prompts, by prompt."""
        return write(self.state, prompts, self.length)


def in_words(
    questions: Sequence[Question], answers: Sequence[Answer], wrote: Mapping[str, str]
) -> list[Answer]:
    """Return answers with the texts that the model wrote in place of those that miss."""
    return [
        replace(answer, got=wrote[question.prompt]) if answer.score < 1 else answer
        for question, answer in zip(questions, answers, strict=True)
    ]


def write(state: ModelState, prompts: Iterable[str], tokens: int) -> dict[str, str]:
    """Return the text, up to ``tokens`` tokens, that a model writes after prompts, by prompt."""
    asked = list(dict.fromkeys(prompts))
    if not asked:
        return {}
    texts = state.recall(
        {"prompts": asked, "tokens": tokens},
        lambda: generate(state.loaded, asked, tokens=tokens),
    )
    return {prompt: text.strip() for prompt, text in zip(asked, texts, strict=True)}


def _by_accuracy(loaded: LoadedModel, questions: Sequence[Question], _: int) -> list[Answer]:
    found = force(loaded, [(each.prompt, each.answer) for each in questions])
    return [
        Answer(
            score=each.accuracy,
            got=decode(loaded.tokenizer, each.predicted).strip(),
            said=each.predicted,
        )
        for each in found
    ]


def _by_likelihood(loaded: LoadedModel, questions: Sequence[Question], _: int) -> list[Answer]:
    # In one call, so that both candidates go on from one reading of their prompt.
    candidates = [
        (each.prompt, text)
        for each in questions
        for text in (each.answer, each.rival or Continuation(""))
    ]
    likely = [each.log_likelihood for each in force(loaded, candidates)]
    return [
        Answer(
            score=float(wanted > rival),
            got=(each.answer if wanted > rival else each.rival or "").strip(),
            said=wanted > rival,
        )
        for each, wanted, rival in zip(questions, likely[::2], likely[1::2], strict=True)
    ]


def _by_generation(loaded: LoadedModel, questions: Sequence[Question], length: int) -> list[Answer]:
    texts = generate(loaded, [each.prompt for each in questions], tokens=length)
    return [
        Answer(score=float(says(loaded, text, each.answer)), got=text.strip(), said=text)
        for each, text in zip(questions, texts, strict=True)
    ]


_SCORED_BY: dict[Match, Callable[[LoadedModel, Sequence[Question], int], list[Answer]]] = {
    "accuracy": _by_accuracy,
    "success": _by_likelihood,
    "generation": _by_generation,
}
