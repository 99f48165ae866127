from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints import configuration, tokenizer_pair
from pytest_eac.lm.checkpoints.configuration import compare_companions
from pytest_eac.lm.checkpoints.contrast import differences
from pytest_eac.lm.loading.config_limits import require_companions
from pytest_eac.lm.loading.find import require_model
from pytest_eac.lm.loading.untrusted_files import TEXT_BYTES, read_object
from tests.conftest import FIXTURES, TINY_LLAMA
from tests.files import set_keys

BASE = TINY_LLAMA


def test_what_only_says_who_wrote_it_is_no_difference(folder: Path) -> None:
    set_keys(folder / "config.json", transformers_version="4.0.0", _name_or_path="elsewhere")
    set_keys(folder / "generation_config.json", transformers_version="4.0.0")
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    assert compare_companions(BASE, folder) == []


def test_templates_whose_names_are_no_texts_are_reported(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = [{"name": name, "template": "x"} for name in (0.5, "rag")]
    path.write_text(json.dumps(config))
    assert any("chat_template" in line for line in compare_companions(BASE, folder))


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
        ("config.json", {"attn_implementation": "eager"}, 'attn_implementation is "eager", in the'),
        ("config.json", {"_attn_implementation": "eager"}, 'attn_implementation is "eager"'),
        ("config.json", {"torch_dtype": "float16"}, 'torch_dtype is "float16", in the base not'),
        ("config.json", {"rope_theta": 5.0}, "rope_theta is 5.0, in the base not there"),
        ("config.json", {"temperature": 0.1}, "temperature is 0.1, in the base not there"),
        ("config.json", {"no_such_key": [1]}, "no_such_key is [1], in the base not there"),
        ("config.json", {"text_config": {"rms_norm_eps": 0.1}}, "text_config is "),
        ("generation_config.json", {"eos_token_id": 7}, "eos_token_id is 7, in the base 1"),
        ("generation_config.json", {"temperature": 0.1}, "temperature is 0.1, in the base 1.0"),
        ("generation_config.json", {"eos_token_id": True}, "eos_token_id is true, in the base 1"),
        ("generation_config.json", {"no_such_key": 1}, "no_such_key is 1, in the base not there"),
        ("tokenizer_config.json", {"chat_template": "{{ x }}"}, "chat_template is "),
        ("tokenizer_config.json", {"eos_token": "<s>"}, "eos_token is "),
        ("tokenizer_config.json", {"split_special_tokens": True}, "split_special_tokens is true"),
        ("tokenizer_config.json", {"padding_side": "left"}, 'padding_side is "left", in the base'),
        ("tokenizer_config.json", {"truncation_side": "left"}, 'truncation_side is "left"'),
        (
            "tokenizer_config.json",
            {"model_max_length": 4},
            "model_max_length is 4, in the base 128",
        ),
        ("tokenizer_config.json", {"model_input_names": ["input_ids"]}, "model_input_names is "),
        ("tokenizer_config.json", {"no_such_key": "x"}, 'no_such_key is "x", in the base not th'),
        ("tokenizer_config.json", {"tokenizer_class": "Other"}, 'tokenizer_class is "Other"'),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["x.T", None]}}, "auto_map is "),
        ("tokenizer_config.json", {"extra_special_tokens": ["The"]}, 'extra_special_tokens is ["T'),
    ],
)
def test_a_value_that_differs_is_named_with_its_file(
    folder: Path, file: str, changes: dict[str, Any], line: str
) -> None:
    set_keys(folder / file, **changes)
    found = compare_companions(BASE, folder)
    assert any(each.startswith(f"{file}: {line}") for each in found), found


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        (
            "special_tokens_map.json",
            '{"eos_token": "<s>"}',
            'eos_token is "<s>", in the base "</s>"',
        ),
        ("special_tokens_map.json", '{"other": "x"}', 'other is "x", in the base not there'),
        ("added_tokens.json", '{"<s>": 5}', "<s> is 5, in the base 0"),
        ("added_tokens.json", '{"<new>": 760}', "<new> is 760, in the base not there"),
        ("vocab.json", '{"<s>": 0}', "!"),
        (
            "merges.txt",
            "#version: 0.2\ne r\nq q\n",
            "differs from the base's merges, first in merge 2",
        ),
        ("chat_template.json", '{"chat_template": "x"}', 'chat_template is "x", in the base not'),
        ("generation_config.json", "[]", "found a list, expected a JSON object"),
        ("vocab.json", '{"<s>": 5, "<s>": 0}', "cannot be read: found the key '<s>' twice in an"),
    ],
)
def test_a_file_of_the_tokenizer_that_the_base_does_not_have_must_say_the_same(
    folder: Path, file: str, content: str, line: str
) -> None:
    (folder / file).write_text(content)
    found = compare_companions(BASE, folder)
    assert any(each.startswith(f"{file}: {line}") for each in found), found


