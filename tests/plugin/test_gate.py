"""A released model as pytest items, from outside."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_eac.cli import main
from pytest_eac.lm.loading.model_folder import INDEX
from pytest_eac.store import read_record
from tests.conftest import FIXTURES, TINY_LLAMA

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

DOWN = "model.layers.1.mlp.down_proj.weight"
CHECKS = (
    "{known: {min: 0.9}, efficacy: {min: 0.9}, locality: {min: 0.1, at: every},"
    " deviation: {max_relative: 9}, changed: {only: ['*.1.mlp.down_proj.weight'], max_rank: 2,"
    " manifest: true}}"
)


@pytest.fixture
def released(specs: Specs) -> Path:
    """An export of the spec that is there."""
    path = specs.write(CHECKS)
    out = specs.pytester.path / "released"
    assert main(["export", str(path), "--out", str(out)]) == 0
    return out


def tamper(folder: Path, name: str, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[0] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_release_passes_every_check_and_nothing_is_edited(
    specs: Specs, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("pytest_eac.measuring.chain.run_chain")
    result = specs.run("--eac-edited=released", "--eac-results=results.json", "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "small.eac.yaml::edited::changed PASSED*",
            "small.eac.yaml::edited::known PASSED*",
            "small.eac.yaml::edited::efficacy PASSED*",
            "small.eac.yaml::edited::locality PASSED*",
            "small.eac.yaml::edited::deviation PASSED*",
            "  edited: released, weights *",
            "edited * 100.0% 100.0% * -",
        ]
    )
    record = read_record(specs.pytester.path / "results.json")
    (chain,), (release,) = record.chains, record.releases
    manifest = json.loads((released / "edit-manifest.json").read_text(encoding="utf-8"))
    assert chain.released is not None
    assert release.changes.base_fingerprint == manifest["base"]["fingerprint"]
    assert release.changes.fingerprint == manifest["edited_fingerprint"]
    (changed,) = release.changes.differences
    assert (changed.name, changed.rank) == (DOWN, 2)
    observed = {each["check"]: each["observed"] for each in manifest["verdicts"]}
    assert {each.check: each.observed for each in chain.verdicts} == pytest.approx(observed)


def test_a_tampered_release_fails_and_names_the_tensor(specs: Specs, released: Path) -> None:
    tamper(released, "model.layers.2.mlp.up_proj.weight", 0.25)
    result = specs.run("--eac-edited=released", "-k", "changed")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.fnmatch_lines(
        [
            "changed of released: 2 of 48 tensors differ from the base*",
            "  model.layers.2.mlp.up_proj.weight: is changed, but edit-manifest.json does not*",
            "  model.layers.2.mlp.up_proj.weight (model.safetensors): is changed (1 entries), and*",
            "small.eac.yaml:4: the check",
        ]
    )


def test_a_release_that_cannot_be_loaded_still_fails_with_the_name(
    specs: Specs, released: Path
) -> None:
    tamper(released, DOWN, torch.nan)
    result = specs.run("--eac-edited=released")
    result.assert_outcomes(failed=1, errors=1, skipped=3)
    result.stdout.fnmatch_lines(
        [
            f"--eac-edited: the model's weights are not finite: {DOWN} (1 of 11264 entries)",
            f"  {DOWN} (model.safetensors): 1 entries are NaN or infinite",
        ]
    )


def test_a_manifest_of_other_edits_fails(specs: Specs, released: Path) -> None:
    path = released / "edit-manifest.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(specs.facts[1]["target"], "Elsewhere"), encoding="utf-8")
    result = specs.run("--eac-edited=released", "-k", "changed")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(
        [
            f"  edit-manifest.json: does not list an edit of the spec: * -> "
            f"'{specs.facts[1]['target']}'",
            "  edit-manifest.json: lists an edit that the spec has not: * -> 'Elsewhere'",
        ]
    )


def test_a_part_of_the_edits_is_looked_for_in_the_manifest(specs: Specs, released: Path) -> None:
    specs.run("--eac-edited=released", "--eac-limit-edits=1").assert_outcomes(passed=5)


def test_another_tokenizer_is_never_measured_with(specs: Specs, released: Path) -> None:
    shutil.copyfile(FIXTURES / "tiny-gpt2" / "tokenizer.json", released / "tokenizer.json")
    result = specs.run("--eac-edited=released", "-k", "changed or efficacy")
    result.assert_outcomes(failed=1, errors=1, deselected=3)
    result.stdout.fnmatch_lines(["released: its tokenizer is not that of *", "  tokenizer.json: *"])


def test_pickled_releases_are_refused_with_the_remedy(specs: Specs, released: Path) -> None:
    (released / "model.safetensors").rename(released / "pytorch_model.bin")
    result = specs.run("--eac-edited=released", "-k", "changed")
    result.assert_outcomes(errors=1, deselected=4)
    result.stdout.fnmatch_lines(["*found pytorch_model.bin, expected *convert with model.save_p*"])


def test_a_spec_without_changed_is_held_to_the_bases_structure(specs: Specs) -> None:
    specs.write(name="plain.yaml")
    copy = shutil.copytree(TINY_LLAMA, specs.pytester.path / "copy")
    specs.run("--eac-edited=copy", "-k", "changed").assert_outcomes(passed=1, deselected=1)
    (Path(copy) / "config.json").unlink()
    result = specs.run("--eac-edited=copy", "-k", "changed")
    result.assert_outcomes(errors=1, deselected=1)


def test_without_a_release_the_check_is_skipped_with_the_option_to_give(specs: Specs) -> None:
    specs.write("{efficacy: {min: 0}, changed: {}}")
    result = specs.run("-rs", "-k", "changed")
    result.assert_outcomes(skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["SKIPPED*no released model to look at; give one with --eac-edi*"])
    specs.run("-k", "changed", "--eac-require").assert_outcomes(failed=1, deselected=1)


def test_a_known_issue_may_be_about_what_changed(specs: Specs, released: Path) -> None:
    specs.write(
        CHECKS.replace("max_rank: 2", "max_rank: 1"),
        more="known_issues: [{check: changed, reason: one too many}]",
    )
    result = specs.run("--eac-edited=released", "-k", "changed")
    result.assert_outcomes(xfailed=1, deselected=4)


def test_a_release_with_an_adapter_fails_by_its_name_and_is_not_measured(
    specs: Specs, released: Path
) -> None:
    (released / "adapter_config.json").write_text("{}")
    result = specs.run("--eac-edited=released", "-k", "changed or efficacy")
    result.assert_outcomes(failed=1, errors=1, deselected=3)
    result.stdout.fnmatch_lines(
        ["--eac-edited: released: found an adapter * beside full*", "  adapter_config.json: is an*"]
    )


@pytest.mark.parametrize("option", ["--eac-method=rome", "--eac-seed=1"])
def test_options_of_editing_are_refused(specs: Specs, option: str) -> None:
    result = specs.run("--eac-edited=x", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--eac-edited: nothing is edited then*"])


def test_limits_against_a_baseline_are_refused(specs: Specs) -> None:
    specs.write()
    options = ("--eac-baseline=base.json", "--eac-compare-fail=locality:2%")
    result = specs.run("--eac-edited=released", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--eac-edited: a released model has no baseline checks*"])


def test_a_forged_manifest_fails_without_loading_a_model(
    specs: Specs, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = released / "edit-manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["base"] |= {"dtype": "bfloat16", "fingerprint": "0" * 64}
    path.write_text(json.dumps({**manifest, "method": "rome"}), encoding="utf-8")
    monkeypatch.delattr("pytest_eac.lm.loading.load.load_model")
    result = specs.run("--eac-edited=released", "-k", "changed")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(
        [
            "  edit-manifest.json: base.fingerprint: found 000000000000, *",
            f"  {DOWN}: is F32, but edit-manifest.json says that it was edited in bfloat16",
            "  edit-manifest.json: method: found 'rome', expected one of the spec's: eac",
        ]
    )


def test_a_spec_that_lists_no_methods_leaves_them_to_the_manifest(
    specs: Specs, released: Path
) -> None:
    text = specs.write(CHECKS).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("methods:")]
    (specs.pytester.path / "small.eac.yaml").write_text("\n".join(lines), encoding="utf-8")
    specs.run("--eac-edited=released", "-k", "changed").assert_outcomes(passed=1, deselected=4)


def test_a_file_beside_the_model_fails_by_its_name_unless_the_spec_allows_it(
    specs: Specs, released: Path
) -> None:
    (released / "gguf").mkdir()
    (released / "gguf" / "Q4.gguf").write_bytes(b"GGUF")
    specs.write("{changed: {}}")
    result = specs.run("--eac-edited=released", "-k", "changed")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  gguf/Q4.gguf: holds weights that transformers does not load*"])
    specs.write("{changed: {files: [gguf/*]}}")
    specs.run("--eac-edited=released", "-k", "changed").assert_outcomes(passed=1)


def test_a_release_that_is_not_there_does_not_pass_by_being_skipped(specs: Specs) -> None:
    specs.write()
    result = specs.run("--eac-edited=./relaesed")
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["--eac-edited: model './relaesed': there is no such file or folder; give the path *"]
    )


def test_deltas_are_no_release_until_they_are_on_their_base(specs: Specs) -> None:
    path = specs.write(CHECKS)
    deltas, edited = (specs.pytester.path / name for name in ("deltas", "edited"))
    assert main(["export", str(path), "--as", "deltas", "--out", str(deltas)]) == 0
    result = specs.run("--eac-edited=deltas", "-k", "changed")
    result.stdout.fnmatch_lines(["*deltas: no config.json in it; *with pytest-eac apply"])
    assert main(["apply", str(deltas), str(TINY_LLAMA), "--out", str(edited)]) == 0
    specs.run("--eac-edited=edited").assert_outcomes(passed=5)


CODE = "from pathlib import Path\nPath({mark!r}).write_text('ran')\n"
OWN = {
    "config.json": {"auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}},
    "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["own.T", "own.T"]}},
}


@pytest.mark.parametrize("needed", [False, True])
def test_code_of_a_release_is_never_run_and_is_named(
    specs: Specs, released: Path, monkeypatch: pytest.MonkeyPatch, *, needed: bool
) -> None:
    mark = specs.pytester.path / "ran"
    modules = specs.pytester.path / "modules"
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(str(modules))
    (released / "custom_generate").mkdir()
    for name in ("own.py", "custom_generate/generate.py"):
        (released / name).write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    for name, more in OWN.items():
        data = json.loads((released / name).read_text(encoding="utf-8")) | more
        if needed and name == "config.json":
            data["model_type"] = "own"
        (released / name).write_text(json.dumps(data), encoding="utf-8")
    result = specs.run("--eac-edited=released", "--eac-trust-remote-code", "-rA")
    assert not mark.exists()
    result.stdout.fnmatch_lines(
        [
            "  config.json: *",
            "  tokenizer_config.json: auto_map is *; it names code, which was not run: release no*",
            "  custom_generate/generate.py: is code, which is not the base's; it was not run*",
            "  own.py: is code, which is not the base's*",
        ]
    )
    if needed:
        result.assert_outcomes(failed=1, errors=1, skipped=3)
        result.stdout.fnmatch_lines(["*cannot be loaded without code of its own, which was not*"])
    else:
        result.assert_outcomes(failed=1, passed=4)


CHANGE_LATER = """
from pathlib import Path
def pytest_runtest_teardown(item):
    folder = Path("released")
    if item.name == "changed":
        {change}
