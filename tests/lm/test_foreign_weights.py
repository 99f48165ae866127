"""Weights that an index or a link would have read from elsewhere, or as a pickle: never read."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_eac.cli import main
from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.configuration import compare_companions
from pytest_eac.lm.loading.find import find_model, find_on_disk
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.loading.model_folder import CONFIG, INDEX, TEMPLATES, WEIGHTS
from pytest_eac.lm.loading.tensors import open_checkpoint
from tests.conftest import TINY_LLAMA
from tests.hub_server import ID, WANTED, Hub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def index_of(folder: Path, file: str) -> None:
    """Have an index in place of the single file say that all tensors are in ``file``."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(tensors, file)}))


def pickled(folder: Path) -> None:
    """All weights in a pickle that an index names, beside a file that is as it should be."""
    shutil.copy(folder / WEIGHTS, folder / "other.safetensors")
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    index_of(folder, "pytorch_model.bin")


def above(folder: Path) -> None:
    """The weights in the folder above."""
    shutil.copy(folder / WEIGHTS, folder.parent / "out.safetensors")
    index_of(folder, "../out.safetensors")


def absolute(folder: Path) -> None:
    """The weights at an absolute path."""
    shutil.copy(folder / WEIGHTS, folder.parent / "out.safetensors")
    index_of(folder, str(folder.parent / "out.safetensors"))


def linked_part(folder: Path) -> None:
    """A part of the weights that is a link out of the folder."""
    shutil.copy(folder / WEIGHTS, folder.parent / "out.safetensors")
    (folder / "part.safetensors").symlink_to("../out.safetensors")
    index_of(folder, "part.safetensors")


def linked(folder: Path) -> None:
    """The single file as such a link."""
    (folder / WEIGHTS).rename(folder.parent / "out.safetensors")
    (folder / WEIGHTS).symlink_to("../out.safetensors")


def linked_index(folder: Path) -> None:
    """The index as such a link."""
    shutil.copy(folder / WEIGHTS, folder / "part.safetensors")
    index_of(folder, "part.safetensors")
    (folder / INDEX).rename(folder.parent / INDEX)
    (folder / INDEX).symlink_to(f"../{INDEX}")


FOREIGN = (pickled, above, absolute, linked_part, linked, linked_index)
EXPECTED = r"expected a (file of the same folder|\.safetensors)"


