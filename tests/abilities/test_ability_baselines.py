"""What one scores on the data of the abilities without understanding it.

The cards print these numbers, so the numbers are computed here and looked up there.
"""

from __future__ import annotations

import re
from collections import Counter
from math import log
from typing import TYPE_CHECKING, Any

import pytest

from tests.abilities.ability_files import DATA, read, words

if TYPE_CHECKING:
    from collections.abc import Callable

    Item = dict[str, Any]

NEGATIONS = {"no", "not", "nobody", "none", "nothing", "never", "cannot", "without"}
# Whoever answers "ok" obeys these, unless a least number is asked for.
OBEYED_BY_OK = {
    "length_constraints:number_words",
    "length_constraints:number_sentences",
    "keywords:forbidden_words",
    "keywords:frequency",
    "change_case:english_lowercase",
    "punctuation:no_comma",
}


def _best_split(rows: list[Item], cue: Callable[[Item], float]) -> float:
    """The accuracy of the best threshold on a cue, in the direction and at the place found best."""
    cues = [cue(row) for row in rows]
    shares = []
    for threshold in {*cues, min(cues) - 1}:
        right = sum(
            (at > threshold) == bool(row["label"]) for at, row in zip(cues, rows, strict=True)
        )
        shares.append(right / len(rows))
    return max(*shares, 1 - min(shares))


def _majority(rows: list[Item]) -> float:
    return max(Counter(row["label"] for row in rows).values()) / len(rows)


def _overlap(row: Item) -> float:
    hypothesis = set(words(row["sentence2"]))
    return len(hypothesis & set(words(row["sentence1"]))) / len(hypothesis)


def _unseen_words(groups: list[list[Item]], field: str) -> float:
    """Naive Bayes over the words of one field, each group judged by what the others teach."""
    right = 0
    for held_out in groups:
        counts: dict[int, Counter[str]] = {0: Counter(), 1: Counter()}
        for row in (row for group in groups if group is not held_out for row in group):
            counts[row["label"]].update(set(words(row[field])))
        for row in held_out:
            scores = [
                sum(log(counts[label][word] + 1) for word in set(words(row[field])))
                for label in (0, 1)
            ]
            right += (scores[1] > scores[0]) == row["label"]
    return right / sum(len(group) for group in groups)


def _by_premise(rows: list[Item]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for row in rows:
        groups.setdefault(row["sentence1"], []).append(row)
    return list(groups.values())


def _pick(rows: list[Item], extreme: Callable[[list[int]], int]) -> float:
    """Choosing the text of extreme length; of several such texts, each with the same chance."""
    total = 0.0
    for row in rows:
        lengths = [len(text) for text in row["choices"]["text"]]
        wanted = extreme(lengths)
        right = lengths["ABCD".index(row["answerKey"])] == wanted
        total += right / lengths.count(wanted)
    return total / len(rows)


def _same_letter(rows: list[Item]) -> float:
    return [row["answerKey"] for row in rows].count("A") / len(rows)


def _same_answer(rows: list[Item], answer: Callable[[Item], str]) -> float:
    return Counter(map(answer, rows)).most_common(1)[0][1] / len(rows)


def _f1(found: list[str], wanted: list[str]) -> float:
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))


def _similar_sentence(rows: list[Item]) -> float:
    """Word F1 of answering with the sentence that shares most words with the question."""
    total = 0.0
    for row in rows:
        asked = set(words(row["question"]))
        sentences = [words(one) for one in re.split(r"(?<=[.!?]) ", row["context"])]
        said = max(sentences, key=lambda one: len(asked & set(one)))
        total += max(_f1(said, words(answer)) for answer in row["answers"]["text"])
    return total / len(rows)


def _longest_common(one: list[str], other: list[str]) -> int:
    before = [0] * (len(other) + 1)
    for word in one:
        now = [0]
        for at, match in enumerate(other):
            now.append(before[at] + 1 if word == match else max(before[at + 1], now[at]))
        before = now
    return before[-1]


