"""A tokenizer's files cannot make the libraries that read them take much time or memory."""

from __future__ import annotations

import base64
import json
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints import tokenizer_pair
from pytest_eac.lm.checkpoints.configuration import compare_tokenizers
from pytest_eac.lm.loading import pretrained, tokenizer_limits
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.loading.sentencepiece_file import token_lengths
from pytest_eac.lm.loading.tokenizer_limits import require_bounded, require_bounded_texts
from tests.conftest import TINY_LLAMA
from tests.files import set_keys

if TYPE_CHECKING:
    from pathlib import Path

BASE = TINY_LLAMA
_LONG = {"type": "Prepend", "prepend": "a" * 5000}
_TWICE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


def _sequence(*steps: object, named: str = "normalizers") -> dict[str, Any]:
    return {"type": "Sequence", named: list(steps)}


def _charsmap(*texts: str) -> str:
    data = b"".join(each.encode() + b"\0" for each in texts)
    return base64.b64encode(struct.pack("<I", 8) + bytes(8) + data).decode()


ALBERT = _sequence(
    {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
    {"type": "Replace", "pattern": {"String": "''"}, "content": '"'},
    {"type": "NFKD"},
    {"type": "StripAccents"},
    {"type": "Lowercase"},
    {"type": "Precompiled", "precompiled_charsmap": _charsmap("a", "b" * 33)},
    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
)
LLAMA = _sequence(
    {"type": "Prepend", "prepend": "\u2581"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
)
DEEPSEEK = _sequence(
    {"type": "Split", "pattern": {"Regex": "[\r\n]"}, "behavior": "Isolated", "invert": False},
    {"type": "Digits", "individual_digits": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    named="pretokenizers",
)
DECODER = _sequence(
    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    named="decoders",
)


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": ALBERT},
        {"normalizer": LLAMA, "decoder": DECODER},
        {"pre_tokenizer": DEEPSEEK},
        {"normalizer": _sequence(*[{"type": "Lowercase"}] * 10)},
    ],
)
def test_the_steps_of_known_tokenizers_are_no_trouble(folder: Path, parts: dict[str, Any]) -> None:
    set_keys(folder / "tokenizer.json", **parts)
    require_bounded(folder)


@pytest.mark.parametrize(
    ("part", "steps", "grown"),
    [
        ("normalizer", _sequence(*[_TWICE] * 13), "8,192"),
        ("normalizer", _sequence(_sequence(*[_TWICE] * 6), _sequence(*[_TWICE] * 7)), "8,192"),
        ("normalizer", {"normalizers": [{k: _TWICE[k] for k in ("pattern", "content")}] * 13}, "8"),
        ("normalizer", {**_TWICE, "content": "a" * 5000}, "5,000"),
        ("normalizer", {**_TWICE, "normalizers": [_TWICE] * 12}, "8,192"),
        ("normalizer", _LONG, "5,001"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": _charsmap("b" * 5000)}, "5"),
        (
            "normalizer",
            _sequence(*[{"type": "Replace", "pattern": {"Regex": "x?"}, "content": "aa"}] * 8),
            "13,121",
        ),
        (
            "pre_tokenizer",
            _sequence(*[DEEPSEEK["pretokenizers"][-1]] * 4, named="pretokenizers"),
            "256",
        ),
        ("decoder", _sequence(*[_TWICE] * 7, named="decoders"), "128"),
        (
            "post_processor",
            {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 65,
                "pair": [],
                "special_tokens": {},
            },
            "65",
        ),
        ("normalizer", _sequence(*[{"type": "SomethingNew"}] * 7), "16,384"),
    ],
)
def test_a_text_cannot_grow_without_bounds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: str, steps: Any, grown: str
) -> None:
    _unread(monkeypatch)
    set_keys(folder / "tokenizer.json", **{part: steps})
    message = rf"tokenizer\.json: found {part} that can make {grown}[0-9,]* bytes of one, expected"
    with pytest.raises(ModelError, match=message):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("pieces", [1, True, "x", {"a": 1}, 1.5])
def test_the_pieces_of_a_template_are_a_list(folder: Path, pieces: object) -> None:
    step = {"type": "TemplateProcessing", "single": pieces, "pair": pieces, "special_tokens": {}}
    set_keys(folder / "tokenizer.json", post_processor=step)
    require_bounded(folder)
    with pytest.raises(ModelError, match="tokenizer"):
        load_model(str(folder), device="cpu")


def _unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a tokenizer is read by its library."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("was read")

    for module in (pretrained, tokenizer_pair):
        monkeypatch.setattr(module, "AutoTokenizer", SimpleNamespace(from_pretrained=fail))


@pytest.mark.parametrize("text", ["a", "a b", "\u0130\ufdfa\u0390", "x\u4e2dy", "  ", "\U0001f600"])
@pytest.mark.parametrize(
    "step",
    [
        *({"type": each} for each in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")),
        *({"type": each} for each in ("Nmt", "ByteLevel")),
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        _TWICE,
        {"type": "Replace", "pattern": {"Regex": "x?"}, "content": "yz"},
        {"type": "Replace", "pattern": {"Regex": "(?=.)"}, "content": "yz"},
        {"type": "Prepend", "prepend": "abc"},
    ],
    ids=lambda step: str(step["type"]) if isinstance(step, dict) else ascii(step),
)
def test_no_text_grows_by_more_than_its_steps_are_taken_to_make_it(
    step: dict[str, Any], text: str
) -> None:
    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    tokenizer = Tokenizer.from_str(json.dumps({"normalizer": step, "model": model}))
    factor, more = tokenizer_limits._grows(step)
    grown = tokenizer.normalizer.normalize_str(text)
    assert len(grown.encode()) <= factor * len(text.encode()) + more


def test_a_list_as_long_as_the_largest_id_is_not_made(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zz"] = 2**31
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match=r"a vocabulary with an id of 2,147,483,648, expected at"):
        require_bounded(folder)


def test_a_release_whose_texts_grow_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_keys(folder / "tokenizer.json", normalizer=_LONG)
    reading = AutoTokenizer.from_pretrained
    read: list[Path] = []

    def spy(folder: Path, **settings: Any) -> Any:
        read.append(folder)
        return reading(folder, **settings)

    monkeypatch.setattr(tokenizer_pair, "AutoTokenizer", SimpleNamespace(from_pretrained=spy))
    (said,) = compare_tokenizers(BASE, folder)
    assert said.startswith("tokenizer.json: found normalizer that can make 5,001 bytes of one")
    assert read == [BASE]


def _refused(folder: Path, monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    _unread(monkeypatch)
    with pytest.raises(ModelError, match=message):
        load_model(str(folder), device="cpu")


def test_the_steps_of_a_part_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_limits, "MAX_STEPS", 3)
    set_keys(folder / "tokenizer.json", normalizer=_sequence(*[{"type": "NFC"}] * 4))
    _refused(folder, monkeypatch, "found normalizer of 4 steps, expected at most 3")


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.json"])
def test_tokens_are_as_long_in_sum_as_splitting_them_may_cost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    vocabulary = {"a" * 40: 0, "b": 1}
    changes = {"model": {"type": "BPE", "vocab": vocabulary}}
    set_keys(folder / file, **(changes if file == "tokenizer.json" else vocabulary))
    if file == "vocab.json":
        (folder / "tokenizer.json").unlink()
    monkeypatch.setattr(tokenizer_limits, "TOKEN_SPLITS", 1601)
    require_bounded(folder)
    monkeypatch.setattr(tokenizer_limits, "TOKEN_SPLITS", 1600)
    _refused(folder, monkeypatch, rf"{file}: found tokens .* squared, sum to 1,601, expected at")


def test_tokens_with_scores_are_as_long_in_sum_as_their_tree_may_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["\u2581the", -1.0]]}
    set_keys(folder / "tokenizer.json", model=model)
    monkeypatch.setattr(tokenizer_limits, "SCORED_BYTES", 11)
    require_bounded(folder)
    monkeypatch.setattr(tokenizer_limits, "SCORED_BYTES", 10)
    _refused(folder, monkeypatch, "found tokens with scores of as many bytes as 11, expected at")