@pytest.mark.parametrize("make", FOREIGN)
def test_weights_from_elsewhere_are_not_read(
    make: Callable[[Path], None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(folder)
    for read in (load_model, find_model):
        with pytest.raises(ModelError, match=EXPECTED):
            read(str(folder))
    with pytest.raises(ModelError, match=EXPECTED):
        find_on_disk(str(folder), revision=None, cache_dir=folder.parent)
    with pytest.raises(ModelError, match=EXPECTED):
        open_checkpoint(folder)  # by which the gate, exports and deltas read
    assert main(["apply", "deltas", str(folder), f"--out={folder.parent / 'new'}"]) == 1
    assert "expected a" in capsys.readouterr().err


COMPANIONS = ("config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja")


@pytest.mark.parametrize("name", [*COMPANIONS, f"{TEMPLATES}/other.jinja"])
@pytest.mark.parametrize("whole", [False, True])
def test_configuration_and_tokenizer_from_elsewhere_are_not_read(
    name: str, folder: Path, *, whole: bool
) -> None:
    outside = folder.parent / "outside" / name
    outside.parent.mkdir(parents=True)
    outside.write_text('{"secret": 1}')
    linked, target = folder / name, outside
    if whole and "/" in name:  # a link to the folder that the file is in
        linked, target = linked.parent, outside.parent
    linked.parent.mkdir(exist_ok=True)
    linked.unlink(missing_ok=True)
    linked.symlink_to(target)
    for read in (load_model, find_model):
        with pytest.raises(ModelError, match=f"{name}: is a link to .*, expected a file of the"):
            read(str(folder))
    lines = compare_companions(TINY_LLAMA, folder)  # of a release
    assert [line.partition(": ")[0] for line in lines] == [name]
    assert "secret" not in lines[0]


@pytest.mark.parametrize("file", ["pytorch_model.bin", "../out.safetensors", "/etc/passwd"])
def test_a_hub_model_whose_index_names_another_file_is_refused_before_its_weights_are_fetched(
    file: str, hub: Hub, tmp_path: Path
) -> None:
    index = json.dumps({"weight_map": {"model.norm.weight": file}}).encode()
    rest = {name: body for name, body in WANTED.items() if name != WEIGHTS}
    hub.files = rest | {INDEX: index, "pytorch_model.bin": b"a pickle", "a.safetensors": b""}
    for offline in (False, True):
        with pytest.raises(ModelError, match=EXPECTED):
            find_model(ID, cache_dir=tmp_path, offline=offline)
    assert "pytorch_model.bin" not in hub.fetched


def test_links_inside_a_folder_and_of_the_hubs_cache_are_followed(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "real.safetensors")
    (folder / WEIGHTS).symlink_to("real.safetensors")
    snapshot = folder.parent / "models--a--b" / "snapshots" / "abc"
    shutil.copytree(folder, snapshot)
    blob = snapshot.parents[1] / "blobs" / "1234"
    blob.parent.mkdir()
    (snapshot / WEIGHTS).rename(blob)
    (snapshot / WEIGHTS).symlink_to("../../blobs/1234")
    shutil.move(snapshot / CONFIG, blob.with_name("5678"))
    (snapshot / CONFIG).symlink_to("../../blobs/5678")
    (folder.parent / "name").symlink_to(folder)
    for place in (folder, snapshot, folder.parent / "name"):
        assert find_model(str(place)).folder == place
        assert open_checkpoint(place).files == (place / WEIGHTS,)


@pytest.mark.parametrize("part", [None, "text_config"])
@pytest.mark.parametrize(
    "keys",
    [
        {"attribute_map": {"transformers_weights": "file"}, "file": "other.safetensors"},
        {"attribute_map": {"num_hidden_layers": "n"}, "n": 10**9},
        {"to_dict": 1},
        {"get_text_config": {}},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_a_configuration_may_not_replace_parts_of_its_class(
    folder: Path, part: str | None, keys: dict[str, Any]
) -> None:
    zeros = {name: each * 0 for name, each in load_file(folder / WEIGHTS).items()}
    save_file(zeros, folder / "other.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | ({part: keys} if part else keys)))
    with pytest.raises(ModelError, match=f"found {next(iter(keys))}, which is a part of the prog"):
        load_model(str(folder))
    (line,) = compare_companions(TINY_LLAMA, folder)  # of a release
    assert line.startswith("config.json: found ")


def test_labels_may_have_any_names(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config |= {"label2id": {"update": 0, "attribute_map": 1}}
    (folder / CONFIG).write_text(json.dumps(config))
    load_model(str(folder))


@pytest.mark.parametrize("repository", ["dl", "models--a--b"])
def test_a_folder_called_snapshots_makes_no_other_folder_the_models_own(
    folder: Path, repository: str
) -> None:
    snapshot = folder.parent / repository / "snapshots" / "abc"
    shutil.copytree(folder, snapshot)
    private = snapshot.parents[1] / "private"
    private.mkdir()
    (snapshot / WEIGHTS).rename(private / WEIGHTS)
    (snapshot / WEIGHTS).symlink_to(f"../../private/{WEIGHTS}")
    for read in (open_checkpoint, lambda place: find_model(str(place))):
        with pytest.raises(ModelError, match="is a link to"):
            read(snapshot)


def test_a_configuration_may_not_have_an_index_read_in_place_of_the_single_file(
    folder: Path,
) -> None:
    tensors = load_file(folder / WEIGHTS)
    shutil.copy(folder / WEIGHTS, folder / "other.safetensors")
    index = {"weight_map": dict.fromkeys(tensors, "other.safetensors")}
    (folder / INDEX).write_text(json.dumps(index))
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps({**config, "transformers_weights": INDEX}))
    with pytest.raises(ModelError, match=rf"weights are read from {WEIGHTS}; save"):
        load_model(str(folder))