def test_other_files_of_the_same_tokenizer_are_no_difference(folder: Path) -> None:
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = [each if isinstance(each, str) else " ".join(each) for each in model["merges"]]
    token = {"content": "</s>", "lstrip": False, "rstrip": False, "normalized": False}
    for name, content in (
        ("vocab.json", json.dumps(model["vocab"])),
        ("merges.txt", "\n".join(["#version: 0.2", *merges, ""])),
        ("added_tokens.json", '{"<s>": 0}'),
        ("special_tokens_map.json", json.dumps({"bos_token": "<s>", "eos_token": token})),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    assert compare_companions(BASE, folder) == []
    assert compare_companions(folder, BASE) == []


TWICE = [
    ("config.json", "{", '"rms_norm_eps": 0.1,', "rms_norm_eps"),
    ("generation_config.json", "{", '"eos_token_id": 7,', "eos_token_id"),
    ("tokenizer_config.json", "{", '"pad_token": "<s>",', "pad_token"),
    ("tokenizer.json", "{", '"normalizer": {"type": "Lowercase"},', "normalizer"),
    ("tokenizer.json", '"vocab": {', '"<s>": 5,', "<s>"),
    ("preprocessor_config.json", "{", '"size": 1,', "size"),
]


@pytest.mark.parametrize(("file", "after", "first", "key"), TWICE)
def test_a_key_that_is_given_twice_is_named_in_any_json_file(
    folder: Path, tmp_path: Path, file: str, after: str, first: str, key: str
) -> None:
    (folder / "preprocessor_config.json").write_text('{"size": 2}')
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    text = (folder / file).read_text(encoding="utf-8")
    (folder / file).write_text(text.replace(after, after + first, 1), encoding="utf-8")
    as_written = ["preprocessor_config.json"] if file.startswith("pre") else []
    (line,) = compare_companions(base, folder, as_written)
    assert line.startswith(f"{file}: cannot be read: found the key '{key}' twice in an object")
    shutil.copyfile(folder / file, base / file)
    if not as_written:
        assert compare_companions(base, folder) == []  # the base's own file


def test_a_key_of_the_tokenizer_that_loading_drops_must_be_the_bases(
    folder: Path, tmp_path: Path
) -> None:
    path = folder / "tokenizer.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    text["added_tokens"][0]["lstripped"] = True
    text["pre_tokenizer"]["evil"] = 1
    path.write_text(json.dumps(text), encoding="utf-8")
    assert compare_companions(BASE, folder) == [
        "tokenizer.json: added_tokens.0.lstripped is true, in the base not there",
        "tokenizer.json: pre_tokenizer.evil is 1, in the base not there",
    ]
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    path.write_text(json.dumps(text, indent=1), encoding="utf-8")
    assert compare_companions(base, folder) == []


def test_a_file_that_is_nested_too_deeply_is_named(folder: Path) -> None:
    set_keys(folder / "config.json", x=json.loads("[" * 40 + "]" * 40))
    (line,) = compare_companions(BASE, folder)
    assert line.startswith("config.json: cannot be read: found lists and objects nested deeper")


@pytest.mark.parametrize("key", ["is_local", "transformers_version", "name_or_path"])
def test_a_token_that_is_called_like_a_harmless_key_counts(folder: Path, key: str) -> None:
    path = folder / "tokenizer.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    text["model"]["vocab"][key] = 760
    path.write_text(json.dumps(text), encoding="utf-8")
    (line,) = compare_companions(BASE, folder)
    assert line == f"tokenizer.json: model.vocab.{key} is 760, in the base not there"


def test_a_harmless_key_is_harmless_in_a_configuration_alone(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    set_keys(base / "config.json", text_config={"model_type": "llama", "x": 1}, own={"x": 1})
    shutil.copyfile(base / "config.json", folder / "config.json")
    set_keys(folder / "config.json", text_config={"model_type": "llama", "x": 1, "is_local": 2})
    assert compare_companions(base, folder) == []
    set_keys(folder / "config.json", own={"x": 1, "is_local": 2})
    (line,) = compare_companions(base, folder)
    assert line == "config.json: own.is_local is 2, in the base not there"


@pytest.mark.parametrize("value", [{"auto_map": {"AutoModel": "x.X"}}, ["x"]])
def test_what_a_harmless_key_holds_counts_if_it_has_parts(folder: Path, value: Any) -> None:
    set_keys(folder / "generation_config.json", name_or_path=value)
    assert any("name_or_path" in line for line in compare_companions(BASE, folder))


def test_a_harmless_key_counts_where_a_file_is_no_configuration(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    name = "encoder.json"
    for each, number in ((base, 1), (folder, 2)):
        (each / name).write_text(json.dumps({"is_local": number}))
    assert compare_companions(base, folder, [name]) == [f"{name}: is_local is 2, in the base 1"]


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [
        ({"eos_token_id": 1}, {"eos_token_id": 1.0}, False),
        ({"suppress_tokens": [1]}, {"suppress_tokens": [True]}, False),
        ({"eos_token_id": [1, 2]}, {"eos_token_id": [1, 2.0]}, False),
        ({"temperature": 1}, {"temperature": 1.0}, True),
        ({"x": {str(n): n for n in range(2000)}}, {"x": {str(n): n for n in range(2001)}}, False),
        ({"x": {}}, {"x": {str(n): None for n in range(2000)}}, True),  # null is an absent key
    ],
)
def test_numbers_are_the_same_where_every_reader_takes_them_so(
    was: dict[str, Any], now: dict[str, Any], *, same: bool
) -> None:
    assert (list(differences(was, now)) == []) == same


BOS = {"content": "<s>", "lstrip": False, "rstrip": False, "single_word": False}


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize(
    ("more", "same"),
    [
        ({}, True),
        ({"normalized": False, "special": True}, True),
        ({"lstrip": True}, False),
        ({"rstrip": True}, False),
        ({"normalized": True}, False),
        ({"special": False}, False),
        ({"evil": 1}, False),
    ],
)
def test_a_special_token_has_the_flags_of_the_vocabulary(
    folder: Path, file: str, more: dict[str, Any], *, same: bool
) -> None:
    (folder / "special_tokens_map.json").write_text("{}")
    kind = {"__type": "AddedToken"} if file == "tokenizer_config.json" else {}
    set_keys(folder / file, bos_token=BOS | kind | more)
    lines = [line.partition(" is ")[0] for line in compare_companions(BASE, folder)]
    assert lines == ([] if same else [f"{file}: bos_token"])


def test_a_special_token_may_have_the_flags_that_the_bases_files_give_it(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    set_keys(
        base / "tokenizer_config.json", bos_token=BOS | {"__type": "AddedToken", "lstrip": True}
    )
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"bos_token": BOS | {"lstrip": True}})
    )
    assert compare_companions(base, folder) == []


