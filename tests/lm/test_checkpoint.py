from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_eac.errors import ModelError, UnavailableError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading import tensors, untrusted_files
from pytest_eac.lm.loading.find import find_model
from pytest_eac.lm.loading.model_folder import INDEX, WEIGHTS
from pytest_eac.lm.loading.tensors import open_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel


def shard(folder: Path, count: int = 3) -> dict[str, str]:
    """Put the one file of a checkpoint into several; returns the file of each tensor."""
    tensors = load_file(folder / WEIGHTS)
    placed = {name: f"part-{n % count}.safetensors" for n, name in enumerate(sorted(tensors))}
    for file in set(placed.values()):
        mine = {name: tensors[name] for name in placed if placed[name] == file}
        save_file(mine, folder / file, metadata={"format": "pt"})
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": placed}), encoding="utf-8")
    return placed


@pytest.mark.parametrize("entries", [1, 100, 10_000, 2**20])
def test_chunks_put_together_are_the_tensor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    monkeypatch.setattr(tensors, "_ENTRIES", entries)
    written = {
        "matrix": torch.randn(7, 300),
        "vector": torch.randn(450),
        "number": torch.tensor(2.5),
        "cube": torch.randn(3, 4, 50),
        "half": torch.randn(5, 6).bfloat16(),
    }
    save_file(written, folder / WEIGHTS)
    found = open_checkpoint(folder).tensors
    assert found.keys() == written.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor.whole(), written[name])
        assert all(chunk.numel() <= max(entries, 300) for chunk in tensor.chunks())


def test_a_sharded_checkpoint_has_the_same_tensors(folder: Path) -> None:
    one = {name: each.sha256() for name, each in open_checkpoint(folder).tensors.items()}
    shard(folder)
    opened = open_checkpoint(folder)
    assert {name: each.sha256() for name, each in opened.tensors.items()} == one
    assert len(opened.files) == 3


def test_a_digest_tells_type_and_shape_and_every_bit(folder: Path) -> None:
    tensors = {
        "a": torch.zeros(2, 3),
        "b": torch.zeros(3, 2),
        "c": torch.zeros(2, 3, dtype=torch.int32),
        "d": -torch.zeros(2, 3),
    }
    save_file(tensors, folder / WEIGHTS)
    found = open_checkpoint(folder).tensors
    assert len({each.sha256() for each in found.values()}) == 4
    assert found["a"].sha256_of([torch.zeros(1, 3)] * 2) == found["a"].sha256()


def test_a_missing_shard_is_named(folder: Path) -> None:
    shard(folder)
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"part-1\.safetensors: is missing"):
        open_checkpoint(folder)


def test_a_file_that_is_cut_off_is_named(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-1000])
    with pytest.raises(ModelError, match=r"model\.safetensors: is damaged or cut off.*fetch it"):
        open_checkpoint(folder)


def test_an_index_that_promises_a_tensor_its_file_has_not_is_refused(folder: Path) -> None:
    placed = shard(folder)
    placed["model.norm.extra"] = "part-0.safetensors"
    (folder / INDEX).write_text(json.dumps({"weight_map": placed}))
    with pytest.raises(ModelError, match=r"part-0\.safetensors: has no model\.norm\.extra"):
        open_checkpoint(folder)


def test_a_name_with_half_a_character_can_be_printed(folder: Path) -> None:
    placed = {**shard(folder), "\ud800": "part-0.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": placed}))
    with pytest.raises(ModelError) as raised:
        open_checkpoint(folder)
    assert "\\ud800" in str(raised.value)
    str(raised.value).encode()


def test_a_tensor_that_the_index_does_not_list_is_refused(folder: Path) -> None:
    placed = shard(folder)
    left_out = placed.popitem()[0]
    (folder / INDEX).write_text(json.dumps({"weight_map": placed}))
    with pytest.raises(ModelError, match=f"has {left_out}, which .* does not list"):
        open_checkpoint(folder)


def test_a_tensor_in_two_files_is_refused(folder: Path) -> None:
    shard(folder)
    twice = load_file(folder / "part-0.safetensors") | load_file(folder / "part-1.safetensors")
    save_file(twice, folder / "part-1.safetensors")
    with pytest.raises(ModelError, match=r"is also in part-0\.safetensors"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "file", ["../other.safetensors", "/etc/passwd", "a\\b.safetensors", "weights.bin", 3]
)
def test_an_index_may_only_name_safetensors_of_its_own_folder(folder: Path, file: object) -> None:
    (folder / WEIGHTS).rename(folder.parent / "other.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": file}}))
    with pytest.raises(ModelError, match=r"says that model\.norm\.weight is in .*, expected a"):
        open_checkpoint(folder)


