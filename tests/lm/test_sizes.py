"""A configuration cannot have more memory taken than its weights are worth."""

from __future__ import annotations

import json
import shutil
import struct
from typing import TYPE_CHECKING, Any

import pytest
from transformers import AutoConfig

from benchmarks.fuzz import gguf
from pytest_eac.errors import ModelError
from pytest_eac.lm.loading import config_limits, gguf_conversion, pretrained
from pytest_eac.lm.loading.config_limits import require_sizes
from pytest_eac.lm.loading.load import load_model
from tests.conftest import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

_SMALL = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 760}
_ROPE = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
_TABLES = "describes a model that computes tables of [0-9,]+ bytes"


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where transformers would make room for the model."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("room was made")

    for module in (gguf_conversion, pretrained):
        monkeypatch.setattr(module.AutoModelForCausalLM, "from_pretrained", fail)


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("tiny-gpt2", {"n_positions": 10_000_000}, "describes a model of 640,"),
        ("tiny-gpt2", {"vocab_size": 10**12}, "describes a model of 64,0"),
        ("tiny-llama", {"intermediate_size": 10**10}, "describes a model of 9,6"),
        ("tiny-llama", {"head_dim": 10**9}, "describes a model of "),
        (
            "tiny-llama",
            {"rope_parameters": {**_ROPE, "partial_rotary_factor": 1e9}},
            _TABLES,
        ),
    ],
    ids=str,
)
@pytest.mark.usefixtures("unloaded")
def test_no_room_is_made_for_more_than_the_weights_are(
    tmp_path: Path, model: str, changes: dict[str, Any], message: str
) -> None:
    folder = shutil.copytree(FIXTURES / model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(ModelError, match=rf"/model/config\.json: {message}"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gptj", {"n_positions": 10_000_000, "rotary_dim": 16, "n_embd": 64, "n_head": 4}),
        ("phi", {"partial_rotary_factor": 1e9}),
        ("gpt_neox", {"rotary_pct": 1e9}),
    ],
)
def test_tables_that_only_some_architectures_compute_are_counted(
    kind: str, changes: dict[str, Any]
) -> None:
    config = AutoConfig.for_model(kind, **{**_SMALL, **changes})
    with pytest.raises(ModelError, match=_TABLES):
        require_sizes("config.json", config, 2**25)


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", "phi", "qwen3"])
def test_positions_that_size_nothing_may_be_as_many_as_they_like(kind: str) -> None:
    require_sizes(
        "config.json", AutoConfig.for_model(kind, **_SMALL, max_position_embeddings=10**7), 2**25
    )


def test_only_what_is_out_of_all_proportion_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = AutoConfig.for_model(
        "llama", **_SMALL, intermediate_size=64, tie_word_embeddings=False, head_dim=16
    )
    numbers = 2 * 760 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 64 + 2 * 64) + 64
    monkeypatch.setattr(config_limits, "SPARE_NUMBERS", 100)
    require_sizes("config.json", config, (numbers - 100) // 2)
    with pytest.raises(ModelError, match=rf"describes a model of {numbers:,} numbers"):
        require_sizes("config.json", config, (numbers - 100) // 2 - 1)


def test_the_configuration_stays_as_it_is() -> None:
    config = AutoConfig.for_model("llama", **_SMALL)
    before = config.to_dict(), config._attn_implementation
    require_sizes("config.json", config, 2**30)
    assert (config.to_dict(), config._attn_implementation) == before


@pytest.mark.usefixtures("unloaded")
def test_no_room_is_made_for_more_than_a_gguf_file_has(tmp_path: Path) -> None:
    key = b"llama.feed_forward_length" + struct.pack("<I", 4)
    whole = gguf.sound()
    at = whole.index(key) + len(key)
    changed = whole[:at] + struct.pack("<I", 2**31 - 1) + whole[at + 4 :]
    (tmp_path / "x.gguf").write_bytes(changed)
    with pytest.raises(ModelError, match=r"x\.gguf: describes a model of [0-9,]+ numbers"):
        load_model(str(tmp_path / "x.gguf"), device="cpu", cache_dir=tmp_path / "cache")
