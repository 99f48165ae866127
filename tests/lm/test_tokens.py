from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.errors import EditError
from pytest_eac.lm.tokens import Located, continuation, encode, pad, subject_end
from pytest_eac.text.spacing import Continuation

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit


def test_a_continuation_is_what_the_whole_text_has_after_the_prompt(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    for edit in world:
        whole = encode(tiny.tokenizer, f"{edit.prompt} {edit.target}")
        prompt = encode(tiny.tokenizer, edit.prompt)
        assert (*prompt, *continuation(tiny.tokenizer, edit.ending)) == whole


def test_a_continuation_has_no_bos(tiny: LoadedModel) -> None:
    assert tiny.tokenizer.bos_token_id not in continuation(tiny.tokenizer, Continuation(" north"))


def test_the_subjects_last_token_is_the_one_that_holds_its_last_character(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    for edit in world:
        index = subject_end(tiny.tokenizer, edit.prompt, edit.subject)
        ids = encode(tiny.tokenizer, edit.prompt)
        upto = tiny.tokenizer.decode(ids[: index + 1], skip_special_tokens=True)
        before = tiny.tokenizer.decode(ids[:index], skip_special_tokens=True)
        assert upto.strip().endswith(edit.subject)
        assert not before.strip().endswith(edit.subject)


def test_a_context_that_names_the_subject_does_not_mislead(tiny: LoadedModel) -> None:
    text = "The tower. The tower"
    first = subject_end(tiny.tokenizer, text, "The tower")
    second = subject_end(tiny.tokenizer, text, "The tower", at=len("The tower. "))
    assert second > first


def test_a_subject_that_is_not_there_is_named(tiny: LoadedModel) -> None:
    with pytest.raises(EditError, match=r"'Nobody' does not occur in 'The tower'"):
        subject_end(tiny.tokenizer, "The tower", "Nobody")


@given(
    rows=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=7), min_size=1, max_size=5),
    side=st.sampled_from(["left", "right"]),
)
def test_padding_keeps_every_row_and_counts_its_positions_from_zero(
    rows: list[list[int]], side: str
) -> None:
    # The padding id is also a real id here, as it is where pad = eos.
    batch = pad(rows, side=side, fill=0, device=torch.device("cpu"))
    for row, ids, mask, positions in zip(
        rows, batch.input_ids, batch.attention_mask, batch.position_ids, strict=True
    ):
        there = mask.bool()
        assert ids[there].tolist() == row
        assert positions[there].tolist() == list(range(len(row)))
        assert there[0 if side == "right" else -1]


def test_a_subjects_tokens_are_those_that_hold_its_characters(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    for edit in world:
        ids = encode(tiny.tokenizer, edit.prompt)
        start = edit.prompt.index(edit.subject)
        place = range(start, start + len(edit.subject))
        span = Located.encode(tiny.tokenizer, edit.prompt).tokens_of(place)
        assert tiny.tokenizer.decode(ids[span.start : span.stop]).strip() == edit.subject
        assert span[-1] == subject_end(tiny.tokenizer, edit.prompt, edit.subject)


def test_a_subject_that_is_not_there_has_no_tokens(tiny: LoadedModel) -> None:
    with pytest.raises(EditError, match="does not occur"):
        subject_end(tiny.tokenizer, "Nobody is here", "Odalys")
