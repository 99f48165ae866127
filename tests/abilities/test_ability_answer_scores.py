"""Answers against what was expected."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.abilities.answer_scores import (
    exact_match,
    first_answer,
    last_number,
    normalize,
    rouge,
    same_number,
)

WORDS = st.lists(st.sampled_from("abcd"), max_size=8)


def test_normalisation_drops_case_punctuation_articles_and_spaces() -> None:
    assert normalize("  The  Prado,\n a museum! ") == "prado museum"
    assert normalize("Theatre and an answer") == "theatre and answer"


def test_normalisation_drops_the_punctuation_of_every_script() -> None:
    assert normalize("「東京」。") == "東京"
    assert normalize("दिल्ली।") == "दिल्ली"
    assert normalize("“the Prado”…") == "prado"
    assert exact_match("Sa\u0303o Paulo", ["S\xe3o Paulo"])


@given(st.text())
def test_normalising_twice_keeps_no_more_case_or_space(text: str) -> None:
    once = normalize(text)
    assert once == " ".join(once.split())


def test_an_answer_matches_any_alias() -> None:
    assert exact_match("the Sahara.", ["Gobi", "Sahara"])
    assert not exact_match("Sahara desert", ["Gobi", "Sahara"])


def test_an_answer_that_normalises_to_nothing_is_compared_as_it_is() -> None:
    assert exact_match("A", ["a"])
    assert not exact_match("", ["A"])
    assert not exact_match("the", ["A"])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\n\n Paris \nQ: next", "Paris"),
        ("Paris Question: what", "Paris"),
        ("Paris\n\nLyon", "Paris"),
        ("Q: what?", ""),
        (" \n", ""),
        ("IQ tests", "IQ tests"),
    ],
)
def test_the_first_answer_is_the_first_line_up_to_the_next_question(text: str, answer: str) -> None:
    assert first_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 + 4 = 7\n#### 7\nQ: 9\n#### 11", "7"),
        ("#### $1,234.50 dollars", "1234.50"),
        ("#### none, so 5", "5"),
        ("She pays $1,000.", "1000"),
        ("So 16 - 3", "3"),
        ("16-3", "3"),
        ("it is -3.5.", "-3.5"),
        ("it is \u22123", "-3"),
        ("-$20", "-20"),
        ("$-20", "-20"),
        ("1,2,3", "3"),
        ("50%", "50"),
        ("about .5 litres", ".5"),
        ("答案是-5。", "-5"),
        ("คำตอบคือ -๑๒", "-12"),
        ("\uff11\uff16\uff0d\uff13", "3"),
        ("x-3", "3"),
        ("none at all", None),
        ("####", None),
    ],
)
def test_the_last_number_is_the_marked_or_last_one(text: str, number: str | None) -> None:
    assert last_number(text) == number


@given(st.integers(-(10**12), 10**12))
def test_an_integer_is_found_with_and_without_commas(number: int) -> None:
    assert last_number(f"It is {number}.") == str(number)
    assert last_number(f"It is {number:,}.") == str(number)
    assert same_number(f"{number:,}", f"{number}.0")
    assert not same_number(str(number), str(number + 1))


def test_what_is_no_number_is_the_same_as_none() -> None:
    assert not same_number("x", "x")
    assert same_number("$5.", "5.00")


def _f1(hits: int, one: int, two: int) -> float:
    return 2 * hits / (one + two) if hits else 0.0


def _common(one: list[str], two: list[str]) -> int:
    """The longest common subsequence, by its definition."""
    if not one or not two:
        return 0
    if one[0] == two[0]:
        return 1 + _common(one[1:], two[1:])
    return max(_common(one[1:], two), _common(one, two[1:]))


@given(WORDS, WORDS)
def test_rouge_is_the_mean_of_three_overlaps(one: list[str], two: list[str]) -> None:
    scores = [_f1(_common(one, two), len(one), len(two))]
    for n in (1, 2):
        grams = [
            Counter(tuple(side[at : at + n]) for at in range(len(side) - n + 1))
            for side in (one, two)
        ]
        hits = (grams[0] & grams[1]).total()
        scores.append(_f1(hits, grams[0].total(), grams[1].total()))
    assert rouge(" ".join(one), " ".join(two)) == pytest.approx(sum(scores) / 3)