"""
REWRITE = """with (folder / "model.safetensors").open("r+b") as file:
            file.seek(-300, 2)
            file.write(bytes(300))"""
HIDE = """Path("other.safetensors").rename(folder / "model.safetensors")"""


@pytest.mark.parametrize("change", [REWRITE, HIDE], ids=["rewritten", "hidden by another"])
def test_a_release_that_changes_after_it_was_compared_is_an_error(
    specs: Specs, released: Path, change: str
) -> None:
    (released / "edit-manifest.json").unlink()  # or its fingerprint shows the change
    if change is HIDE:  # transformers prefers a single file to an index
        tensors = load_file(released / "model.safetensors")
        (released / "model.safetensors").rename(released / "part.safetensors")
        index = {"weight_map": dict.fromkeys(tensors, "part.safetensors")}
        (released / INDEX).write_text(json.dumps(index), encoding="utf-8")
        zeros = {name: each * 0 for name, each in tensors.items()}
        save_file(zeros, specs.pytester.path / "other.safetensors", metadata={"format": "pt"})
    specs.write("{deviation: {max_relative: 9}, changed: {max_rank: 2}}")
    specs.pytester.makeconftest(CHANGE_LATER.format(change=change))
    result = specs.run("--eac-edited=released")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*model.safetensors: was changed, * after it was compared*"])


@pytest.mark.skipif(os.name == "nt", reason="links need rights that not every user has")
@pytest.mark.parametrize(
    "name",
    [
        "chat_template.jinja",
        "additional_chat_templates/a.jinja",
        "generation_config.json",
        "edit-manifest.json",
        "notes.txt",
    ],
)
def test_no_content_of_a_file_that_a_release_links_to_is_shown(specs: Specs, name: str) -> None:
    release = Path(shutil.copytree(TINY_LLAMA, specs.pytester.path / "released"))
    secret = specs.pytester.path / "secret"
    secret.write_text('{"token": "hf_abcdef"}', encoding="utf-8")
    (release / name).parent.mkdir(exist_ok=True)
    (release / name).unlink(missing_ok=True)
    (release / name).symlink_to(secret)
    specs.write("{efficacy: {min: 0}, changed: {}}")
    result = specs.run("--eac-edited=released", "--eac-results=r.json", "--junit-xml=j.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{name}: is a link to *, expected a file of the same folder*"])
    kept = [
        (specs.pytester.path / each).read_text(encoding="utf-8") for each in ("r.json", "j.xml")
    ]
    for text in (result.stdout.str(), *kept):
        assert "hf_abcdef" not in text
