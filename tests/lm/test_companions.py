from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm import companions
from pytest_eac.lm.companions import compare_companions
from pytest_eac.lm.folder import (
    TEXT_BYTES,
    ListedFile,
    read_object,
    require_companions,
    require_model,
)
from tests.conftest import FIXTURES

BASE = FIXTURES / "tiny-llama"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BASE, tmp_path / "model"))


def rewrite(path: Path, **changes: Any) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(found | changes), encoding="utf-8")


def test_what_only_says_who_wrote_it_is_no_difference(folder: Path) -> None:
    rewrite(folder / "config.json", transformers_version="4.0.0", _name_or_path="elsewhere")
    rewrite(folder / "generation_config.json", transformers_version="4.0.0")
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    assert compare_companions(BASE, folder) == []


def test_a_default_that_is_left_out_is_no_difference(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["attention_bias"], config["hidden_act"]
    path.write_text(json.dumps(config))
    assert compare_companions(BASE, folder) == []


@pytest.mark.parametrize(
    ("file", "changes", "line"),
    [
        ("config.json", {"rms_norm_eps": 0.1}, "rms_norm_eps is 0.1, in the base 1e-06"),
        ("config.json", {"tie_word_embeddings": True}, "tie_word_embeddings is true, in the base"),
        (
            "config.json",
            {"rope_parameters": {"rope_theta": 5.0, "rope_type": "default"}},
            "rope_parameters.rope_theta is 5.0, in the base 10000.0",
        ),
        ("config.json", {"auto_map": {"AutoConfig": "x.C"}}, "auto_map is "),
        ("generation_config.json", {"eos_token_id": 7}, "eos_token_id is 7, in the base 1"),
        ("tokenizer_config.json", {"chat_template": "{{ x }}"}, "chat_template is "),
        ("tokenizer_config.json", {"eos_token": "<s>"}, "eos_token is "),
    ],
)
def test_a_value_that_differs_is_named_with_its_file(
    folder: Path, file: str, changes: dict[str, Any], line: str
) -> None:
    rewrite(folder / file, **changes)
    found = compare_companions(BASE, folder)
    assert any(each.startswith(f"{file}: {line}") for each in found), found


def test_two_words_that_change_places_in_the_vocabulary_are_seen(folder: Path) -> None:
    path = folder / "tokenizer.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = text["model"]["vocab"]
    one, two = list(vocabulary)[5:7]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    path.write_text(json.dumps(text), encoding="utf-8")
    found = compare_companions(BASE, folder)
    assert found
    assert all(line.startswith("tokenizer.json: model.vocab") for line in found)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_a_file_that_is_not_there_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert any(line.startswith(f"{file}: ") for line in compare_companions(BASE, folder))


def test_a_base_without_a_tokenizer_is_an_error(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError):
        compare_companions(folder, BASE)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "optimizer.pt", "x.pkl"])
def test_a_pickle_beside_the_weights_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"")
    (line,) = compare_companions(BASE, folder)
    assert line.startswith(f"{file}: is a pickle file")