def test_an_index_that_is_too_large_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(folder)
    monkeypatch.setattr(untrusted_files, "TEXT_BYTES", 100)
    with pytest.raises(ModelError, match="is larger than 100 bytes"):
        open_checkpoint(folder)


@pytest.mark.parametrize("text", ["[1]", "{", "{}", '{"weight_map": {}}', "[" * 100_000])
def test_an_index_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(text)
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json: "):
        open_checkpoint(folder)


def test_a_folder_without_weights_says_what_was_expected(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "other.safetensors")
    with pytest.raises(ModelError, match=r"found neither model\.safetensors nor .*index\.json"):
        open_checkpoint(folder)


def down_of(loaded: LoadedModel) -> tuple[str, Tensor]:
    path = loaded.layout.down.format(2)
    weight: Tensor = find_module(loaded.model, path).weight  # type: ignore[assignment]
    return path, weight


def test_a_modules_weight_is_found_by_its_content(tiny: LoadedModel) -> None:
    opened = open_checkpoint(find_model(tiny.id).folder)
    path, weight = down_of(tiny)
    assert opened.find(path, weight).name == f"{path}.weight"
    shorter = path.removeprefix("model.").removeprefix("transformer.")
    assert opened.find(f"other.{shorter}", weight).name == f"{path}.weight"


def test_a_weight_that_the_checkpoint_has_not_is_an_error(tiny_llama: LoadedModel) -> None:
    opened = open_checkpoint(find_model(tiny_llama.id).folder)
    path, weight = down_of(tiny_llama)
    with pytest.raises(ModelError, match=r"no tensor has the content of model\.layers\.2"):
        opened.find(path, weight + 1)
    with pytest.raises(ModelError, match=r"is torch\.float32, but was edited as torch\.bfloat16"):
        opened.find(path, weight.bfloat16())


def test_a_hub_model_that_is_not_here_comes_with_its_remedy() -> None:
    with pytest.raises(UnavailableError, match="run: hf download nobody/nothing --revision v1"):
        find_model("nobody/nothing", revision="v1", offline=True)


def test_a_pickled_checkpoint_is_refused_with_the_remedy(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"found pytorch_model\.bin.*convert with model\.save_pre"):
        find_model(str(folder))


def written_by_hand(path: Path, header: dict[str, Any] | bytes, data: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize("shape", [[2**60, 0], [0, 2**60], [0], [2**40, 0, 2**40]])
def test_an_empty_tensor_takes_no_time_whatever_its_shape_claims(
    folder: Path, shape: list[int]
) -> None:
    described = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
    written_by_hand(folder / WEIGHTS, {"empty": described})
    tensor = open_checkpoint(folder).tensors["empty"]
    assert list(tensor.chunks()) == []
    assert tensor.whole().shape == tuple(shape)
    assert tensor.sha256() == tensor.sha256_of([])


def test_a_header_is_read_once_however_many_tensors_there_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()

    def counted(name: str) -> Any:
        act = getattr(tensors, name)

        def call(*args: Any, **more: Any) -> Any:
            counts[name] += 1
            return act(*args, **more)

        return call

    for name in ("safe_open", "open_regular"):
        monkeypatch.setattr(tensors, name, counted(name))
    for many in (100, 200):
        save_file({str(n): torch.zeros(3, 2) for n in range(many)}, folder / WEIGHTS)
        counts.clear()
        for tensor in open_checkpoint(folder).tensors.values():
            assert sum(len(chunk) for chunk in tensor.chunks()) == 3
        assert counts == {"safe_open": 1, "open_regular": 1 + many}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b'{"a": {"dtype": "F32"', "is damaged or cut off"),
        ({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, "a is F4, expected one of"),
        (
            b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
            b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
            "is damaged or cut off",
        ),
    ],
)
def test_a_header_that_cannot_be_meant_is_refused(
    folder: Path, header: dict[str, Any] | bytes, said: str
) -> None:
    written_by_hand(folder / WEIGHTS, header, b"\0")
    with pytest.raises(ModelError, match=f"model.safetensors: {said}"):
        open_checkpoint(folder)


def test_a_header_that_is_too_large_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "TEXT_BYTES", 100)
    for size in (101, 202):
        written_by_hand(folder / WEIGHTS, b" " * size)
        with pytest.raises(ModelError, match=f"its header has {size} bytes, expected at most 100"):
            open_checkpoint(folder)


def test_a_file_that_is_cut_off_after_it_was_opened_is_an_error(folder: Path) -> None:
    tensor = open_checkpoint(folder).tensors["model.norm.weight"]
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[: tensor.start + 1])
    with pytest.raises(ModelError, match=r"model\.norm\.weight is cut off; fetch it again"):
        tensor.sha256()
