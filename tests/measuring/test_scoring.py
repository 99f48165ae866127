from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eac.lm.tokens import continuation, encode
from pytest_eac.measuring.scoring import force, generate, generation_length, starts_with

if TYPE_CHECKING:
    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.edits import Edit


@torch.no_grad()
def _force_one_by_one(loaded: LoadedModel, prompt: str, text: str) -> tuple[list[int], float]:
    """The slow twin: no batch, no padding, one forward per token of the continuation."""
    ids = list(encode(loaded.tokenizer, prompt))
    predicted, likely = [], []
    for token in continuation(loaded.tokenizer, text):
        logits = loaded.model(torch.tensor([ids])).logits[0, -1].double()
        predicted.append(int(logits.argmax()))
        likely.append(float(logits.log_softmax(-1)[token]))
        ids.append(token)
    return predicted, sum(likely) / len(likely)


@settings(max_examples=12)
@given(data=st.data(), batch=st.integers(1, 9))
def test_batch_size_and_padding_do_not_change_a_score(
    tiny: LoadedModel, world: tuple[Edit, ...], data: st.DataObject, batch: int
) -> None:
    pairs = [(edit.prompt, text) for edit in world for text in (edit.target, edit.truth or "")]
    chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=10))
    for pair, forced in zip(chosen, force(tiny, chosen, budget=batch), strict=True):
        predicted, likelihood = _force_one_by_one(tiny, *pair)
        assert list(forced.predicted) == predicted
        assert forced.log_likelihood == pytest.approx(likelihood, abs=1e-4)


@settings(max_examples=8)
@given(data=st.data(), batch=st.integers(1, 9))
def test_batch_size_and_padding_do_not_change_a_generation(
    tiny: LoadedModel, world: tuple[Edit, ...], data: st.DataObject, batch: int
) -> None:
    prompts = data.draw(
        st.lists(st.sampled_from([edit.prompt for edit in world]), min_size=1, max_size=8)
    )
    for prompt, text in zip(prompts, generate(tiny, prompts, tokens=4, budget=batch), strict=True):
        ids = list(encode(tiny.tokenizer, prompt))
        for _ in range(4):
            with torch.no_grad():
                ids.append(int(tiny.model(torch.tensor([ids])).logits[0, -1].argmax()))
        new = ids[-4:]
        if tiny.tokenizer.eos_token_id in new:
            new = new[: new.index(tiny.tokenizer.eos_token_id)]
        assert text == tiny.tokenizer.decode(new, skip_special_tokens=True)


def test_the_tiny_models_know_their_world(tiny: LoadedModel, world: tuple[Edit, ...]) -> None:
    pairs = [(edit.prompt, edit.truth or "") for edit in world]
    scores = [forced.accuracy for forced in force(tiny, pairs)]
    assert sum(scores) / len(scores) >= 0.98


def test_accuracy_counts_tokens(tiny: LoadedModel, world: tuple[Edit, ...]) -> None:
    known = next(edit for edit in world if len(continuation(tiny.tokenizer, edit.truth or "")) > 1)
    right = continuation(tiny.tokenizer, known.truth or "")
    (forced,) = force(tiny, [(known.prompt, known.truth or "")])
    hits = sum(a == b for a, b in zip(right, forced.predicted, strict=True))
    assert forced.accuracy == hits / len(right)


@pytest.mark.parametrize(
    ("generated", "target", "expected"),
    [
        (" Rome, Italy", "Rome", True),
        ("Rome", " Rome ", True),
        (" Romeo", "Rome", False),
        (" the city of Rome", "Rome", False),
        (" rome", "Rome", False),
        ("", "Rome", False),
        (" St. Louis", "St.", True),
        (" New York City", "New York", True),
        (" New", "New York", False),
    ],
)
def test_a_generation_counts_when_it_starts_with_the_target(
    generated: str, target: str, *, expected: bool
) -> None:
    assert starts_with(generated, target) is expected


def test_a_generation_is_long_enough_for_the_longest_target(tiny: LoadedModel) -> None:
    targets = ["a", "a rather long target of many words"]
    longest = len(continuation(tiny.tokenizer, targets[1]))
    assert generation_length(tiny, targets) > longest


def test_what_follows_the_end_of_the_text_is_no_part_of_the_answer(
    tiny: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = tiny.tokenizer.eos_token_id
    answer = continuation(tiny.tokenizer, world[0].truth or "")
    monkeypatch.setattr(
        "pytest_eac.measuring.scoring.greedy", lambda *_, **__: [(*answer, stop, *answer)]
    )
    (text,) = generate(tiny, [world[0].prompt], tokens=9)
    assert text.strip() == world[0].truth
