"""What is fetched of a hub model, what is known of the rest, and what is missing."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load, save
from transformers import dynamic_module_utils

from pytest_eac.cache.entries import CacheWarning
from pytest_eac.cache.kinds import LISTINGS, kept
from pytest_eac.errors import ModelError, UnavailableError
from pytest_eac.lm.identity import identify
from pytest_eac.lm.loading.find import find_model
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.loading.model_folder import INDEX, WEIGHTS
from tests.hub_server import COMMIT, ID, WANTED, Hub

if TYPE_CHECKING:
    from pathlib import Path

OTHER_FORMATS = {
    "consolidated.safetensors": WANTED[WEIGHTS],
    "model.fp16.safetensors": WANTED[WEIGHTS],
    "model-old/model.safetensors": WANTED[WEIGHTS],
    "pytorch_model.bin": b"a pickle",
    "pytorch_model.bin.index.json": b"{}",
    "onnx/model.onnx": b"onnx",
    "onnx/config.json": b"{}",
    "original/params.json": b"{}",
    "README.md": b"words",
    "requirements.txt": b"torch",
    "modeling_own.py": b"raise SystemExit",
}


def sharded(count: int = 3) -> dict[str, bytes]:
    """The tiny model with its weights in several files, which are not named as usual."""
    tensors = load(WANTED[WEIGHTS])
    placed = {name: f"part-{n % count}.safetensors" for n, name in enumerate(sorted(tensors))}
    parts = {
        file: save({name: tensors[name] for name in placed if placed[name] == file})
        for file in set(placed.values())
    }
    index = {INDEX: json.dumps({"metadata": {}, "weight_map": placed}).encode()}
    return {name: body for name, body in WANTED.items() if name != WEIGHTS} | parts | index


def test_only_what_transformers_reads_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.files |= OTHER_FORMATS
    loaded = load_model(ID, cache_dir=tmp_path)
    assert sorted(hub.fetched) == sorted(WANTED)
    assert loaded.revision == COMMIT


def test_of_a_sharded_model_the_files_of_its_index_are_fetched(hub: Hub, tmp_path: Path) -> None:
    wanted = sharded()
    hub.files = wanted | {"part-9.safetensors": b"not in the index"}
    whole = load_model(ID, cache_dir=tmp_path)
    assert sorted(hub.fetched) == sorted(wanted)
    hub.files = {}
    assert load_model(ID, cache_dir=tmp_path, offline=True).fingerprint == whole.fingerprint


def test_a_models_own_code_is_fetched_and_run_only_if_that_is_asked_for(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.path", [*sys.path])
    config = json.loads(hub.files["config.json"])
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_own.Own"}
    code = b"import transformers\n\nclass Own(transformers.LlamaForCausalLM):\n    own = True\n"
    hub.files |= {"config.json": json.dumps(config).encode(), "modeling_own.py": code}
    plain = load_model(ID, cache_dir=tmp_path)
    assert "modeling_own.py" not in hub.fetched
    own = load_model(ID, cache_dir=tmp_path, trust_remote_code=True)
    assert (hasattr(plain.model, "own"), own.model.own) == (False, True)
    assert COMMIT in identify(own)["class"]


def test_a_single_file_is_preferred_to_an_index(hub: Hub, tmp_path: Path) -> None:
    hub.files |= sharded()
    find_model(ID, cache_dir=tmp_path)
    assert sorted(hub.fetched) == sorted(WANTED)


def test_all_files_of_a_repository_are_known_offline_too(hub: Hub, tmp_path: Path) -> None:
    hub.files |= OTHER_FORMATS
    online = find_model(ID, cache_dir=tmp_path)
    hub.files = {}
    offline = find_model(ID, cache_dir=tmp_path, offline=True)
    assert offline == online
    assert offline.listed
    sizes = {each.name: each.size for each in offline.files}
    assert sizes == {name: len(body) for name, body in (WANTED | OTHER_FORMATS).items()}
    assert all(each.hash for each in offline.files)


def test_a_broken_list_is_not_used(hub: Hub, tmp_path: Path) -> None:
    find_model(ID, cache_dir=tmp_path)
    (entry,) = kept(tmp_path, LISTINGS)
    content = entry.path.read_bytes()
    entry.path.write_bytes(content.replace(b"tokenizer.json", b"tokenizes.json"))
    with pytest.warns(CacheWarning, match=entry.path.name):
        assert not find_model(ID, cache_dir=tmp_path, offline=True).listed


def test_without_its_list_a_repository_is_known_by_what_is_here(hub: Hub, tmp_path: Path) -> None:
    find_model(ID, cache_dir=tmp_path)
    shutil.rmtree(tmp_path / "listings")
    found = find_model(ID, cache_dir=tmp_path, offline=True)
    assert not found.listed
    assert {each.name for each in found.files} == set(WANTED)


@pytest.mark.parametrize("file", ["tokenizer.json", WEIGHTS])
def test_a_part_that_was_never_fetched_is_named(hub: Hub, tmp_path: Path, file: str) -> None:
    folder = find_model(ID, cache_dir=tmp_path).folder
    (folder / file).unlink()
    with pytest.raises(UnavailableError, match=rf"not complete.*{file}.*; run: hf download {ID}"):
        load_model(ID, cache_dir=tmp_path, offline=True)


def test_an_adapter_in_a_repository_is_refused_before_anything_is_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    hub.files |= {"adapter_config.json": b"{}", "adapter_model.safetensors": b""}
    with pytest.raises(ModelError, match=rf"{ID}: found an adapter .* beside full weights"):
        load_model(ID, cache_dir=tmp_path)
    del hub.files[WEIGHTS]
    with pytest.raises(ModelError, match=rf"{ID}: found an adapter and no full model"):
        load_model(ID, cache_dir=tmp_path)
    assert hub.fetched == []


def test_pickled_weights_of_a_repository_are_refused_by_their_names(
    hub: Hub, tmp_path: Path
) -> None:
    hub.files["pytorch_model.bin"] = hub.files.pop(WEIGHTS)
    with pytest.raises(ModelError, match=r"found pytorch_model\.bin, expected .*convert with"):
        load_model(ID, cache_dir=tmp_path)
    assert hub.fetched == []