def test_an_added_token_that_says_more_is_named(folder: Path) -> None:
    flags = BOS | {"normalized": False, "special": True}
    set_keys(folder / "tokenizer_config.json", added_tokens_decoder={"0": flags})
    assert compare_companions(BASE, folder) == []
    set_keys(folder / "tokenizer_config.json", added_tokens_decoder={"0": flags | {"evil": 1}})
    (line,) = compare_companions(BASE, folder)
    assert line.startswith("tokenizer_config.json: added_tokens_decoder.0 is ")


def test_chat_templates_of_one_name_are_named(folder: Path) -> None:
    templates = [{"name": "default", "template": GOOD}, {"name": "rag", "template": GOOD}]
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    set_keys(base / "tokenizer_config.json", chat_template=templates)
    twice = [{"name": "rag", "template": EVIL}, *templates]
    set_keys(folder / "tokenizer_config.json", chat_template=twice)
    (line,) = compare_companions(base, folder)
    assert line.startswith("tokenizer_config.json: chat_template is ")


def test_a_value_that_a_newer_file_overrules_must_still_be_the_bases(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    for each in (base, folder):
        (each / "chat_template.jinja").write_text("{{ messages }}")
    set_keys(folder / "tokenizer_config.json", chat_template="{{ messages }}")
    assert compare_companions(base, folder) == []
    set_keys(folder / "tokenizer_config.json", chat_template="{{ other }}")
    (line,) = compare_companions(base, folder)
    assert line.startswith('tokenizer_config.json: chat_template is "{{ other }}", in the base not')


def test_generation_parameters_in_the_configuration_are_named(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    for each in (base, folder):
        (each / "generation_config.json").unlink()
    set_keys(folder / "config.json", temperature=0.1)
    found = compare_companions(base, folder)
    assert "config.json: temperature is 0.1, in the base not there" in found
    assert "generation_config.json: temperature is 0.1, in the base 1.0" in found


def test_what_generation_takes_from_the_configuration_may_be_written_out(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    (base / "generation_config.json").unlink()
    assert compare_companions(base, folder) == []
    assert compare_companions(folder, base) == []


def test_older_names_of_keys_are_no_difference(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["torch_dtype"] = config.pop("dtype")
    config |= {"rope_theta": config.pop("rope_parameters")["rope_theta"], "rope_scaling": None}
    path.write_text(json.dumps(config))
    assert compare_companions(BASE, folder) == []
    assert compare_companions(folder, BASE) == []


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "LlamaTokenizer", "Qwen2Tokenizer"])
def test_what_saving_a_tokenizer_adds_is_no_difference(tmp_path: Path, kind: str) -> None:
    base = Path(shutil.copytree(FIXTURES / "tiny-gpt2", tmp_path / "base"))
    set_keys(base / "tokenizer_config.json", tokenizer_class=kind, chat_template=TEMPLATE)
    folder = Path(shutil.copytree(base, tmp_path / "model"))
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    assert compare_companions(base, folder) == []


def test_a_model_that_is_saved_again_has_no_differences(tmp_path: Path) -> None:
    base = FIXTURES / "tiny-gpt2"
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    assert compare_companions(base, tmp_path) == []
    assert compare_companions(tmp_path, base) == []


def test_other_json_files_that_both_have_are_compared_as_they_are_written(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    name = "preprocessor_config.json"
    for each, size in ((base, 1), (folder, 2)):
        (each / name).write_text(json.dumps({"size": {"h": size}, "transformers_version": size}))
    assert compare_companions(base, folder, [name]) == [f"{name}: size.h is 2, in the base 1"]
    set_keys(folder / name, size={"h": 1}, auto_map={"AutoProcessor": "x.P"})
    (line,) = compare_companions(base, folder, [name])
    assert line.endswith("; it names code, which was not run: release no code")


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
            set_keys(where / file, chat_template=text)
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


GOOD, EVIL = "good {{ messages }}", "evil {{ messages }}"


@pytest.mark.parametrize(
    ("was", "now", "named"),
    [
        # A template in the folder of additional ones overrules the file beside it as it loads.
        (
            {"chat_template.jinja": GOOD},
            {"chat_template.jinja": EVIL, "additional_chat_templates/default.jinja": GOOD},
            "chat_template.jinja",
        ),
        (
            {"chat_template.jinja": GOOD},
            {"chat_template.jinja": GOOD, "additional_chat_templates/default.jinja": EVIL},
            "additional_chat_templates/default.jinja",
        ),
        # So does one of this name, by the way that transformers keeps the files' places.
        (
            {"chat_template.jinja": GOOD},
            {"chat_template.jinja": EVIL, "additional_chat_templates/file.jinja": GOOD},
            "chat_template.jinja",
        ),
        ({}, {"chat_template.jinja": ""}, "chat_template.jinja"),
    ],
)
def test_each_chat_template_is_compared_as_it_is_written(
    folder: Path, tmp_path: Path, was: dict[str, str], now: dict[str, str], named: str
) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    for each, files in ((base, was), (folder, now)):
        (each / "additional_chat_templates").mkdir()
        for name, text in files.items():
            (each / name).write_text(text)
    assert named in [line.partition(": ")[0] for line in compare_companions(base, folder)]
    assert compare_companions(folder, folder) == []


def test_a_chat_template_may_move_to_a_file_of_its_own(folder: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    text = "{{ messages }}\n{{ tools }}\n"
    set_keys(base / "tokenizer_config.json", chat_template=text)
    (folder / "chat_template.jinja").write_bytes(text.replace("\n", "\r\n").encode())
    assert compare_companions(base, folder) == []
    assert compare_companions(folder, base) == []


def test_an_empty_chat_template_is_named(folder: Path) -> None:
    set_keys(folder / "tokenizer_config.json", chat_template="")
    (line,) = compare_companions(BASE, folder)
    assert line == 'tokenizer_config.json: chat_template is "", in the base not there'


def test_of_a_long_value_the_part_that_differs_is_shown(folder: Path) -> None:
    set_keys(folder / "generation_config.json", bad_words_ids=[[n] for n in range(200)])
    base = folder.parent / "base"
    shutil.copytree(folder, base)
    set_keys(folder / "generation_config.json", bad_words_ids=[[n] for n in range(199)] + [[777]])
    (line,) = compare_companions(base, folder)
    assert "[777]]" in line
    assert "[199]]" in line


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers must not see these files: it fails the test if it does."""

    def fail(*_: Any, **__: Any) -> None:
        pytest.fail("transformers was given a file that cannot be meant")

    for module, name in ((configuration, "AutoConfig"), (tokenizer_pair, "AutoTokenizer")):
        monkeypatch.setattr(module, name, SimpleNamespace(from_pretrained=fail))


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
    set_keys(folder / "config.json", **changes)
    said = f"config.json: found {named}, expected at most 10,000"
    assert compare_companions(BASE, folder) == [said]
    for act in (lambda: compare_companions(folder, BASE), lambda: require_model(folder)):
        with pytest.raises(ModelError) as raised:
            act()
        assert str(raised.value) == f"{folder}/{said}"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"configuration_files": ["config.4.0.0.json"]}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["tokenizer.4.0.0.json"]}),
        ("tokenizer_config.json", {"vocab": "/etc/vocab.json", "merges": "/etc/merges.txt"}),
    ],
)
@pytest.mark.usefixtures("unread")
def test_no_key_has_files_read_that_are_not_checked(
    folder: Path, name: str, changes: dict[str, Any]
) -> None:
    set_keys(folder / name, **changes)
    said = f"{name}: found {sorted(changes)[0]}, by which other files are read"
    assert compare_companions(BASE, folder)[0].startswith(said)
    with pytest.raises(ModelError, match=said):
        require_model(folder)


def test_as_many_layers_as_may_be_are_no_trouble(folder: Path) -> None:
    set_keys(folder / "config.json", num_hidden_layers=10_000, intermediate_size=20_000)
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


def test_the_log_of_a_training_may_be_as_long_as_it_is(folder: Path) -> None:
    with (folder / "trainer_state.json").open("wb") as file:
        file.truncate(TEXT_BYTES + 1)
    require_model(folder)