def test_an_adapter_beside_the_weights_is_named(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    (line,) = compare_companions(BASE, folder)
    assert line.startswith("adapter_config.json: is an adapter")


TEMPLATE = "{%- for message in messages %}\n  {{- message.role }}: {{ message.content }}\n" * 3


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_of_a_chat_template_the_place_that_differs_is_shown_with_its_file(
    folder: Path, tmp_path: Path, file: str
) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    other = "role }}! {{".join(TEMPLATE.rsplit("role }}: {{", 1))
    for where, text in ((base, TEMPLATE), (folder, other)):
        if file == "chat_template.jinja":
            (where / file).write_text(text)
        else:
            rewrite(where / file, chat_template=text)
    (line,) = compare_companions(base, folder)
    column = other.splitlines()[5].index("!") + 1
    assert line.startswith(f"{file}: chat_template differs at line 6, column {column}: it is ...")
    now, was = line.split(", in the base ")
    assert "message.role }}! {{ message.content" in now
    assert "message.role }}: {{ message.content" in was


def test_a_chat_template_that_was_taken_away_is_named_by_the_bases_file(
    folder: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    (base / "chat_template.jinja").write_text("{{ messages }}")
    (line,) = compare_companions(base, folder)
    assert line.startswith('chat_template.jinja: chat_template is not there, in the base "{{ mess')


def test_of_a_long_value_the_part_that_differs_is_shown(folder: Path) -> None:
    rewrite(folder / "generation_config.json", bad_words_ids=[[n] for n in range(200)])
    base = folder.parent / "base"
    shutil.copytree(folder, base)
    rewrite(folder / "generation_config.json", bad_words_ids=[[n] for n in range(199)] + [[777]])
    (line,) = compare_companions(base, folder)
    assert "[777]]" in line
    assert "[199]]" in line


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers must not see these files: it fails the test if it does."""

    def fail(*_: Any, **__: Any) -> None:
        pytest.fail("transformers was given a file that cannot be meant")

    for name in ("AutoConfig", "AutoTokenizer"):
        monkeypatch.setattr(companions, name, SimpleNamespace(from_pretrained=fail))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_hidden_layers": 2_000_000_000}, "num_hidden_layers: 2,000,000,000"),
        ({"n_layer": 1_000_000}, "n_layer: 1,000,000"),
        ({"num_labels": 10_001}, "num_labels: 10,001"),
        ({"text_config": {"num_hidden_layers": 1e9}}, "num_hidden_layers: 1,000,000,000.0"),
        ({"parts": [{"n_routed_experts": 10_001}]}, "n_routed_experts: 10,001"),
    ],
)
@pytest.mark.usefixtures("unread")
def test_a_configuration_that_claims_too_many_parts_is_not_loaded(
    folder: Path, changes: dict[str, Any], named: str
) -> None:
    rewrite(folder / "config.json", **changes)
    said = f"config.json: found {named}, expected at most 10,000"
    assert compare_companions(BASE, folder) == [said]
    for act in (lambda: compare_companions(folder, BASE), lambda: require_model(folder)):
        with pytest.raises(ModelError) as raised:
            act()
        assert str(raised.value) == f"{folder}/{said}"


def test_as_many_layers_as_may_be_are_no_trouble(folder: Path) -> None:
    rewrite(folder / "config.json", num_hidden_layers=10_000, intermediate_size=20_000)
    require_companions(folder)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "merges.txt",
        "chat_template.jinja",
        "additional_chat_templates/tools.jinja",
    ],
)
@pytest.mark.usefixtures("unread")
def test_a_companion_that_is_too_large_is_not_read(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    with (folder / name).open("ab") as file:
        file.truncate(TEXT_BYTES + 1)
    (said,) = compare_companions(BASE, folder)
    expected = (
        "found 67,108,865 bytes, expected at most 67,108,864, which no such file of a model has"
    )
    assert said == f"{name}: {expected}"
    with pytest.raises(ModelError, match="found 67,108,865 bytes"):
        require_model(folder)
    assert read_object(folder / name) == {}


def test_code_that_is_not_the_bases_is_named(folder: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    for each in (base, folder):
        (each / "modeling_own.py").write_text("own = 1\n")
        rewrite(each / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", None]})
    assert compare_companions(base, folder) == []
    (folder / "modeling_own.py").write_text("own = 2\n")
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text("")
    rewrite(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["other.T", None]})
    (folder / "processor_config.json").write_text('{"auto_map": {"AutoProcessor": "x.P"}}')
    found = compare_companions(base, folder)
    assert [line.partition(": ")[0] for line in found] == [
        "custom_generate/generate.py",
        "modeling_own.py",
        "processor_config.json",
        "tokenizer_config.json",
    ]
    assert all("not run: release no code" in line for line in found)


def test_code_of_a_repository_is_known_by_its_hash(folder: Path) -> None:
    listed = [ListedFile(name=f"{n}.py", size=1, hash=n) for n in "ab"]
    base = [listed[0], ListedFile(name="b.py", size=1, hash="other")]
    (line,) = compare_companions(BASE, folder, listed, base)
    assert line.startswith("b.py: is code, which is not the base's")


def test_the_log_of_a_training_may_be_as_long_as_it_is(folder: Path) -> None:
    with (folder / "trainer_state.json").open("wb") as file:
        file.truncate(TEXT_BYTES + 1)
    require_model(folder)
