from __future__ import annotations

import copy
import unicodedata
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eac.errors import EditError, NonFiniteError
from pytest_eac.lm.forward import packed
from pytest_eac.lm.forward.generate import greedy
from pytest_eac.lm.tokens import continuation, encode
from pytest_eac.lm.weights import restored
from pytest_eac.scoring.answers import force, generate, generation_length, says
from pytest_eac.text.spacing import Continuation, as_continuation
from tests.lm.trained_tokenizers import trained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit


LATE = Continuation(" late")


def _pair(edit: Edit, answer: str | None) -> tuple[str, Continuation]:
    return edit.prompt, edit.after(edit.prompt, answer or "")


@contextmanager
def _seen(module: torch.nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """Collect the shapes of what a module is given."""
    shapes: list[tuple[int, ...]] = []

    def note(_: torch.nn.Module, args: tuple[Any, ...]) -> None:
        shapes.append(tuple(args[0].shape))

    handle = module.register_forward_pre_hook(note)
    try:
        yield shapes
    finally:
        handle.remove()


@torch.no_grad()
def _force_one_by_one(
    loaded: LoadedModel, prompt: str, text: Continuation
) -> tuple[list[int], float]:
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
@given(data=st.data(), budget=st.integers(1, 99))
def test_packing_does_not_change_a_score(
    tiny: LoadedModel, world: tuple[Edit, ...], data: st.DataObject, budget: int
) -> None:
    pairs = [_pair(edit, text) for edit in world for text in (edit.target, edit.truth or "")]
    chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=10))
    for pair, forced in zip(chosen, force(tiny, chosen, budget=budget), strict=True):
        predicted, likelihood = _force_one_by_one(tiny, *pair)
        assert list(forced.predicted) == predicted
        assert forced.log_likelihood == pytest.approx(likelihood, abs=1e-4)


@settings(max_examples=8)
@given(data=st.data(), budget=st.integers(1, 99))
def test_packing_does_not_change_a_generation(
    tiny: LoadedModel, world: tuple[Edit, ...], data: st.DataObject, budget: int
) -> None:
    prompts = data.draw(
        st.lists(st.sampled_from([edit.prompt for edit in world]), min_size=1, max_size=8)
    )
    for prompt, text in zip(prompts, generate(tiny, prompts, tokens=4, budget=budget), strict=True):
        ids = list(encode(tiny.tokenizer, prompt))
        for _ in range(4):
            with torch.no_grad():
                ids.append(int(tiny.model(torch.tensor([ids])).logits[0, -1].argmax()))
        new = ids[-4:]
        if tiny.tokenizer.eos_token_id in new:
            new = new[: new.index(tiny.tokenizer.eos_token_id)]
        assert text == tiny.tokenizer.decode(new, skip_special_tokens=True)


def test_the_tiny_models_know_their_world(tiny: LoadedModel, world: tuple[Edit, ...]) -> None:
    pairs = [_pair(edit, edit.truth) for edit in world]
    scores = [forced.accuracy for forced in force(tiny, pairs)]
    assert sum(scores) / len(scores) >= 0.98


def test_accuracy_counts_tokens(tiny: LoadedModel, world: tuple[Edit, ...]) -> None:
    pairs = [_pair(edit, edit.truth) for edit in world]
    known = next(pair for pair in pairs if len(continuation(tiny.tokenizer, pair[1])) > 1)
    right = continuation(tiny.tokenizer, known[1])
    (forced,) = force(tiny, [known])
    hits = sum(a == b for a, b in zip(right, forced.predicted, strict=True))
    assert forced.accuracy == hits / len(right)


def test_a_generation_is_long_enough_for_the_longest_target(tiny: LoadedModel) -> None:
    targets = [Continuation(" a"), Continuation(" a rather long target of many words")]
    longest = len(continuation(tiny.tokenizer, targets[1]))
    assert generation_length(tiny, targets) > longest


