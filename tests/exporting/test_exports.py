from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from pytest_eac import load_spec
from pytest_eac.cli import main
from pytest_eac.errors import EditError, ModelError, RecordError
from pytest_eac.exporting.deltas import between, put
from pytest_eac.exporting.export import export_chain
from pytest_eac.exporting.whole import write_model
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.loading.model_folder import INDEX, TEMPLATES, list_tree
from pytest_eac.lm.loading.tensors import fingerprint_of, open_checkpoint
from pytest_eac.lm.weights import fingerprint
from pytest_eac.measuring.checkpoint_diff import compare_checkpoints
from pytest_eac.measuring.release import read_manifest
from pytest_eac.records.manifest import manifest_from_json, manifest_to_json
from tests.conftest import TINY_LLAMA, WORLD

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.manifest import Form, Manifest
    from pytest_eac.spec.spec import Spec

METHODS = {
    "low": "{base: rome, layers: [1], contexts: {texts: ['{}']}, value: {steps: 5}}",
    "many": "{base: memit, layers: [1, 2], contexts: {texts: ['{}']}, value: {steps: 5},"
    " covariance: {corpus: CORPUS, ridge: 1}}",
    "full": "{base: ft, layers: [1], update: {steps: 3}}",
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    folder = tmp_path_factory.mktemp("spec")
    corpus = folder / "corpus.txt"
    corpus.write_text("\n\n".join(f"The bell rang {n} times." for n in range(40)), encoding="utf-8")
    methods = (
        json.dumps(METHODS).replace('"{', "{").replace('}"', "}").replace("CORPUS", str(corpus))
    )
    path = folder / "facts.eac.yaml"
    path.write_text(
        f"eac: 1\nmethods: [{methods}]\n"
        f"edits: [{{from: {WORLD}, format: jsonl, take: 3}}]\n"
        "checks: {efficacy: {min: 0.0}, changed: {}}\n",
        encoding="utf-8",
    )
    return load_spec(path)


def export(
    loaded: LoadedModel, spec: Spec, out: Path, form: Form, method: str = "low", **more: Any
) -> Manifest:
    (chosen,) = spec.with_methods((method,)).methods
    manifest = export_chain(loaded, spec, chosen, out, form=form, **more)
    assert manifest_from_json((out / "edit-manifest.json").read_text()) == manifest
    assert manifest.form == form
    assert [each.check for each in manifest.verdicts] == ["efficacy"]
    assert [each.target for each in manifest.edits] == [each.target for each in spec.edits]
    return manifest


def in_files(folder: Path) -> str:
    return fingerprint_of(open_checkpoint(folder).hashes())


def logits(model: Any, loaded: LoadedModel) -> torch.Tensor:
    ids = loaded.tokenizer("Odalys Ardwick was born in", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids).logits
    return found


@pytest.mark.parametrize("method", ["many", "full"])
def test_a_model_loads_with_plain_transformers_and_has_the_edited_weights(
    tiny: LoadedModel, spec: Spec, tmp_path: Path, method: str
) -> None:
    before = fingerprint(tiny.model)
    manifest = export(tiny, spec, tmp_path / "out", "model", method)
    assert fingerprint(tiny.model) == before
    assert in_files(Path(tiny.id)) == manifest.base.fingerprint
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert fingerprint(found) != before
    assert in_files(tmp_path / "out") == manifest.edited_fingerprint
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {path.name for path in Path(tiny.id).iterdir()} | {
        "edit-manifest.json",
        "README.md",
    }
    for name in ("tokenizer.json", "config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (Path(tiny.id) / name).read_bytes()


@pytest.mark.parametrize("method", ["low", "full"])
def test_deltas_are_added_and_taken_away_bit_for_bit(
    tiny: LoadedModel, spec: Spec, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = export(tiny, spec, tmp_path / "out", "deltas", method)
    for source, name, more, expected in (
        (tiny.id, "edited", (), manifest.edited_fingerprint),
        (tmp_path / "edited", "base", ("--reverse",), manifest.base.fingerprint),
    ):
        folder = tmp_path / name
        assert main(["apply", str(tmp_path / "out"), str(source), "--out", str(folder), *more]) == 0
        assert "exactly" in capsys.readouterr().out
        assert in_files(folder) == expected
    weights, restored = (load_file(each / "model.safetensors") for each in (Path(tiny.id), folder))
    assert all(torch.equal(weights[name], restored[name]) for name in weights)
    promised = read_manifest(tmp_path / "edited")
    assert promised == replace(manifest, form="model", files={})
    assert not (tmp_path / "base" / "edit-manifest.json").exists()


@pytest.mark.parametrize("method", ["low", "full"])
def test_the_factors_alone_give_the_edited_weights_up_to_rounding(
    tiny: LoadedModel, spec: Spec, tmp_path: Path, method: str
) -> None:
    export(tiny, spec, tmp_path / "model", "model", method)
    export(tiny, spec, tmp_path / "out", "deltas", method)
    small = load_file(tmp_path / "out" / "deltas.safetensors")
    if method == "low":
        assert sorted(name.rpartition(".")[2] for name in small) == ["left", "right"]
        assert {min(each.shape) for each in small.values()} == {3}
    (tmp_path / "out" / "exact.safetensors").unlink()
    arguments = ["apply", str(tmp_path / "out"), tiny.id, "--out"]
    assert main([*arguments, str(tmp_path / "edited")]) == 0
    one, two = (load_file(tmp_path / each / "model.safetensors") for each in ("model", "edited"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-6)
    assert main([*arguments, str(tmp_path / "back"), "--reverse"]) == 1


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(width=16), st.floats(width=16)), min_size=1, max_size=20),
    st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]),
)
def test_any_two_tensors_lead_to_one_another(
    pairs: list[tuple[float, float]], dtype: torch.dtype
) -> None:
    before, after = (torch.tensor(side, dtype=dtype) for side in zip(*pairs, strict=True))
    exact = between(before, after)
    forward, back = put(before, exact, reverse=False), put(after, exact, reverse=True)
    assert torch.equal(forward.view(torch.uint8), after.view(torch.uint8))
    assert torch.equal(back.view(torch.uint8), before.view(torch.uint8))


