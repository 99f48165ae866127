"""Code of other repositories, which the package ``kernels`` would fetch, is not run."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from transformers.integrations import hub_kernels
from transformers.utils import import_utils

from benchmarks.fuzz import gguf, tiny
from pytest_eac.errors import ModelError
from pytest_eac.lm.loading import pretrained
from pytest_eac.lm.loading.kernels import no_kernels, require_own_code
from pytest_eac.lm.loading.load import load_model
from tests.files import set_keys, write_all

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for the package: the names of what transformers has fetched by it."""
    names: list[str] = []

    def fetch(name: str = "", *_: object, **more: object) -> ModuleType:
        names.append(str(more.get("repo_id", name)))
        raise ImportError("not fetched in tests")

    def installed(*_: str, **__: str) -> bool:
        return True

    package: Any = ModuleType("kernels")
    package.get_kernel = package.LayerRepository = fetch
    package.Mode = type("Mode", (), {"INFERENCE": 1})
    for name in ("kernelize", "register_kernel_mapping", "use_kernel_mapping"):
        setattr(package, name, fetch)
    monkeypatch.setitem(sys.modules, "kernels", package)
    monkeypatch.setattr(hub_kernels, "get_kernel_hub", fetch, raising=False)
    found = import_utils.is_kernels_available
    modules = [each for name, each in sys.modules.items() if name.startswith("transformers")]
    for module in modules:
        if vars(module).get("is_kernels_available") is found:
            monkeypatch.setattr(module, "is_kernels_available", installed)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest model."""
    return write_all(tmp_path / "model", tiny.files())


CHOSEN = [
    {"attn_implementation": "flash_attention_2"},
    {"_attn_implementation": "flash_attention_3"},
    {"attn_implementation": "org/kernel"},
    {"attn_implementation": "paged|sdpa"},
    {"text_config": {"_attn_implementation": {"": "a/b"}}},
    {"_attn_implementation_internal": {"vision_config": "flash_attention_2"}},
    {"experts_implementation": "deepgemm"},
    {"_experts_implementation_internal": "sonicmoe"},
    {"parts": [{"attn_implementation": ["sdpa"]}]},
]


@pytest.mark.parametrize("changes", CHOSEN, ids=str)
def test_an_implementation_of_others_is_named_and_not_fetched(
    folder: Path, fetched: list[str], changes: dict[str, Any]
) -> None:
    set_keys(folder / "config.json", **changes)
    with pytest.raises(
        ModelError, match=r"config\.json: found _?(attn|experts)_implementation.*run"
    ):
        load_model(str(folder), device="cpu")
    assert fetched == []


@pytest.mark.parametrize("own", ["eager", "sdpa", None, {"": "eager", "text_config": None}])
def test_the_implementations_of_transformers_itself_are_no_trouble(own: object) -> None:
    require_own_code("config.json", {"attn_implementation": own, "hidden_size": 8})


def test_quantized_weights_are_refused(folder: Path, fetched: list[str]) -> None:
    set_keys(folder / "config.json", quantization_config={"quant_method": "fp8"})
    with pytest.raises(ModelError, match=r"found quantization_config, .*cannot be edited"):
        load_model(str(folder), device="cpu")
    assert fetched == []


def test_what_gets_past_the_names_is_not_fetched_either(
    folder: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_keys(folder / "config.json", attn_implementation="flash_attention_2")
    monkeypatch.setattr(pretrained, "require_own_code", lambda *_: None)
    with pytest.raises(ModelError, match=r"cannot be read as config\.json says"):
        load_model(str(folder), device="cpu")
    assert fetched == []


def test_whoever_trusts_the_code_of_a_model_gets_its_kernels(
    folder: Path, fetched: list[str]
) -> None:
    set_keys(folder / "config.json", attn_implementation="flash_attention_2")
    with pytest.raises(ModelError, match=r"cannot be read as config\.json says"):
        load_model(str(folder), device="cpu", trust_remote_code=True)
    assert fetched


@pytest.mark.usefixtures("fetched")
def test_a_gguf_file_is_converted_without_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = [hub_kernels.is_kernels_available()]

    def convert(**_: object) -> None:
        found.append(hub_kernels.is_kernels_available())
        raise ModelError("seen enough")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", convert)
    (tmp_path / "x.gguf").write_bytes(gguf.sound())
    with pytest.raises(ModelError, match="seen enough"):
        load_model(str(tmp_path / "x.gguf"), device="cpu", cache_dir=tmp_path / "cache")
    assert found == [True, False]


def test_the_package_is_there_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    late: Any = ModuleType("transformers.late")
    monkeypatch.setitem(sys.modules, "transformers.late", late)
    found = import_utils.is_kernels_available
    with suppress(KeyError), no_kernels():
        assert not import_utils.is_kernels_available()
        late.is_kernels_available = import_utils.is_kernels_available
        raise KeyError
    assert import_utils.is_kernels_available is found
    assert late.is_kernels_available is found