def test_a_generation_goes_on_to_the_end_of_its_last_character(
    tiny: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a token a byte, three more than the target has are no Chinese character."""
    text = " Rom东京"
    ids = [token for byte in text.encode() for token in _byte_token(tiny, byte)]
    texts = {
        count: _generated(tiny, world[0].prompt, ids, tokens=count, patch=monkeypatch)
        for count in range(1, len(ids) + 1)
    }
    assert texts[4] == " Rom"
    assert {texts[count] for count in (5, 6, 7)} == {" Rom东"}
    assert {texts[count] for count in (8, 9, 10)} == {" Rom东京"}


def test_a_text_that_is_whole_does_not_go_on_with_those_that_are_not(tiny: LoadedModel) -> None:
    """Whatever is asked beside it, an answer is the same."""
    (one,), (two,) = ([_byte_token(tiny, byte)[0]] for byte in (b"a"[0], "东".encode()[0]))
    after = torch.tensor([[one], [two], [two]])

    def forced(_module: torch.nn.Module, _args: object, logits: torch.Tensor) -> torch.Tensor:
        ids = after[: len(logits)].expand(logits.shape[:-1])
        return torch.nn.functional.one_hot(ids, logits.shape[-1]).float()

    handle = tiny.model.get_output_embeddings().register_forward_hook(forced)
    try:
        answers = greedy(tiny, [(1, 2), (3, 4), (5, 6)], tokens=2)
    finally:
        handle.remove()
    assert answers == [(one,) * 2, (two,) * 5, (two,) * 5]


def test_bytes_that_are_no_character_do_not_go_on_for_ever(
    tiny: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [token for byte in b" R" + b"\xe4" * 9 for token in _byte_token(tiny, byte)]
    text = _generated(tiny, world[0].prompt, ids, tokens=3, patch=monkeypatch)
    assert text == " R" + "\ufffd" * 4


def _byte_token(loaded: LoadedModel, byte: int) -> list[int]:
    """The token of one byte, as byte-level tokenizers write it."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [each for each in range(256) if each not in plain]
    letter = chr(byte) if byte in plain else chr(256 + other.index(byte))
    found: int = loaded.tokenizer.convert_tokens_to_ids(letter)
    assert found is not None
    return [found]


def _generated(
    loaded: LoadedModel,
    prompt: str,
    ids: list[int],
    *,
    tokens: int,
    patch: pytest.MonkeyPatch,
) -> str:
    """What a model writes that goes on with these ids, whatever it is asked."""
    going = iter(ids)

    def forced(_module: torch.nn.Module, _args: object, logits: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(
            torch.full(logits.shape[:-1], next(going)), logits.shape[-1]
        ).float()

    handle = loaded.model.get_output_embeddings().register_forward_hook(forced)
    try:
        (text,) = generate(loaded, [prompt], tokens=tokens)
    finally:
        handle.remove()
    return text


@pytest.mark.parametrize(
    ("kind", "generated", "answer", "expected"),
    [
        ("bert", "rome, italy", "Rome", True),
        ("bert", "romeo", "Rome", False),
        ("bert", "rome", "Romeo", False),
        ("byte-plain", " rome", "Rome", False),
        ("byte-nfd", unicodedata.normalize("NFD", "서울 입니다"), "서울", True),
        ("byte-nfkc", " Rome", "\uff32\uff4f\uff4d\uff45", True),
        ("byte-plain", " Rome", "\uff32\uff4f\uff4d\uff45", False),
        ("llama-2", "서울은", "서울", True),
    ],
)
def test_an_answer_counts_as_its_tokenizer_can_write_it(
    tiny: LoadedModel, kind: str, generated: str, answer: str, *, expected: bool
) -> None:
    loaded = replace(tiny, tokenizer=trained(kind))
    assert says(loaded, generated, as_continuation("It is", answer)) is expected


def test_what_follows_the_end_of_the_text_is_no_part_of_the_answer(
    tiny: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = tiny.tokenizer.eos_token_id
    answer = continuation(tiny.tokenizer, _pair(world[0], world[0].truth)[1])
    monkeypatch.setattr(
        "pytest_eac.scoring.answers.greedy", lambda *_, **__: [(*answer, stop, *answer)]
    )
    (text,) = generate(tiny, [world[0].prompt], tokens=9)
    assert text.strip() == world[0].truth


def test_of_nothing_there_is_no_score(tiny: LoadedModel) -> None:
    assert force(tiny, []) == []
    assert generate(tiny, [], tokens=3) == []


def test_what_many_prompts_begin_with_is_read_once(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    header = " ".join(f"{edit.prompt} {edit.truth}." for edit in world[:3])
    pairs = [(f"{header} {edit.prompt}", _pair(edit, edit.truth)[1]) for edit in world[3:9]]
    asked = [(*encode(tiny.tokenizer, a), *continuation(tiny.tokenizer, b)[:-1]) for a, b in pairs]
    common = len(encode(tiny.tokenizer, header))
    with _seen(tiny.model.get_input_embeddings()) as shapes:
        packed = force(tiny, pairs)
    own = sum(len(row) - common for row in asked)
    assert sum(rows * width for rows, width in shapes) < common + 2 * own < len(asked) * common
    for pair, forced in zip(pairs, packed, strict=True):
        assert forced.log_likelihood == pytest.approx(_force_one_by_one(tiny, *pair)[1], abs=1e-4)


def test_candidates_and_repeated_asks_share_one_reading_of_their_prompt(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    pair = _pair(world[0], world[0].truth)
    with _seen(tiny.model.get_input_embeddings()) as once:
        (alone,) = force(tiny, [pair])
    with _seen(tiny.model.get_input_embeddings()) as thrice:
        again = force(tiny, [pair] * 3)
    assert again == [alone] * 3
    assert thrice == once


@pytest.mark.parametrize("positions", [1, 3, 8])
def test_no_pass_has_more_logits_than_it_may(
    tiny: LoadedModel,
    world: tuple[Edit, ...],
    monkeypatch: pytest.MonkeyPatch,
    positions: int,
) -> None:
    pairs = [_pair(edit, edit.truth) for edit in world[:6]]
    text = Continuation(f" {world[2].prompt}")
    texts = [(" ".join(edit.prompt for edit in world[:2]), text)]
    before = force(tiny, [*pairs, *texts])
    monkeypatch.setattr(packed, "_LOGIT_BYTES", positions * 4 * tiny.shape["vocab_size"])
    with _seen(tiny.model.get_output_embeddings()) as shapes:
        after = force(tiny, [*pairs, *texts])
    assert max(rows * width for rows, width, _ in shapes) <= positions
    for one, other in zip(before, after, strict=True):
        assert one.predicted == other.predicted
        assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-4)


def test_in_half_precision_a_score_moves_by_its_rounding_only(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    half = replace(tiny, model=copy.deepcopy(tiny.model).to(torch.bfloat16))
    pairs = [_pair(edit, text) for edit in world[:9] for text in (edit.target, edit.truth or "")]
    for pair, forced in zip(pairs, force(half, pairs), strict=True):
        likelihood = _force_one_by_one(half, *pair)[1]
        assert forced.log_likelihood == pytest.approx(likelihood, rel=0.02, abs=0.1)


def test_a_row_that_is_too_long_is_refused(tiny: LoadedModel) -> None:
    long = "so " * 2000
    with pytest.raises(EditError, match=r"the prompt 'so so .*\.\.\.' has \d+ tokens, but the mo"):
        force(tiny, [("It is", LATE), (long, LATE)])
    with pytest.raises(EditError, match=r"the prompt 'so so .*\.\.\.' has \d+ tokens, but the mo"):
        generate(tiny, ["It is", long], tokens=3)


def test_an_answer_needs_something_before_it(tiny: LoadedModel) -> None:
    if encode(tiny.tokenizer, ""):
        assert len(force(tiny, [("", LATE)])) == 1
    else:
        with pytest.raises(EditError, match="a prompt has no tokens"):
            force(tiny, [("It is", LATE), ("", LATE)])


def test_a_model_that_is_broken_is_an_error_of_its_own(tiny_llama: LoadedModel) -> None:
    with torch.no_grad(), restored(tiny_llama.model, ["lm_head"]):
        for broken in ("nan", "inf"):
            tiny_llama.model.lm_head.weight[3] = float(broken)
            with pytest.raises(NonFiniteError, match="logits are not finite"):
                force(tiny_llama, [("It is", LATE)])
            with pytest.raises(NonFiniteError, match="logits are not finite"):
                generate(tiny_llama, ["It is"], tokens=2)


def test_nothing_is_asked_for_once_every_text_has_ended(
    tiny: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [edit.prompt for edit in world[:5]]
    whole = [generate(tiny, [prompt], tokens=4) for prompt in prompts]
    answers = [_pair(edit, edit.truth)[1] for edit in world[:5]]
    first = {continuation(tiny.tokenizer, answer)[0] for answer in answers}
    monkeypatch.setattr(tiny.model.generation_config, "eos_token_id", list(first))
    with _seen(tiny.model.get_output_embeddings()) as shapes:
        texts = generate(replace(tiny), prompts, tokens=4)  # a new one looks its stop ids up anew
    assert [bool(text.strip()) for (text,) in whole] == [True] * 5
    assert texts == [""] * 5
    assert sum(rows for rows, _, _ in shapes) == 5


@pytest.mark.parametrize("until", ["a", "e", "ss", " the", "\n", ".", "no such text"])
def test_a_text_ends_where_it_would_be_cut_anyway(
    tiny: LoadedModel, world: tuple[Edit, ...], until: str
) -> None:
    prompts = [*(edit.prompt for edit in world[:12]), "It is late. "]
    whole = [generate(tiny, [prompt], tokens=12)[0] for prompt in prompts]
    expected = [text.lstrip().partition(until)[0] for text in whole]
    assert generate(tiny, prompts, tokens=12, until=until) == expected


def test_texts_that_have_ended_are_not_gone_on_with_while_others_are(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = replace(tiny_llama)
    monkeypatch.setitem(endless.__dict__, "stop_ids", frozenset())

    def rows_read(until: str) -> list[int]:
        with _seen(endless.model.get_output_embeddings()) as shapes:
            generate(endless, [edit.prompt for edit in world[:12]], tokens=30, until=until)
        return [rows for rows, _, _ in shapes]

    whole, cut = rows_read("no such text"), rows_read("er")
    assert sum(cut) < 0.7 * sum(whole)
    assert len(cut) > len(whole) / 2, "some go on"
