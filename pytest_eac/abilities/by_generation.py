"""Abilities asked by generation: the model goes on greedily, and only the new text is scored."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_eac.abilities.answer_scores import (
    distinct,
    exact_match,
    first_answer,
    last_number,
    loops,
    ngram_entropy,
    normalize,
    rouge,
    same_number,
)
from pytest_eac.abilities.asking import Asked, Replies
from pytest_eac.abilities.data_items import Row, text, texts
from pytest_eac.abilities.instructions import KNOWN, follows
from pytest_eac.abilities.templates import BREAK, Template
from pytest_eac.errors import DataError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.scoring.answers import generate
from pytest_eac.text.spacing import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An answer's score between 0 and 1, ``None`` if there is nothing in it to score."""

    score: float | None
    about: dict[str, float] = field(default_factory=dict)


Scorer = Callable[[str, Any], Scored]


@dataclass(frozen=True, kw_only=True)
class Generations(Asked):
    """Prompts to go on from.

    Attributes:
        prompts: one per item.
        references: what each answer is held against, plain data.
        score: (new text, reference) -> its score.
        tokens: how many new tokens at most.
        until: what an answer ends before, apart from the model's own end of text.
        majority: the score of the one answer that is right most often.
        read: whether the unedited model is to read what is said.
    """

    prompts: tuple[str, ...]
    references: tuple[Any, ...]
    score: Scorer
    tokens: int
    until: str | None = None
    majority: float | None = None
    read: bool = False

    @property
    def items(self) -> Sequence[Any]:
        """Prompt, reference and length of each item."""
        pairs = zip(self.prompts, self.references, strict=True)
        return [(prompt, wanted, self.tokens, self.until) for prompt, wanted in pairs]

    def ask(self, loaded: LoadedModel) -> Replies:
        """Continue all prompts; ``about`` has means over the answers that could be scored."""
        answers = generate(loaded, self.prompts, tokens=self.tokens, until=self.until)
        pairs = zip(self.prompts, answers, strict=True)
        scored = [self.score(*pair) for pair in zip(answers, self.references, strict=True)]
        there = [each for each in scored if each.score is not None]
        names = dict.fromkeys(name for each in there for name in each.about)
        return Replies(
            scores=tuple(each.score or 0.0 for each in scored),
            unparsable=len(scored) - len(there),
            about={name: sum(each.about[name] for each in there) / len(there) for name in names},
            texts=tuple(pair for pair in pairs if pair[1].strip()) if self.read else (),
        )


def questions(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Generations:
    """Ask open questions; an answer is right if it matches one of the accepted forms exactly."""
    accepted = tuple(texts(row, "answer", "answers") for row in rows)
    return Generations(
        prompts=tuple(template.ask(loaded, row) for row in rows),
        references=accepted,
        score=_match,
        tokens=24,
        until="\n",
        majority=_commonest([{normalize(form) for form in forms} for forms in accepted]),
    )


def summaries(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Generations:
    """Ask for summaries of dialogues, scored by ROUGE (SAMSum's format)."""
    return Generations(
        prompts=tuple(template.ask(loaded, row) for row in rows),
        references=tuple(text(row, "summary") for row in rows),
        score=_overlap,
        tokens=48,
        until=_end(template),
    )


def problems(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Generations:
    """Ask word problems; the last number of an answer counts (GSM8K's format)."""
    results = tuple(_result(row) for row in rows)
    return Generations(
        prompts=tuple(template.ask(loaded, row) for row in rows),
        references=results,
        score=_number,
        tokens=96,
        until=_end(template),
        majority=_commonest([{result} for result in results]),
    )


def instructions(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Generations:
    """Ask for texts whose form a program can check (IFEval's format).

    The score is 1 where every instruction is followed strictly. What a model scores that says "ok"
    to everything stands for the majority.
    """
    wanted = tuple(_conditions(row) for row in rows)
    return Generations(
        prompts=tuple(template.ask(loaded, row) for row in rows),
        references=wanted,
        score=_obeyed,
        tokens=96,
        majority=sum(_obeyed("ok", each).score or 0.0 for each in wanted) / len(wanted),
    )


def stories(loaded: LoadedModel, rows: Sequence[Row], template: Template) -> Generations:
    """Ask to go on with an opening; the score is the share of word pairs that are not repeated.

    A text that ends in a loop scores 0. The unedited model reads all texts.
    """
    return Generations(
        prompts=tuple(template.ask(loaded, row) for row in rows),
        references=(None,) * len(rows),
        score=_variety,
        tokens=48,
        read=True,
    )


def _end(template: Template) -> str | None:
    """Return what an answer ends before: what stands behind the examples' answers, if any do."""
    return BREAK if template.head and not template.chat else None


def _commonest(accepted: Sequence[set[str]]) -> float:
    """Return the share of items that accept the answer that most items accept."""
    return max(Counter(form for forms in accepted for form in forms).values()) / len(accepted)


def _match(answer: str, accepted: Sequence[str]) -> Scored:
    given = first_answer(answer)
    return Scored(score=float(exact_match(given, accepted)) if given.strip() else None)


def _overlap(answer: str, reference: str) -> Scored:
    return Scored(score=rouge(answer, reference) if answer.strip() else None)


def _number(answer: str, result: str) -> Scored:
    given = last_number(answer)
    return Scored(score=None if given is None else float(same_number(given, result)))


def _result(row: Row) -> str:
    answer = text(row, "answer")
    result = last_number(answer)
    if result is None:
        raise DataError(f"{row.origin}: answer: found no number in {answer[:60]!r}")
    return result


def _obeyed(answer: str, conditions: Sequence[tuple[str, Any]]) -> Scored:
    if not answer.strip():
        return Scored(score=None)
    strict, loose = (
        float(all(follows(answer, name, given, loose=how) for name, given in conditions))
        for how in (False, True)
    )
    return Scored(score=strict, about={"loose": loose})


def _conditions(row: Row) -> tuple[tuple[str, Any], ...]:
    names, given = texts(row, "instruction_id_list"), row.fields.get("kwargs")
    unknown = [name for name in names if name not in KNOWN]
    if unknown:
        raise DataError(
            f"{row.origin}: instruction_id_list: found {unknown[0]!r}, expected one of "
            f"{', '.join(sorted(KNOWN))}"
        )
    if not isinstance(given, list | tuple) or len(given) != len(names):
        raise DataError(
            f"{row.origin}: kwargs: found {str(given)[:60]!r}, expected one mapping for each of "
            f"the {len(names)} instructions"
        )
    return tuple(zip(names, given, strict=True))


def _variety(answer: str, _: None) -> Scored:
    said = words(answer)
    if len(said) < 2:
        return Scored(score=None)
    looped = loops(said)
    return Scored(
        score=0.0 if looped else distinct(said, 2),
        about={"entropy": ngram_entropy(said, 2), "loops": float(looped)},
    )