def test_what_is_added_to_the_parts_of_words_is_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"type": "BPE", "vocab": {"a": 0}, "merges": [], "end_of_word_suffix": "x" * 1001}
    set_keys(folder / "tokenizer.json", model=model)
    _refused(folder, monkeypatch, "found end_of_word_suffix of as many bytes as 1,001, expected at")


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("tokenizer.json", {"added_tokens": [{"content": "a" * 25, "normalized": True}]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"9": {"content": "a" * 25}}}),
        ("tokenizer_config.json", {"extra_special_tokens": ["a" * 25]}),
        ("special_tokens_map.json", {"bos_token": "a" * 25}),
        ("added_tokens.json", {"a" * 25: 9}),
    ],
)
def test_added_tokens_are_counted_as_they_are_normalized(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, changes: dict[str, Any]
) -> None:
    for name in ("tokenizer_config.json", "tokenizer.json"):
        model = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
        (folder / name).write_text(json.dumps({"model": model} if "config" not in name else {}))
    set_keys(folder / "tokenizer.json", normalizer=_sequence(*[_TWICE] * 3))
    set_keys(folder / file, **changes)
    monkeypatch.setattr(tokenizer_limits, "ADDED_BYTES", 200)
    require_bounded(folder)
    monkeypatch.setattr(tokenizer_limits, "ADDED_BYTES", 199)
    _refused(folder, monkeypatch, rf"{file}: found added tokens .* many bytes as 200, expected at")