EDITED = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def exported(tiny_llama: LoadedModel, spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deltas, which a test must not change."""
    out = tmp_path_factory.mktemp("exported") / "deltas"
    export(tiny_llama, spec, out, "deltas")
    return out


@pytest.fixture
def deltas(exported: Path, tmp_path: Path) -> Path:
    """A copy of them for one test."""
    return Path(shutil.copytree(exported, tmp_path / "deltas"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (EDITED, f"{EDITED} is not that of the unedited model"),
        ("model.norm.weight", "a tensor that was not edited is not that of the unedited model"),
    ],
)
@pytest.mark.parametrize("exact", [True, False])
def test_deltas_for_another_model_are_refused(
    tiny_llama: LoadedModel,
    deltas: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    said: str,
    *,
    exact: bool,
) -> None:
    if not exact:
        (deltas / "exact.safetensors").unlink()
    other = Path(shutil.copytree(tiny_llama.id, tmp_path / "other"))
    tensors = load_file(other / "model.safetensors")
    tensors[name].view(-1)[0] += 1
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    arguments = ["apply", str(deltas), str(other), "--out", str(tmp_path / "edited")]
    assert main(arguments) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "edited").exists()


def test_deltas_are_not_taken_away_from_another_model(
    tiny_llama: LoadedModel, deltas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["apply", str(deltas)]
    assert main([*arguments, tiny_llama.id, "--out", str(tmp_path / "edited")]) == 0
    tensors = load_file(tmp_path / "edited" / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, tmp_path / "edited" / "model.safetensors", metadata={"format": "pt"})
    back = [*arguments, str(tmp_path / "edited"), "--out", str(tmp_path / "base"), "--reverse"]
    assert main(back) == 1
    assert "a tensor that was not edited is not that of the edited model" in capsys.readouterr().err


def test_a_manifest_that_states_another_result_is_refused(
    tiny_llama: LoadedModel, deltas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read_manifest(deltas)
    lied = replace(manifest, edited_fingerprint=manifest.base.fingerprint)
    (deltas / "edit-manifest.json").write_text(manifest_to_json(lied), encoding="utf-8")
    arguments = ["apply", str(deltas), tiny_llama.id, "--out", str(tmp_path / "edited")]
    assert main(arguments) == 1
    assert "edit-manifest.json: contradicts itself" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes")
@pytest.mark.parametrize("file", ["exact.safetensors", "edit-manifest.json"])
def test_a_pipe_in_place_of_a_file_is_an_error_and_not_waited_for(
    tiny_llama: LoadedModel,
    deltas: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
) -> None:
    (deltas / file).unlink()
    os.mkfifo(deltas / file)
    arguments = ["apply", str(deltas), tiny_llama.id, "--out", str(tmp_path / "edited")]
    assert main(arguments) == 1
    assert f"{file}: cannot be read: is a pipe" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["exact.safetensors", "edit-manifest.json"])
def test_deltas_that_were_tampered_with_are_refused(
    tiny_llama: LoadedModel,
    deltas: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
) -> None:
    path = deltas / file
    content = path.read_bytes()
    lied = content.replace(b'"after": "', b'"after": "0')
    path.write_bytes(lied if lied != content else content[:-1] + bytes([content[-1] ^ 1]))
    arguments = ["apply", str(deltas), tiny_llama.id, "--out", str(tmp_path / "edited")]
    assert main(arguments) == 1
    assert file in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("method", ["low", "many"])
def test_an_adapter_loads_with_peft_and_answers_as_the_edited_model(
    tiny: LoadedModel, spec: Spec, tmp_path: Path, method: str
) -> None:
    import peft

    export(tiny, spec, tmp_path / "model", "model", method)
    manifest = export(tiny, spec, tmp_path / "lora", "lora", method)
    assert manifest.error < 1e-6
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    base = AutoModelForCausalLM.from_pretrained(tiny.id)
    assert not torch.allclose(logits(base, tiny), logits(whole, tiny), atol=1e-2)
    adapted = peft.PeftModel.from_pretrained(base, tmp_path / "lora")
    torch.testing.assert_close(logits(adapted, tiny), logits(whole, tiny), rtol=1e-3, atol=1e-3)
    merged = adapted.merge_and_unload()
    for name in manifest.changed:
        one, two = merged.state_dict()[name], whole.state_dict()[name]
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


def test_an_adapter_of_too_low_a_rank_states_its_error(
    tiny_llama: LoadedModel, spec: Spec, tmp_path: Path
) -> None:
    manifest = export(tiny_llama, spec, tmp_path / "lora", "lora", "full", rank=2)
    state = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    (left,) = (each for name, each in state.items() if "lora_B" in name)
    (right,) = (each for name, each in state.items() if "lora_A" in name)
    assert left.shape == (64, 2)
    export(tiny_llama, spec, tmp_path / "model", "model", "full")
    name = "model.layers.1.mlp.down_proj.weight"
    after, before = (
        load_file(folder / "model.safetensors")[name].double()
        for folder in (tmp_path / "model", Path(tiny_llama.id))
    )
    u, s, vt = torch.linalg.svd(after - before)
    nearest = (u[:, :2] * s[:2]) @ vt[:2]
    torch.testing.assert_close((left @ right).double(), nearest, rtol=0, atol=1e-6)
    merged = (before.float() + left @ right).double()
    error = float((merged - after).abs().max())
    assert manifest.error == error
    assert error > 1e-6
    assert f"the edited model's: {error:.3g}." in (tmp_path / "lora" / "README.md").read_text()


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_the_error_of_an_adapter_is_that_of_the_merged_weights_in_the_bases_type(
    tiny_llama: LoadedModel, spec: Spec, tmp_path: Path
) -> None:
    import peft

    half = str(tmp_path / "half")
    tiny = AutoModelForCausalLM.from_pretrained(tiny_llama.id, dtype=torch.bfloat16)
    tiny.save_pretrained(half)
    tiny_llama.tokenizer.save_pretrained(half)
    base = load_model(half)
    manifest = export(base, spec, tmp_path / "lora", "lora")
    export(base, spec, tmp_path / "model", "model")
    adapted = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(half), tmp_path / "lora", autocast_adapter_dtype=False
    )
    name = "model.layers.1.mlp.down_proj.weight"
    merged = adapted.merge_and_unload().state_dict()[name]
    edited = load_file(tmp_path / "model" / "model.safetensors")[name]
    assert merged.dtype == edited.dtype == torch.bfloat16
    assert float((merged.double() - edited.double()).abs().max()) == manifest.error > 1e-4


def test_an_export_that_fails_leaves_nothing(
    tiny_llama: LoadedModel, spec: Spec, tmp_path: Path
) -> None:
    (chosen,) = spec.with_methods(("low",)).methods
    with pytest.raises(EditError):
        export_chain(tiny_llama, _unknown(spec), chosen, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_base_that_is_cut_off_meanwhile_is_an_error(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TINY_LLAMA, tmp_path / "base"))
    base = open_checkpoint(folder)
    (weights,) = base.files
    tensors = load_file(weights)
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size - 100)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=r"model\.safetensors: is damaged or cut off"):
        write_model(base, tensors, tmp_path / "out")


def test_every_file_that_the_base_is_read_from_is_written(tmp_path: Path) -> None:
    base = Path(shutil.copytree(TINY_LLAMA, tmp_path / "base"))
    (base / TEMPLATES).mkdir()
    for name in (f"{TEMPLATES}/tools.jinja", "ids.tiktoken", "LICENSE", "vocab.txt"):
        (base / name).write_text("x", encoding="utf-8")
    for name in ("model.sig", "modeling.py", "edit-manifest.json"):  # not of the copy, or code
        (base / name).write_text("x", encoding="utf-8")
    write_model(open_checkpoint(base), {}, empty(tmp_path / "out"))
    missing = {each.name for each in list_tree(base)} - {
        each.name for each in list_tree(tmp_path / "out")
    }
    assert missing == {"model.sig", "modeling.py", "edit-manifest.json"}


def test_an_export_has_all_that_its_gate_compares(tmp_path: Path) -> None:
    base = Path(shutil.copytree(TINY_LLAMA, tmp_path / "base"))
    (base / TEMPLATES).mkdir()
    for name in ("chat_template.jinja", f"{TEMPLATES}/rag.jinja", f"{TEMPLATES}/default.jinja"):
        (base / name).write_text(f"{name} {{{{ messages }}}}", encoding="utf-8")
    for name in ("special_tokens_map.json", "added_tokens.json", "preprocessor_config.json"):
        (base / name).write_text("{}", encoding="utf-8")
    tensors = load_file(base / "model.safetensors")
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt", "by": "x"})
    (base / INDEX).write_text(
        json.dumps({"weight_map": dict.fromkeys(tensors, "model.safetensors")}), encoding="utf-8"
    )
    write_model(open_checkpoint(base), {EDITED: tensors[EDITED] + 1}, empty(tmp_path / "out"))
    found = compare_checkpoints(base, tmp_path / "out")
    assert (found.troubles, found.extra) == ((), ())
    assert [each.name for each in found.differences] == [EDITED]


@pytest.mark.parametrize("name", ["notes.txt", "LICENSE", "preprocessor_config.json"])
def test_no_file_from_outside_the_base_is_written(tmp_path: Path, name: str) -> None:
    base = Path(shutil.copytree(TINY_LLAMA, tmp_path / "base"))
    (tmp_path / "secret").write_text("password", encoding="utf-8")
    (base / name).symlink_to("../secret")
    with pytest.raises(ModelError, match=f"{name}: is a link to"):
        write_model(open_checkpoint(base), {}, empty(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _unknown(spec: Spec) -> Spec:
    """An edit that is longer than the model takes."""
    edit = replace(spec.edits[0], prompt=spec.edits[0].prompt + " very" * 500)
    return replace(spec, edits=(edit,), checkpoints=(1,))


def test_a_folder_that_is_taken_is_refused_before_any_work(
    tiny_llama: LoadedModel, spec: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    (chosen,) = spec.with_methods(("low",)).methods
    with pytest.raises(RecordError, match="is there already; give a folder that is new or empty"):
        export_chain(tiny_llama, spec, chosen, tmp_path)
    arguments = ["export", str(spec.file), "--model", tiny_llama.id, "--out", str(tmp_path)]
    assert main([*arguments, "--method", "low"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_model_edited_in_another_type_is_not_exported(spec: Spec, tmp_path: Path) -> None:
    loaded = load_model(str(TINY_LLAMA), dtype="bfloat16")
    (chosen,) = spec.with_methods(("full",)).methods
    with pytest.raises(ModelError, match=r"was edited as torch\.bfloat16; edit it in its own type"):
        export_chain(loaded, spec, chosen, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_exports_one_chain_and_tells_its_verdicts(
    spec: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    arguments = [
        "export", str(spec.file), "--model", str(TINY_LLAMA), "--method", "low",
        "--seed", "3", "--limit-edits", "2", "--as", "deltas", "--out", str(out),
    ]  # fmt: skip
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        "passed: efficacy, required at least 0",
        f"written to {out}, 2 edits as deltas",
    ]
    manifest = manifest_from_json((out / "edit-manifest.json").read_text())
    assert (manifest.seed, manifest.method, len(manifest.edits)) == (3, "low", 2)
    card = (out / "README.md").read_text()
    assert "pytest-eac apply THIS_FOLDER BASE --out EDITED" in card
    assert all(each.target in card for each in spec.edits[:2])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "has several methods; choose one with --method: low, many, full"),
        (["--method", "lwo"], "--method: unknown method 'lwo'"),
    ],
)
def test_the_command_says_what_is_wrong(
    spec: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    model = str(TINY_LLAMA)
    out = str(tmp_path / "out")
    assert main(["export", str(spec.file), "--model", model, "--out", out, *options]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("option", "least"), [("rank", 1), ("limit-edits", 1), ("seed", 0)])
def test_the_command_refuses_what_is_no_count(
    capsys: pytest.CaptureFixture[str], option: str, least: int
) -> None:
    with pytest.raises(SystemExit):
        main(["export", "x.yaml", "--out", "y", f"--{option}", str(least - 1)])
    assert f"expected a whole number from {least}" in capsys.readouterr().err


def test_the_command_refuses_a_model_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "x.yaml", "--out", "y", "--model="])
    assert "--model: found an empty value" in capsys.readouterr().err
