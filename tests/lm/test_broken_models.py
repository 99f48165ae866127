"""Models whose files are broken or hostile: one clear error, before anything is edited."""

from __future__ import annotations

import json
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizers import AddedToken

from benchmarks.fuzz import gguf, tiny
from pytest_eac.cache.folders import take_folder
from pytest_eac.errors import EditError, ModelError
from pytest_eac.lm.checkpoints.configuration import compare_companions
from pytest_eac.lm.library_calls import quiet, refusing
from pytest_eac.lm.loading import gguf as header
from pytest_eac.lm.loading import gguf_conversion
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.tokens import decode, encode
from tests.files import set_keys, write_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest model, which a test may damage."""
    return write_all(tmp_path / "model", tiny.files())


def test_the_smallest_model_loads_and_runs(folder: Path) -> None:
    loaded = load_model(str(folder), device="cpu")
    assert decode(loaded.tokenizer, encode(loaded.tokenizer, "the"), special=False) == "the"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 0}, "cannot be .*num_attention_heads|ZeroDivisionError"),
        ({"hidden_size": "8"}, "config.json cannot be used: .*hidden_size"),
        ({"hidden_act": "nothing"}, "KeyError"),
        ({"rope_parameters": {"rope_type": "nothing"}}, "cannot be read as config.json says"),
        ({"return_dict": False}, "cannot be run as config.json says: AttributeError"),
        ({"hidden_size": 16}, "cannot be read as config.json says: RuntimeError"),
        ({"num_hidden_layers": 500}, "num_hidden_layers: 500, but the weights are those of 12 la"),
    ],
)
def test_a_configuration_that_no_model_can_have_is_one_error(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    set_keys(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=message) as found:
        load_model(str(folder), device="cpu")
    assert "\n" not in str(found.value)
    assert str(folder) in str(found.value)


def test_a_label_that_is_a_number_counts_for_no_layers(folder: Path) -> None:
    set_keys(folder / "config.json", id2label={"0": -(2**63)})
    load_model(str(folder), device="cpu")


def test_layers_that_a_configuration_leaves_to_a_default_are_counted(folder: Path) -> None:
    config = {key: value for key, value in tiny.CONFIG.items() if key != "num_hidden_layers"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="num_hidden_layers: 32, but the weights"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer.json"])
def test_a_file_that_is_nested_too_deeply_is_one_error(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    with pytest.raises(ModelError, match=str(folder)):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("eos", ["</s>", ["</s>", 1], {"a": 1}, [[1]]])
def test_ends_of_texts_that_are_no_ids_are_named(folder: Path, eos: object) -> None:
    set_keys(folder / "generation_config.json", eos_token_id=eos)
    with pytest.raises(ModelError, match=r"found eos_token_id: .*expected the id|cannot be read"):
        load_model(str(folder), device="cpu")


def _teach(folder: Path, word: str, token: int) -> None:
    """Give the tokenizer a word whose id is beyond the model's embeddings."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    added = {**tokenizer["added_tokens"][0], "id": token, "content": word, "special": False}
    tokenizer["added_tokens"].append(added)
    tokenizer["model"]["vocab"][word] = token
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def test_an_id_without_an_embedding_is_named_where_it_is_used(folder: Path) -> None:
    _teach(folder, "cat", 999)
    loaded = load_model(str(folder), device="cpu")  # others may be used all the same
    loaded.require_room(encode(loaded.tokenizer, "the dog"))
    message = "the tokenizer gives the id 999, but the model has embeddings for 34 tokens"
    with pytest.raises(ModelError, match=message):
        loaded.require_room(encode(loaded.tokenizer, "the cat"))
    with pytest.raises(ModelError, match=message):
        loaded.pad([(0, 1, 2), (999,)], side="left")


def test_padding_that_has_no_embedding_is_filled_with_another_id(folder: Path) -> None:
    _teach(folder, "<pad>", 999)
    set_keys(folder / "tokenizer_config.json", pad_token="<pad>")
    loaded = load_model(str(folder), device="cpu")
    assert loaded.tokenizer.pad_token_id == 999
    with torch.no_grad():
        batch = loaded.pad([(0, 2), (0,)], side="left")
        assert loaded.model(**batch.as_inputs()).logits.isfinite().all()


def test_a_tokenizer_that_cannot_decode_is_an_error_of_the_model(folder: Path) -> None:
    decoder = {"type": "Strip", "content": "a", "start": 0, "stop": 9}
    set_keys(folder / "tokenizer.json", decoder=decoder)
    with pytest.raises(ModelError, match="/model: no usable tokenizer: PanicException"):
        load_model(str(folder), device="cpu")


def test_a_tokenizer_that_fails_later_is_an_error_of_the_model(folder: Path) -> None:
    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "none"}
    set_keys(folder / "tokenizer.json", model=model, normalizer=None, pre_tokenizer=None)
    loaded = load_model(str(folder), device="cpu")
    with pytest.raises(ModelError, match="the tokenizer cannot encode 'zebra'"):
        encode(loaded.tokenizer, "zebra")


