from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.spec.edits import (
    Edit,
    Neighbor,
    Placed,
    fill,
    place,
    question,
    superseded,
)
from pytest_eac.spec.schema.edits import InlineEdit, from_inline

WORD = st.text("abcAB{} \t", max_size=6)


def edit(prompt: str, *paraphrases: str) -> Edit:
    return Edit(
        subject=prompt,
        start=0,
        prompt=prompt,
        target="t",
        truth=None,
        paraphrases=paraphrases,
        neighborhood=(),
        origin="f:1",
    )


# fill


@pytest.mark.parametrize(
    ("prompt", "subject", "text", "start"),
    [
        ("In C++, list{} is", "list{}", "In C++, list{} is", 8),
        ("In Python, {} is", "{}", "In Python, {} is", 11),
        ("{} is", "list{}", "list{} is", 0),
        ("a{b} is", "a{b}", "a{b} is", 0),
    ],
)
def test_braces_of_the_subject_itself_mark_nothing(
    prompt: str, subject: str, text: str, start: int
) -> None:
    assert place(prompt, subject) == Placed(text=text, start=start, subject=subject)


def test_braces_of_the_subject_itself_mark_nothing_in_paraphrases() -> None:
    written = InlineEdit(
        subject="list{}",
        prompt="{} is",
        target="empty",
        paraphrases=("What list{} means is", "The meaning of {} is"),
    )
    assert from_inline(written, "f:1").paraphrases == (
        "What list{} means is",
        "The meaning of list{} is",
    )


def test_fill_puts_the_subject_in_place_of_the_braces() -> None:
    assert fill("  The capital of {} is ", "Kenya") == "The capital of Kenya is"


