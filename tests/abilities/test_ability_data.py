"""What the data sets of the abilities promise, file by file."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest

from tests.abilities.ability_files import DATA, PACKAGE, read, words

FIELDS = {
    "nli": {"sentence1", "sentence2", "label"},
    "sentiment": {"sentence", "label"},
    "qa": {"question", "answer"},
    "reading": {"context", "question", "answers"},
    "summarization": {"id", "dialogue", "summary"},
    "arithmetic": {"question", "answer"},
    "choice": {"id", "question", "choices", "answerKey"},
    "instructions": {"key", "prompt", "instruction_id_list", "kwargs"},
    "generation": {"prompt"},
    "neutral": {"text"},
}
SIZES = dict.fromkeys(FIELDS, 100) | dict.fromkeys(
    ["nli", "sentiment", "qa", "arithmetic", "choice"], 120
)
# What makes an item what it is: two items may share a premise or a passage, but not all of these.
IDENTITY = {
    "nli": ("sentence1", "sentence2"),
    "sentiment": ("sentence",),
    "qa": ("question",),
    "reading": ("context", "question"),
    "summarization": ("dialogue",),
    "arithmetic": ("question",),
    "choice": ("question",),
    "instructions": ("prompt",),
    "generation": ("prompt",),
    "neutral": ("text",),
}
ARGUMENTS = {
    "length_constraints:number_words": {"relation", "num_words"},
    "length_constraints:number_sentences": {"relation", "num_sentences"},
    "length_constraints:number_paragraphs": {"num_paragraphs"},
    "keywords:existence": {"keywords"},
    "keywords:forbidden_words": {"forbidden_words"},
    "keywords:frequency": {"relation", "keyword", "frequency"},
    "detectable_format:number_bullet_lists": {"num_bullets"},
    "detectable_format:title": set(),
    "detectable_format:json_format": set(),
    "change_case:english_lowercase": set(),
    "change_case:english_capital": set(),
    "startend:end_checker": {"end_phrase"},
    "startend:quotation": set(),
    "punctuation:no_comma": set(),
}
NUMBER_WORDS = {"two": 2, "three": 3}

every_file = pytest.mark.parametrize("name", FIELDS)


def strings(value: object) -> list[str]:
    """Every string within a JSON value, at any depth."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in strings(one)]


def _ngrams(text: str, size: int) -> set[tuple[str, ...]]:
    tokens = words(text)
    return {tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)}


def test_the_folder_holds_these_files_and_their_cards_and_nothing_else() -> None:
    assert {path.name for path in DATA.iterdir()} == {f"{n}.jsonl" for n in FIELDS} | {"README.md"}


@every_file
def test_a_file_has_the_promised_number_of_items_with_the_fields_of_its_format(name: str) -> None:
    rows = read(name)
    assert len(rows) == SIZES[name]
    assert all(set(row) == FIELDS[name] for row in rows)


@every_file
def test_a_file_is_clean_utf8_with_one_object_a_line(name: str) -> None:
    raw = (DATA / f"{name}.jsonl").read_bytes().decode("utf-8")
    assert raw == "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in read(name))
    for text in strings(read(name)):
        assert text
        assert text == unicodedata.normalize("NFC", text)
        assert not re.search(r"^\s|[ \t]$|\s\n|  |\t|\r", text), text


@every_file
def test_no_item_is_there_twice(name: str) -> None:
    seen = Counter(
        tuple(" ".join(words(row[field])) for field in IDENTITY[name]) for row in read(name)
    )
    assert [item for item, count in seen.items() if count > 1] == []


@every_file
def test_no_thirteen_words_in_a_row_are_from_the_corpus_that_covariances_see(name: str) -> None:
    corpus = _ngrams((PACKAGE / "data" / "corpus.txt").read_text(encoding="utf-8"), 13)
    shared = [text for text in strings(read(name)) if _ngrams(text, 13) & corpus]
    assert shared == []


@pytest.mark.parametrize("name", ["nli", "sentiment"])
def test_both_labels_are_equally_frequent(name: str) -> None:
    assert Counter(row["label"] for row in read(name)) == {0: 60, 1: 60}


def test_every_premise_has_one_hypothesis_that_follows_and_one_that_does_not() -> None:
    labels: dict[str, list[int]] = {}
    for row in read("nli"):
        labels.setdefault(row["sentence1"], []).append(row["label"])
    assert all(sorted(pair) == [0, 1] for pair in labels.values())