def _first_turns(rows: list[Item]) -> float:
    """ROUGE-L (F1) of answering with the first three turns."""
    total = 0.0
    for row in rows:
        said = words(" ".join(row["dialogue"].split("\n")[:3]))
        wanted = words(row["summary"])
        total += 2 * _longest_common(said, wanted) / (len(said) + len(wanted))
    return total / len(rows)


def _last_number(rows: list[Item]) -> float:
    pairs = [(re.findall(r"\d+", row["question"]), row["answer"].split("#### ")[1]) for row in rows]
    return [numbers[-1] == answer for numbers, answer in pairs].count(True) / len(rows)


def _says_ok(rows: list[Item]) -> float:
    return sum(
        all(
            one in OBEYED_BY_OK and given.get("relation") != "at least"
            for one, given in zip(row["instruction_id_list"], row["kwargs"], strict=True)
        )
        for row in rows
    ) / len(rows)


BASELINES: dict[tuple[str, str], tuple[Callable[[list[Item]], float], float]] = {
    ("nli", "always the same label"): (_majority, 0.5),
    ("nli", "length of the hypothesis"): (
        lambda rows: _best_split(rows, lambda row: len(row["sentence2"])),
        0.6,
    ),
    ("nli", "word overlap"): (lambda rows: _best_split(rows, _overlap), 0.6),
    ("nli", "negation words"): (
        lambda rows: _best_split(rows, lambda row: len(NEGATIONS & set(words(row["sentence2"])))),
        0.6,
    ),
    ("nli", "words of the hypothesis alone"): (
        lambda rows: _unseen_words(_by_premise(rows), "sentence2"),
        0.6,
    ),
    ("sentiment", "always the same label"): (_majority, 0.5),
    ("sentiment", "length"): (
        lambda rows: _best_split(rows, lambda row: len(row["sentence"])),
        0.6,
    ),
    ("sentiment", "negation words"): (
        lambda rows: _best_split(rows, lambda row: len(NEGATIONS & set(words(row["sentence"])))),
        0.6,
    ),
    ("qa", "always the same answer"): (
        lambda rows: _same_answer(rows, lambda row: row["answer"][0]),
        0.05,
    ),
    ("reading", "the most similar sentence (F1)"): (_similar_sentence, 0.5),
    ("summarization", "the first three turns (ROUGE-L)"): (_first_turns, 0.4),
    ("arithmetic", "always the same answer"): (
        lambda rows: _same_answer(rows, lambda row: row["answer"].split("#### ")[1]),
        0.05,
    ),
    ("arithmetic", "the last number of the question"): (_last_number, 0.05),
    ("choice", "always the first"): (_same_letter, 0.25),
    ("choice", "the longest"): (lambda rows: _pick(rows, max), 0.4),
    ("choice", "the shortest"): (lambda rows: _pick(rows, min), 0.4),
    ("instructions", 'always "ok"'): (_says_ok, 0.25),
}


@pytest.mark.parametrize(("name", "baseline"), BASELINES)
def test_a_baseline_stays_low_and_the_card_says_how_low(name: str, baseline: str) -> None:
    measure, limit = BASELINES[name, baseline]
    score = measure(read(name))
    assert score <= limit
    card = (DATA / "README.md").read_text(encoding="utf-8").split(f"\n## {name}.jsonl\n")[1]
    assert f"\n| {baseline} | {100 * score:.1f} % |\n" in card.split("\n## ")[0]


@pytest.mark.parametrize("path", sorted(DATA.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_file_has_a_card_that_counts_its_items(path: Any) -> None:
    card = (DATA / "README.md").read_text(encoding="utf-8").split(f"\n## {path.name}\n")[1]
    assert f"{len(read(path.stem))} items" in card.split("\n## ")[0]