def test_fill_takes_a_prompt_that_names_its_subject() -> None:
    assert fill("The capital of Kenya is", "Kenya") == "The capital of Kenya is"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("The capital is", "the subject 'Kenya' does not occur in the prompt 'The capital is'"),
        ("Kenya and Kenya", "the subject 'Kenya' occurs 2 times in the prompt 'Kenya and Kenya'"),
        ("Kenya, Kenya, Kenya", "the subject 'Kenya' occurs 3 times"),
        ("The Kenyans are", "occurs only inside another word, 'Kenyans', in the prompt"),
        ("{} and {}", "{} stands 2 times in the prompt '{} and {}'"),
        ("kenya is", "does not occur"),
    ],
)
def test_fill_refuses_a_subject_that_does_not_stand_exactly_once(prompt: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:
        fill(prompt, "Kenya")
    assert said in str(raised.value)


@given(prompt=WORD, subject=WORD.map(str.strip).filter(bool))
def test_a_filled_prompt_is_stripped_and_has_the_subject_where_it_says(
    prompt: str, subject: str
) -> None:
    marks = 0 if "{}" in subject and subject in prompt else prompt.count("{}")
    if marks > 1:
        with pytest.raises(ValueError, match=r"stands [23] times in the prompt"):
            place(prompt, subject)
        return
    try:
        placed = place(prompt, subject)
    except ValueError:
        assert not marks
        return
    filled = prompt.replace("{}", subject) if marks else prompt
    assert placed.text == filled.strip() == fill(prompt, subject)
    assert placed.text.startswith(subject, placed.start)
    if marks:
        before = prompt.partition("{}")[0].lstrip()
        assert placed.start == len(before)


@given(before=st.text("abc ", max_size=8), after=st.text("abc ", max_size=8))
def test_braces_and_the_subject_itself_are_two_ways_to_write_one_prompt(
    before: str, after: str
) -> None:
    assert fill(f"{before}{{}}{after}", "Oslo") == f"{before}Oslo{after}".strip()
    named = f"{before} Oslo {after}"
    assert place(f"{before} {{}} {after}", "Oslo") == place(named, "Oslo")


@pytest.mark.parametrize(
    ("prompt", "subject", "start"),
    [
        ("{} is the longest river of Italy, not of Portugal", "Po", 0),
        ("Unlike Po, the river {} is in", "Po", 21),
        ("A {} is in the category of a", "cat", 2),
        ("{}'un nüfusu", "İstanbul", 0),
        ("{}은 어디", "서울", 0),
        ("في ال{} يقع", "قاهرة", 5),
        ("شهر {}\N{ZERO WIDTH NON-JOINER}های", "کتاب", 4),  # a suffix
    ],
)
def test_braces_mark_the_place_whatever_stands_around_them(
    prompt: str, subject: str, start: int
) -> None:
    placed = place(prompt, subject)
    assert (placed.start, placed.subject) == (start, subject)


@pytest.mark.parametrize(
    ("prompt", "subject", "start"),
    [
        ("Art of Arthur lives in", "Art", 0),
        ("Portugal has no Po but", "Po", 16),
        ("Obama's wife is", "Obama", 0),
        ("首都は東京で人口は", "東京", 3),
        ("人们说北京是", "北京", 3),
        ("เมืองหลวงคือกรุงเทพและ", "กรุงเทพ", 12),
        ("在Google公司", "Google", 1),
        ("アメリカはアメリカンより", "アメリカ", 0),
    ],
)
def test_a_subject_that_a_prompt_names_is_a_word_of_its_own(
    prompt: str, subject: str, start: int
) -> None:
    assert place(prompt, subject).start == start


@pytest.mark.parametrize(
    ("prompt", "subject", "word"),
    [
        ("Arthur lives in", "Art", "Arthur"),
        ("In Bart's time", "art", "Bart"),
        ("Apollo 11 landed on", "Apollo 1", "Apollo 11"),
        ("Helsingissä asuu", "Helsingi", "Helsingissä"),
        ("서울은 어디", "서울", "서울은"),
        ("القاهرة هي", "قاهرة", "القاهرة"),
        ("ローマンは", "ローマ", "ローマン"),
        ("ﾊﾞﾅﾅは", "ﾊﾞ", "ﾊﾞﾅﾅ"),
        ("Йошкар-Олы", "Ол", "Олы"),
    ],
)
def test_a_subject_inside_another_word_is_refused_with_the_word(
    prompt: str, subject: str, word: str
) -> None:
    with pytest.raises(ValueError, match=f"only inside another word, '{word}'"):
        place(prompt, subject)


@pytest.mark.parametrize("name", ["José", "Beyoncé", "마실까해요", "Ấn Độ", "が"])
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_subject_is_found_in_another_form_and_taken_as_the_prompt_writes_it(
    name: str, forms: tuple[Literal["NFC", "NFD"], ...]
) -> None:
    there, here = (unicodedata.normalize(form, name) for form in forms)
    placed = place(f"In {there} lives", here)
    assert placed == Placed(text=f"In {there} lives", start=3, subject=there)


def test_a_letter_without_its_accent_is_another_letter() -> None:
    with pytest.raises(ValueError, match="does not occur"):
        place(unicodedata.normalize("NFD", "José lives in"), "Jose")
    with pytest.raises(ValueError, match=r"'Jose' and the text next to {} make one character"):
        place("{}\u0301 lives in", "Jose")


def test_an_edit_made_by_hand_finds_its_subject_or_is_refused() -> None:
    assert edit_of("Art", "Unlike Arthur, Art is").start == 15
    with pytest.raises(ValueError, match="only inside another word, 'Arthur'"):
        edit_of("Art", "Arthur is")
    with pytest.raises(ValueError, match="'Art' is not at position 1 in 'Art is'"):
        replace(edit_of("Art", "Art is"), start=1)


def edit_of(subject: str, prompt: str) -> Edit:
    return Edit(
        subject=subject,
        prompt=prompt,
        target="t",
        truth=None,
        paraphrases=(),
        neighborhood=(),
        origin="f:1",
    )


def test_an_inline_edit_is_filled_in_and_stripped_throughout() -> None:
    written = InlineEdit.model_validate(
        {
            "subject": " Oslo ",
            "prompt": " {} lies in ",
            "target": " Peru ",
            "truth": " Norway ",
            "paraphrases": (" Where is {}? ", "No subject here"),
            "neighborhood": ({"prompt": " {} stays ", "answer": " as it is "}, {"prompt": "x"}),
        }
    )
    assert from_inline(written, "f:3") == Edit(
        subject="Oslo",
        prompt="Oslo lies in",
        target="Peru",
        truth="Norway",
        paraphrases=("Where is Oslo?", "No subject here"),
        neighborhood=(
            Neighbor(prompt="{} stays", answer="as it is"),
            Neighbor(prompt="x", answer=None),
        ),
        origin="f:3",
    )


# superseded


def test_a_later_edit_of_the_same_prompt_supersedes_an_earlier_one() -> None:
    edits = (edit("a"), edit("b"), edit("a"), edit("a"))
    assert superseded(edits) == (2, None, 3, None)


def test_case_and_white_space_do_not_tell_two_questions_apart() -> None:
    assert superseded((edit("The Capital  of X"), edit("the capital of x"))) == (1, None)
    assert question(" The\tCapital \n of") == question("the capital of")


def test_composed_and_decomposed_letters_ask_the_same_question() -> None:
    apart = unicodedata.normalize("NFD", "José lives in")
    assert question(apart) == question("JOSÉ lives in")
    assert superseded((edit("José lives in"), edit(apart))) == (1, None)


def test_an_edit_is_superseded_by_one_that_asks_it_as_a_paraphrase() -> None:
    assert superseded((edit("a"), edit("b", "a"))) == (1, None)


def test_an_edit_is_not_superseded_through_its_own_paraphrases() -> None:
    assert superseded((edit("a", "b"), edit("b"))) == (None, None)
    assert superseded((edit("a", "a"),)) == (None,)


def test_edits_of_different_prompts_do_not_supersede_one_another() -> None:
    assert superseded((edit("a"), edit("b"), edit("c"))) == (None, None, None)
    assert superseded(()) == ()


def slow_superseded(edits: tuple[Edit, ...]) -> tuple[int | None, ...]:
    """The definition, word for word."""

    def overwrites(later: Edit, earlier: Edit) -> bool:
        asked = [question(text) for text in (later.prompt, *later.paraphrases)]
        return question(earlier.prompt) in asked

    return tuple(
        next((j for j in range(i + 1, len(edits)) if overwrites(edits[j], edits[i])), None)
        for i in range(len(edits))
    )


PROMPT = st.sampled_from(["a", "A", " a ", "b", "b c", "b  C", "d"])
EDITS = st.lists(
    st.builds(lambda prompt, more: edit(prompt, *more), PROMPT, st.lists(PROMPT, max_size=2)),
    max_size=8,
).map(tuple)


@given(EDITS)
def test_superseded_agrees_with_its_definition(edits: tuple[Edit, ...]) -> None:
    assert superseded(edits) == slow_superseded(edits)


@given(EDITS)
def test_what_is_asked_for_does_not_matter_to_what_is_superseded(edits: tuple[Edit, ...]) -> None:
    others = tuple(replace(each, target=f"t{index}") for index, each in enumerate(edits))
    assert superseded(others) == superseded(edits)