def test_tokens_that_are_not_normalized_do_not_grow(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = [{"content": "a" * 25, "normalized": False}]
    set_keys(folder / "tokenizer.json", normalizer=_sequence(*[_TWICE] * 3), added_tokens=added)
    (folder / "tokenizer_config.json").write_text("{}")
    monkeypatch.setattr(tokenizer_limits, "ADDED_BYTES", 25)
    require_bounded(folder)


@pytest.mark.parametrize("token", ["10000001", "9" * 5000])
def test_an_id_that_a_list_would_be_as_long_as_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    set_keys(folder / "tokenizer_config.json", added_tokens_decoder={token: {"content": "x"}})
    _refused(folder, monkeypatch, "found added_tokens_decoder with an id of [0-9,]+, expected at")


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])


def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _sentencepiece(*tokens: bytes) -> bytes:
    """A sentencepiece model: its tokens, each with a score, then how it was trained."""
    score = bytes([2 << 3 | 5]) + struct.pack("<f", -1.0)
    pieces = [_message(1, _message(1, each) + score) for each in tokens]
    return b"".join(pieces) + _message(2, bytes([3 << 3]) + _varint(300))


def _tiktoken(*tokens: bytes) -> bytes:
    lines = [b"%s %d\n" % (base64.b64encode(each), rank) for rank, each in enumerate(tokens)]
    return b"".join(lines)


@pytest.mark.parametrize("write", [_sentencepiece, _tiktoken])
@pytest.mark.parametrize("name", ["tokenizer.model", "spm.model", "qwen.tiktoken"])
def test_tokens_of_other_files_are_as_short_as_those_of_json(
    folder: Path, name: str, write: Any
) -> None:
    file = folder / name
    file.write_bytes(write(b"a", b"b" * 1000, *[b"c" * 10] * 500))
    require_bounded(folder)
    file.write_bytes(write(b"a", b"b" * 40_000, b"c"))
    with pytest.raises(ModelError, match=rf"{name}: found tokens whose lengths in bytes, squared"):
        require_bounded(folder)
    file.write_bytes(write(*[b"c" * 30] * 300_000))
    with pytest.raises(ModelError, match=rf"{name}: found tokens of as many bytes as [0-9]+,"):
        require_bounded(folder)


@given(st.binary(max_size=200), st.booleans())
def test_a_broken_list_of_tokens_is_left_to_its_library(data: bytes, begins: bool) -> None:
    lengths = [*token_lengths(b"\n" * begins + data)]
    assert all(length >= 0 for length in lengths)


def test_what_another_file_makes_of_a_text_is_bounded_too(folder: Path) -> None:
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made = SimpleNamespace(is_fast=True, backend_tokenizer=backend)
    (folder / "tokenizer.json").unlink()
    require_bounded_texts(folder, made)
    backend.normalizer = normalizers.Sequence([normalizers.Replace("a", "a" * 100)] * 3)
    with pytest.raises(ModelError, match="found normalizer that can make 1,000,000 bytes of one"):
        require_bounded_texts(folder, made)
