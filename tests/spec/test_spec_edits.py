from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.spec.edits import Edit, Neighbor, fill, from_inline, question, superseded
from pytest_eac.spec.entries import InlineEdit

WORD = st.text("abcAB{} \t", max_size=6)


def edit(prompt: str, *paraphrases: str) -> Edit:
    return Edit(
        subject="x",
        prompt=prompt,
        target="t",
        truth=None,
        paraphrases=paraphrases,
        neighborhood=(),
        origin="f:1",
    )


# fill


def test_fill_puts_the_subject_in_place_of_the_braces() -> None:
    assert fill("  The capital of {} is ", "Kenya") == "The capital of Kenya is"


def test_fill_takes_a_prompt_that_names_its_subject() -> None:
    assert fill("The capital of Kenya is", "Kenya") == "The capital of Kenya is"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("The capital is", "the subject 'Kenya' does not occur in the prompt 'The capital is'"),
        ("{} and Kenya", "the subject 'Kenya' occurs 2 times in the prompt 'Kenya and Kenya'"),
        ("Kenya, Kenya, Kenya", "the subject 'Kenya' occurs 3 times"),
        ("{} and {}", "{} stands 2 times in the prompt '{} and {}'"),
        ("kenya is", "does not occur"),
    ],
)
def test_fill_refuses_a_subject_that_does_not_stand_exactly_once(prompt: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:
        fill(prompt, "Kenya")
    assert said in str(raised.value)


@given(prompt=WORD, subject=WORD.map(str.strip).filter(bool))
def test_fill_returns_a_stripped_prompt_that_holds_the_subject_once_or_refuses(
    prompt: str, subject: str
) -> None:
    filled = prompt.replace("{}", subject).strip()
    if prompt.count("{}") > 1 or len(filled.split(subject)) != 2:
        with pytest.raises(ValueError, match="the prompt"):
            fill(prompt, subject)
    else:
        assert fill(prompt, subject) == filled


@given(before=st.text("abc ", max_size=8), after=st.text("abc ", max_size=8))
def test_braces_and_the_subject_itself_are_two_ways_to_write_one_prompt(
    before: str, after: str
) -> None:
    assert fill(f"{before}{{}}{after}", "Oslo") == fill(f"{before}Oslo{after}", "Oslo")
    assert fill(f"{before}{{}}{after}", "Oslo") == f"{before}Oslo{after}".strip()


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


def test_how_letters_are_composed_does_not_tell_two_questions_apart() -> None:
    assert question("Sa\u0303o Paulo lies in") == question("S\xe3o Paulo lies in")


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