def test_no_question_contains_its_answer_and_no_alias_says_the_same_twice() -> None:
    for row in read("qa"):
        question = f" {' '.join(words(row['question']))} "
        plain = [[w for w in words(a) if w not in {"a", "an", "the"}] for a in row["answer"]]
        assert all(f" {' '.join(alias)} " not in question for alias in plain), row
        assert all(alias not in plain[:at] for at, alias in enumerate(plain)), row


def test_every_answer_about_a_passage_stands_in_it_word_for_word() -> None:
    rows = read("reading")
    assert len({row["context"] for row in rows}) == 35
    for row in rows:
        assert set(row["answers"]) == {"text"}
        assert row["answers"]["text"]
        for answer in row["answers"]["text"]:
            assert re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", row["context"]), (answer, row)


def test_a_dialogue_has_four_to_ten_turns_and_a_short_summary() -> None:
    rows = read("summarization")
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        turns = row["dialogue"].split("\n")
        assert 4 <= len(turns) <= 10, row
        assert all(re.fullmatch(r"[A-Z][A-Za-z ]*: \S.*", turn) for turn in turns), row
        assert len({turn.split(":")[0] for turn in turns}) >= 2, row
        assert len(words(row["summary"])) < min(45, len(words(row["dialogue"]))), row


def _value(expression: str) -> Fraction:
    """The value of sums and differences of products and quotients, without brackets."""
    total = Fraction(0)
    for sign, term in re.findall(r"([+-]?)([\d*/]+)", expression):
        first, *rest = re.findall(r"[*/]?\d+", term)
        product = Fraction(first)
        for factor in rest:
            number = Fraction(factor[1:])
            product = product * number if factor[0] == "*" else product / number
        total += -product if sign == "-" else product
    return total


def test_every_step_of_a_sum_computes_and_the_last_one_is_the_answer() -> None:
    for row in read("arithmetic"):
        steps, _, final = row["answer"].rpartition("\n#### ")
        found = re.findall(r"= <<([\d+*/-]+)=(\d+)>>(\d+)", steps)
        assert 1 <= len(found) == steps.count("<<") <= 3, row
        assert all(_value(left) == int(right) == int(said) for left, right, said in found), row
        assert found[-1][1] == final, row


def test_a_number_in_a_step_is_given_or_computed_before_or_common_knowledge() -> None:
    spelled = {1, 2, 3, 4, 5, 6, 7, 12, 24, 60}
    for row in read("arithmetic"):
        known = {int(number) for number in re.findall(r"\d+", row["question"])} | spelled
        for left, right in re.findall(r"<<([\d+*/-]+)=(\d+)>>", row["answer"]):
            assert {int(number) for number in re.findall(r"\d+", left)} <= known, row
            known.add(int(right))


def test_the_right_choices_are_spread_evenly_over_four_different_texts() -> None:
    rows = read("choice")
    assert Counter(row["answerKey"] for row in rows) == dict.fromkeys("ABCD", 30)
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["choices"]["label"] == list("ABCD")
        assert len({" ".join(words(text)) for text in row["choices"]["text"]}) == 4, row


def test_instructions_are_known_ones_with_the_arguments_that_they_take() -> None:
    rows = read("instructions")
    assert [row["key"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        ids, kwargs = row["instruction_id_list"], row["kwargs"]
        assert 1 <= len(ids) == len(kwargs) == len(set(ids)) <= 2, row
        for instruction, given in zip(ids, kwargs, strict=True):
            assert set(given) == ARGUMENTS[instruction], row
            assert given.get("relation", "at least") in {"at least", "less than"}, row
    assert {one for row in rows for one in row["instruction_id_list"]} == set(ARGUMENTS)


def test_a_prompt_says_every_word_and_number_that_is_checked() -> None:
    for row in read("instructions"):
        prompt = row["prompt"]
        numbers = {int(n) for n in re.findall(r"\d+", prompt)}
        numbers |= {NUMBER_WORDS[word] for word in words(prompt) if word in NUMBER_WORDS}
        for given in row["kwargs"]:
            asked = {key: value for key, value in given.items() if key != "relation"}
            assert all(text in prompt for text in strings(asked)), row
            assert {value for value in asked.values() if isinstance(value, int)} <= numbers, row


def test_neutral_paragraphs_are_of_moderate_length_on_different_subjects() -> None:
    texts = [row["text"] for row in read("neutral")]
    assert all(60 <= len(text.split()) <= 120 for text in texts)
    assert all(first[:20] != second[:20] for first, second in pairwise(sorted(texts)))
