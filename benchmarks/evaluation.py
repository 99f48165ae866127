"""Scoring 500 mixed prompts, one at a time against packed, interleaved in one run.

A third each of recall (two candidates), few-shot classification (a shared header, three
candidates) and multiple choice (four). One at a time is what research code does: one forward pass
per prompt and candidate, padded to the longest of the 500, logits of every token. It is timed on a
random sample of each kind and scaled up to 500; so is the same without padding, as a harder
comparison. Packed is timed on all 500.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import torch

import pytest_eac.editing
from benchmarks.timing import Result, timed, times_faster
from pytest_eac.lm.tokens import continuation, encode, pad
from pytest_eac.scoring.answers import force
from pytest_eac.text.spacing import as_continuation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.spec import Spec

PROMPTS = 500
CORPUS = Path(pytest_eac.editing.__file__).with_name("corpus.txt")
_ROUNDS = 3
_SAMPLE = 2
OPENINGS = ("", "The guide said it again. ", "As everyone at school learns: ", "It is late. ")
LABELS = ("art", "history", "science")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt and its candidate answers."""

    prompt: str
    candidates: tuple[str, ...]


def recall(edits: Sequence[Edit]) -> list[Question]:
    """The edits' prompts, paraphrases and neighbours, target against truth."""
    return [
        Question(prompt=opening + prompt, candidates=(edit.target, edit.truth or ""))
        for opening in OPENINGS
        for edit in edits
        for prompt in (
            edit.prompt,
            *edit.paraphrases,
            *(neighbor.prompt for neighbor in edit.neighborhood),
        )
    ]


def classification(sentences: Sequence[str]) -> list[Question]:
    """Sentences to be labelled behind eight labelled ones."""
    shown = zip(sentences[:8], cycle(LABELS), strict=False)
    header = "".join(f"Text: {text}\nTopic: {label}\n\n" for text, label in shown)
    return [
        Question(prompt=f"{header}Text: {text}\nTopic:", candidates=LABELS)
        for text in sentences[8:]
    ]


def choice(edits: Sequence[Edit], random: Random) -> list[Question]:
    """The recall prompts as questions with four options."""
    answers = sorted({edit.truth or "" for edit in edits} | {edit.target for edit in edits})
    questions = []
    for each in recall(edits):
        options = {each.candidates[1]: None, **dict.fromkeys(random.sample(answers, 5))}
        four = tuple(options)[:4]
        listed = "\n".join(f"- {option}" for option in four)
        prompt = f"Complete: {each.prompt}\n{listed}\nAnswer:"
        questions.append(Question(prompt=prompt, candidates=four))
    return questions


@torch.no_grad()
def one_by_one(
    loaded: LoadedModel, questions: Sequence[Question], *, longest: int = 0
) -> list[float]:
    """The plain twin: a pass per prompt and candidate, padded to ``longest``, whole logits."""
    scores = []
    for question in questions:
        for candidate in question.candidates:
            before = encode(loaded.tokenizer, question.prompt)
            wanted = continuation(loaded.tokenizer, as_continuation(question.prompt, candidate))
            row, place = before + wanted[:-1], len(before) - 1
            rows = [row, (0,) * longest] if longest else [row]
            batch = pad(rows, side="right", fill=loaded.pad_id, device=loaded.device)
            inputs = {name: each[:1] for name, each in batch.as_inputs().items()}
            logits = loaded.model(**inputs, use_cache=False).logits[0].float()
            likely = logits.log_softmax(-1)[range(place, len(row)), wanted]
            scores.append(float(likely.mean()))
    return scores


def packed(loaded: LoadedModel, questions: Sequence[Question]) -> list[float]:
    """All in one call of ``force``."""
    pairs = [
        (each.prompt, as_continuation(each.prompt, text))
        for each in questions
        for text in each.candidates
    ]
    return [forced.log_likelihood for forced in force(loaded, pairs)]


def evaluation(loaded: LoadedModel, spec: Spec) -> Iterator[Result]:
    """Measure: the twin on a sample of each kind, scaled up; packed on all of them."""
    random = Random(0)
    kinds = questions(spec.edits, random)
    every = list(chain(*kinds))
    longest = max(
        len(encode(loaded.tokenizer, each.prompt))
        + max(
            len(continuation(loaded.tokenizer, as_continuation(each.prompt, text)))
            for text in each.candidates
        )
        - 1
        for each in every
    )
    packed(loaded, every[:8])  # the first pass of a process is slower
    pairs, harder, apart = [], [], 0.0
    for _ in range(_ROUNDS):
        chosen = [random.sample(range(len(kind)), _SAMPLE) for kind in kinds]
        some = [kind[at] for kind, ats in zip(kinds, chosen, strict=True) for at in ats]
        scale = len(every) / len(some)
        plain, expected = timed(lambda: one_by_one(loaded, some, longest=longest))  # noqa: B023
        whole, scores = timed(lambda: packed(loaded, every))
        unpadded, _ = timed(lambda: one_by_one(loaded, some))  # noqa: B023
        by_question = dict(zip(every, _split(every, scores), strict=True))
        found = [score for each in some for score in by_question[each]]
        apart = max(apart, *(abs(a - b) for a, b in zip(expected, found, strict=True)))
        pairs.append((plain * scale, whole))
        harder.append((unpadded * scale, whole))
    yield Result(
        name="evaluation packed / one by one",
        measured=times_faster(pairs),
        goal="8x",
        about=f"{len(every)} prompts, {len(scores)} candidates, up to {longest} tokens",
    )
    yield Result(name="  one by one without padding", measured=times_faster(harder), goal="")
    yield Result(name="  largest difference of scores", measured=f"{apart:.1e}", goal="1e-4")


def questions(edits: Sequence[Edit], random: Random) -> list[list[Question]]:
    """Return 500 prompts, a third of each kind."""
    text = CORPUS.read_text(encoding="utf-8").replace("\n", " ")
    sentences = [each for each in text.split(". ") if 8 < len(each.split()) < 25]
    third = -(-PROMPTS // 3)
    return [
        list(islice(cycle(recall(edits)), third)),
        classification(sentences[: third + 8]),
        choice(edits, random)[: PROMPTS - 2 * third],
    ]


def _split(asked: Sequence[Question], scores: Sequence[float]) -> Iterator[tuple[float, ...]]:
    """Yield the scores of each question's candidates."""
    left = iter(scores)
    for each in asked:
        yield tuple(islice(left, len(each.candidates)))
