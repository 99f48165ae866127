"""Instructions that a program can check."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_eac.abilities.instructions import KNOWN, follows
from pytest_eac.errors import DataError
from tests.abilities.ability_files import read

LEAST, LESS = {"relation": "at least"}, {"relation": "less than"}
# For each instruction: arguments, a text that follows and one that does not.
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["sun", "c++"]}, "Sunny C++", "Sunny C"),
    ("keywords:frequency", {**LEAST, "keyword": "so", "frequency": 2}, "So so", "so"),
    ("keywords:forbidden_words", {"forbidden_words": ["die"]}, "diet", "Die!"),
    (
        "keywords:letter_frequency",
        {"let_relation": "less than", "letter": "i", "let_frequency": 2},
        "It",
        "It is",
    ),
    ("length_constraints:number_words", {**LESS, "num_words": 3}, "one two", "one two three"),
    ("length_constraints:number_words", {**LEAST, "num_words": 3}, "one two three", "one two"),
    (
        "length_constraints:number_sentences",
        {**LESS, "num_sentences": 3},
        "Dr. Who paid 3.50 in the U.S. today. Good!",
        'He came. "She left." Good!',
    ),
    ("length_constraints:number_sentences", {**LEAST, "num_sentences": 2}, "so.\nbut", "so"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb***", "a *** *** b"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Yes"},
        "a\n\n'yes, it",
        "a\n\nno yes",
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n**b**"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* *b*", "*a* * *"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "PART", "num_sections": 2},
        "PART 1 a PART 2 b",
        "PART 1 a PART b",
    ),
    ("detectable_format:constrained_response", {}, "My answer is no.", "No."),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<Title>>\ntext", "<Title> << >>"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] [b]", "[a] b"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Hi\nP. S. x", "Hi PS"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "p.p.s x", "p.s. x"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Why?"}, " why? So", "So why?"),
    ("combination:two_responses", {}, "a ****** b", "a ****** a"),
    ("startend:end_checker", {"end_phrase": "The end."}, '"It is the end."', "The end. No"),
    ("startend:quotation", {}, ' "a" ', '"'),
    ("change_case:english_capital", {}, "ALL 3!", "ALl"),
    ("change_case:english_lowercase", {}, "all 3!", "All"),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "at least", "capital_frequency": 2},
        "NEVER say NO",
        "Never say NO",
    ),
    ("punctuation:no_comma", {}, "a b", "a, b"),
]


@pytest.mark.parametrize(("name", "arguments", "good", "bad"), CASES)
def test_an_instruction_is_followed_or_not(
    name: str, arguments: dict[str, Any], good: str, bad: str
) -> None:
    assert follows(good, name, arguments)
    assert not follows(bad, name, arguments)
    assert not follows(" ", name, arguments)


def test_every_instruction_has_a_case_and_those_of_the_package_are_known() -> None:
    assert {case[0] for case in CASES} == KNOWN
    for row in read("instructions"):
        for name, arguments in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            follows("Some text.", name, arguments)


@pytest.mark.parametrize("text", ["Sure, here:\nfine", "fine\nOK, bye", "Oh,\nfine\nOK,"])
def test_loosely_the_first_and_last_line_do_not_count(text: str) -> None:
    assert follows(text, "punctuation:no_comma", {}, loose=True)
    assert not follows(text, "punctuation:no_comma", {})


def test_loosely_asterisks_do_not_count_but_an_empty_rest_is_no_answer() -> None:
    assert follows('**"a"**', "startend:quotation", {}, loose=True)
    assert not follows("a, b", "punctuation:no_comma", {}, loose=True)


def test_arguments_that_are_none_count_as_not_given() -> None:
    assert follows("fine", "punctuation:no_comma", {"num_words": None})


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("punctuation:no_coma", {}, "did you mean 'punctuation:no_comma'"),
        ("punctuation:no_comma", {"x": 1}, r"found the arguments x; expected \(none\)"),
        ("startend:end_checker", {}, r"found the arguments \(none\); expected end_phrase"),
        ("keywords:existence", {"keywords": "sun"}, "keywords: found 'sun'; expected a list"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": True}, "a whole number"),
        (
            "length_constraints:number_words",
            {"relation": "more", "num_words": 2},
            "relation: found 'more'; expected 'less than' or 'at least'",
        ),
    ],
)
def test_what_is_not_an_instruction_is_refused(
    name: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        follows("text", name, arguments)
