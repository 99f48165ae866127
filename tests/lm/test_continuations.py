"""What follows a prompt, as tokenizers of several kinds split it."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from pytest_eac.errors import ModelError
from pytest_eac.lm.tokens import continuation, encode
from pytest_eac.text.spacing import Continuation, as_continuation
from tests.lm.trained_tokenizers import KINDS, PAIRS, trained


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return trained(request.param)


@pytest.mark.parametrize(("prompt", "answer"), PAIRS)
@pytest.mark.parametrize("space", ["always", "never"])
def test_prompt_and_continuation_read_as_the_text_that_they_make(
    tokenizer: Any, prompt: str, answer: str, space: str
) -> None:
    follows = as_continuation(prompt, answer, space)  # type: ignore[arg-type]
    ids = (*encode(tokenizer, prompt), *continuation(tokenizer, follows))
    joined, whole = (
        tokenizer.decode(each, skip_special_tokens=True)
        for each in (ids, encode(tokenizer, prompt + follows))
    )
    if "[UNK]" in tokenizer.get_vocab():  # its tokens do not say where spaces were
        joined = joined.replace(" ", "")
        normalizer = tokenizer.backend_tokenizer.normalizer
        whole = normalizer.normalize_str(prompt + follows).replace(" ", "")
    assert joined == whole


@pytest.mark.parametrize(("prompt", "answer"), PAIRS)
def test_a_continuation_is_what_the_whole_text_has_where_nothing_is_merged(
    tokenizer: Any, prompt: str, answer: str
) -> None:
    follows = as_continuation(prompt, answer)
    before, whole = (
        tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        for text in (prompt, prompt + follows)
    )
    if whole[: len(before)] == before:
        assert continuation(tokenizer, follows) == whole[len(before) :]


def _characters(*merged: str) -> Any:
    """A tokenizer of single characters, and of a few that are always merged; it splits nothing."""
    vocabulary = {each: index for index, each in enumerate("aRome 1().大阪\n")}
    merges = []
    for text in merged:
        for end in range(2, len(text) + 1):
            vocabulary.setdefault(text[:end], len(vocabulary))
            merges.append((text[: end - 1], text[end - 1]))
    found = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    found.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=found)


@pytest.mark.parametrize("merged", ["a R", "a ", "a Rome"])
def test_no_part_of_an_answer_is_lost_to_a_token_that_holds_some_of_the_stand_in(
    merged: str,
) -> None:
    tokenizer = _characters(merged)
    assert tokenizer.decode(continuation(tokenizer, Continuation(" Rome"))) == " Rome"


def test_an_answer_that_begins_like_a_token_of_two_of_its_first_characters_is_split_as_alone() -> (
    None
):
    tokenizer = _characters("大大")
    assert tokenizer.decode(continuation(tokenizer, Continuation("大阪"))) == "大阪"


def test_a_tokenizer_that_merges_the_answer_with_whatever_stands_before_it_is_refused() -> None:
    tokenizer = _characters("a ", "1 ", ") ")
    with pytest.raises(ModelError, match="no separate tokens for ' Rome' after a prompt"):
        continuation(tokenizer, Continuation(" Rome"))


def test_of_nothing_there_are_no_tokens() -> None:
    with pytest.raises(ModelError, match="no separate tokens"):
        continuation(_characters(), Continuation(""))