@pytest.mark.parametrize("kept", [5, 20, 30, 500, 1500, 4000])
def test_a_gguf_file_that_is_cut_off_is_one_error(tmp_path: Path, kept: int) -> None:
    whole = gguf.sound()
    assert kept < len(whole)
    (tmp_path / "x.gguf").write_bytes(whole[:kept])
    with pytest.raises(ModelError, match=r"x\.gguf: cannot be read as GGUF: it .*: fetch it again"):
        load_model(str(tmp_path / "x.gguf"), device="cpu", cache_dir=tmp_path / "cache")


def test_a_gguf_file_that_is_replaced_before_it_is_converted_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "x.gguf", gguf.sound()
    path.write_bytes(whole)

    def take(root: Path, name: str, build: Callable[[Path], None]) -> Path:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        return take_folder(root, name, build)

    monkeypatch.setattr("pytest_eac.lm.loading.gguf_conversion.take_folder", take)
    with pytest.raises(ModelError, match=r"x\.gguf: was changed while it was converted"):
        load_model(str(path), device="cpu", cache_dir=tmp_path / "cache")
    assert [each.name for each in (tmp_path / "cache" / "models").iterdir() if each.is_dir()] == []


def test_a_sound_gguf_file_loads(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(gguf.sound())
    loaded = load_model(str(tmp_path / "x.gguf"), device="cpu", cache_dir=tmp_path / "cache")
    assert loaded.shape["num_hidden_layers"] == 1


def _replaced(old: bytes, new: bytes) -> bytes:
    whole = gguf.sound()
    assert whole.count(old) == 1
    return whole.replace(old, new)


def _count(key: str, value: int) -> tuple[bytes, bytes]:
    head = key.encode() + struct.pack("<I", 4)
    return head + struct.pack("<I", 1), head + struct.pack("<I", value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            _count("llama.block_count", 2_000_000_000),
            "block_count: 2,000,000,000, expected at most",
        ),
        (_count("llama.block_count", 7), "block_count: 7, but the weights are those of 1 layers"),
        ((b"llama.block_count", b"llama.other_count"), "num_hidden_layers: 32, but the weights"),
        ((b"output_norm", b"outpux_norm"), r"lacks weights that the model needs: model\.norm"),
        (
            (struct.pack("<IQ", 5, len(tiny.WORDS)), struct.pack("<IQ", 5, 2**60)),
            "claims 1,152,921,504,606,846,976 entries",
        ),
        ((b"GGUF" + struct.pack("<I", 3), b"GGUF" + struct.pack("<I", 9)), "is of version 9"),
    ],
)
def test_a_gguf_file_that_claims_what_it_has_not_is_one_error(
    tmp_path: Path, changed: tuple[bytes, bytes], message: str
) -> None:
    (tmp_path / "x.gguf").write_bytes(_replaced(*changed))
    with pytest.raises(ModelError, match=message):
        load_model(str(tmp_path / "x.gguf"), device="cpu", cache_dir=tmp_path / "cache")


def test_tokens_of_a_gguf_file_are_as_long_in_sum_as_splitting_them_may_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, words = tmp_path / "x.gguf", [len(each.encode()) ** 2 for each in tiny.WORDS]
    path.write_bytes(gguf.sound())
    monkeypatch.setattr(header, "TEXT_SPLITS", sum(words))
    assert header.read_header(path).layers == 1
    monkeypatch.setattr(header, "TEXT_SPLITS", sum(words) - 1)
    monkeypatch.setattr(gguf_conversion, "_convert", lambda *_: pytest.fail("was converted"))
    message = rf"whose lengths squared sum to {sum(words)}, expected at most {sum(words) - 1}: "
    with pytest.raises(ModelError, match=message):
        load_model(str(path), device="cpu", cache_dir=tmp_path / "cache")


def test_a_release_with_such_files_is_reported_and_no_error(folder: Path, tmp_path: Path) -> None:
    base = write_all(tmp_path / "base", tiny.files())
    set_keys(folder / "config.json", num_attention_heads=0, hidden_size="8")
    (folder / "tokenizer.json").write_text('{"model": 7}')
    first, *_, last = compare_companions(base, folder)
    assert first.startswith("config.json: cannot be used: StrictDataclassFieldValidationError")
    assert last.startswith("tokenizer.json: no usable tokenizer: ")


class PanicException(BaseException):
    """What a panic of Rust is in Python."""


@pytest.mark.parametrize("error", [KeyError("\x1b[2J\nx"), MemoryError(), PanicException("x")])
def test_whatever_a_library_raises_is_a_model_error_with_that_cause(error: BaseException) -> None:
    with pytest.raises(ModelError) as found, refusing("m: cannot be read", "fetch it"):
        raise error
    assert found.value.__cause__ is error
    assert str(found.value).startswith(f"m: cannot be read: {type(error).__name__}")
    assert str(found.value).endswith("; fetch it")
    assert str(found.value).isprintable()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), EditError("as it is")])
def test_what_is_no_fault_of_a_file_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as found, refusing("m: cannot be read"):
        raise error
    assert found.value is error


def test_what_rust_code_prints_while_a_model_is_read_is_dropped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    sys.stdout.write("before\n")
    with quiet():
        AddedToken("x", **{"\x1b[2J": 1})
    sys.stdout.write("after\n")
    assert capfd.readouterr() == ("before\nafter\n", "")
    AddedToken("x", odd=1)
    assert "odd" in capfd.readouterr().out, "nothing would have been printed"
