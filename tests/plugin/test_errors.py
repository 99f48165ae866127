"""Bad input from outside: one clear error each, with file and line where there is one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from safetensors.torch import load_file, save_file

from tests.conftest import TINY_LLAMA

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
)


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        (
            "chekcs: {}",
            ["small.eac.yaml:6:1: chekcs: unknown key 'chekcs'; did you mean 'checks'?"],
        ),
        ("seeds: [a]", ["small.eac.yaml:6:9: seeds[[]0[]]: found 'a', expected a whole number"]),
        ("name: 7", ["small.eac.yaml:6:7: name: found 7, expected a text; put it in quotes"]),
        ("eac: 1", ["small.eac.yaml:6:1: eac: duplicate key 'eac'; first given on line 1"]),
        ("name: [a", ["small.eac.yaml:*YAML syntax: *"]),
        (
            "name: !!python/object/apply:os.system ['touch owned']",
            ["small.eac.yaml:6:7: name: tag !!python/object/apply:os.system is refused; *"],
        ),
        (BOMB, ["small.eac.yaml:*too many values once aliases are expanded*"]),
    ],
    ids=["unknown-key", "type", "number", "duplicate", "syntax", "tag", "bomb"],
)
def test_a_broken_spec_is_a_collection_error_with_its_place(
    specs: Specs, more: str, lines: list[str]
) -> None:
    specs.write(more=more)
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*{line}" for line in lines])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not (specs.pytester.path / "owned").exists()
    result.assert_outcomes(errors=1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("eac: 1\n".encode("utf-16"), "1:1: found UTF-16, expected UTF-8; save the file as UTF-8"),
        (b"eac:1\nname: x\n", "2:5: YAML syntax: *is a space missing after 'eac:' in line 1[?]"),
        (b"EAC: 1\n", "1:1: EAC: unknown key 'EAC'; did you mean 'eac'[?]"),
        (b"", "1:1: found nothing, expected a mapping that starts with 'eac: 1'"),
    ],
    ids=["utf-16", "no-space", "capitals", "empty"],
)
def test_a_file_that_is_named_as_a_spec_and_is_none_is_a_collection_error(
    pytester: pytest.Pytester, data: bytes, said: str
) -> None:
    (pytester.path / "small.eac.yaml").write_bytes(data)
    (pytester.path / "other.yaml").write_bytes(data)  # of another tool, for all that is known
    pytester.makepyfile("def test_one(): pass")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"small.eac.yaml:{said}"])


@pytest.mark.parametrize(
    ("prompt", "often"),
    [("The tower stands in", "does not occur"), ("Ana met Ana in", "occurs 2 times")],
)
def test_a_subject_must_stand_in_its_prompt_once(specs: Specs, prompt: str, often: str) -> None:
    specs.write(edits=f"[{{subject: Ana, prompt: {prompt}, target: x}}]")
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [f"*small.eac.yaml:5:*edits[[]0[]].prompt: the subject 'Ana' {often} in the prompt*"]
    )


def test_no_edits_at_all(specs: Specs) -> None:
    specs.write(edits="[]")
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*small.eac.yaml:5:8: edits: found an empty list, expected at*"])


def test_a_data_file_that_is_missing(specs: Specs) -> None:
    specs.write(edits="[{from: nowhere.json, format: counterfact}]")
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*small.eac.yaml:5:*nowhere.json: there is no such file*"])


def test_a_counterfact_record_that_is_malformed(specs: Specs) -> None:
    good = {
        "requested_rewrite": {
            "prompt": "{} lives in",
            "subject": "Ana",
            "target_new": {"str": "Oslo"},
            "target_true": {"str": "Rome"},
        }
    }
    bad = json.loads(json.dumps(good))
    del bad["requested_rewrite"]["target_new"]["str"]
    text = f"[\n{json.dumps(good)},\n{json.dumps(bad)}\n]"
    (specs.pytester.path / "cf.json").write_text(text)
    specs.write(edits="[{from: cf.json, format: counterfact}]")
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "*small.eac.yaml:5:*cf.json:3: record 2: field requested_rewrite.target_new.str is "
            "missing*"
        ]
    )


def test_all_problems_are_told_at_once(specs: Specs) -> None:
    specs.write(checks="{efficasy: {min: 1}}", more="name: 7\nseeds: [a]")
    result = specs.run()
    result.stdout.fnmatch_lines(["3 problems in this spec:", "*:4:*", "*:6:*", "*:7:*"])


THREE = "{efficacy: {min: 0.0}, retention: {min: 0.0}, deviation: {max_relative: 9}}"
TOO_LONG = f"[{{subject: Ana, prompt: '{'word ' * 300}{{}} lives in', target: Oslo}}]"


def test_an_error_that_stops_a_chain_is_shown_once_and_referred_to_by_its_other_checks(
    specs: Specs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    specs.write(THREE, edits=TOO_LONG)
    result = specs.run("--junit-xml=out.xml", "--eac-summary=out.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=3)
    text = result.stdout.str()
    refers = "not judged: stopped by the error of small.eac.yaml::eac-s0::efficacy"
    shown = "but the model takes 128"
    assert text.count(f"{shown}\nsmall.eac.yaml:") == 1
    assert text.count(f"\n{refers}\n") == 2
    assert text.count("::error ") == 1
    errors = ElementTree.parse(specs.pytester.path / "out.xml").findall(".//error")
    assert [shown in (each.text or "") for each in errors] == [True, False, False]
    summary = (specs.pytester.path / "out.md").read_text(encoding="utf-8")
    assert summary.count(shown) == 1
    assert summary.count("not judged: stopped by the error of") == 2


def test_a_check_that_runs_alone_shows_the_error_itself(specs: Specs) -> None:
    specs.write(THREE, edits=TOO_LONG)
    result = specs.run("-k", "deviation")
    result.assert_outcomes(errors=1, deselected=2)
    result.stdout.fnmatch_lines(["*but the model takes 128", "small.eac.yaml:4: the check"])


def test_a_model_that_is_required_and_missing_is_shown_once(specs: Specs) -> None:
    specs.write(THREE, model="package:not_there_at_all")
    result = specs.run("--eac-require", "--eac-summary=out.md")
    result.assert_outcomes(failed=3)
    assert result.stdout.str().count("small.eac.yaml:2: the model (--eac-require)") == 1
    result.stdout.fnmatch_lines(["not judged: stopped by the error of *::eac-s0::efficacy"])


def test_each_property_of_a_check_stands_once_in_junit_also_after_reruns(specs: Specs) -> None:
    # What pytest-rerunfailures does: the same item runs again, and each run is reported.
    specs.pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(3):
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                item._initrequest()
                runtestprotocol(item, nextitem=nextitem)
                item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True
        """
    )
    specs.write("{deviation: {max_relative: 0.00001}}")
    specs.run("--junit-xml=out.xml").assert_outcomes(failed=3)
    cases = ElementTree.parse(specs.pytester.path / "out.xml").findall(".//testcase")
    assert len(cases) == 3
    for case in cases:
        names = [each.get("name") for each in case.iter("property")]
        assert "eac_method" in names
        assert len(names) == len(set(names))


def test_a_model_that_is_not_there_skips_with_its_remedy(specs: Specs) -> None:
    specs.write(model="package:not_there_at_all")
    result = specs.run("-rs")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        ["small.eac.yaml: skipped: *not installed here; pip install --no-deps not-there-at-all"]
    )
    result.stdout.fnmatch_lines(
        ["SKIPPED*small.eac.yaml*not installed here; pip install --no-deps not-there-at-all"]
    )


def test_a_model_that_is_not_there_fails_when_it_is_required(specs: Specs) -> None:
    specs.write(model="package:not_there_at_all")
    result = specs.run("--eac-require")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*pip install --no-deps not-there-at-all",
            "small.eac.yaml:2: the model (--eac-require)",
            "small.eac.yaml: failed (--eac-require): package 'not_there_at_all' *",
        ]
    )


def test_no_model_at_all(specs: Specs) -> None:
    specs.write(model=None)
    result = specs.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*small.eac.yaml: no model to edit; give --eac-model or add*"])


def test_an_architecture_that_is_not_known(specs: Specs) -> None:
    folder = Path(shutil.copytree(TINY_LLAMA, specs.pytester.path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "opt"}))
    specs.write(model=str(folder))
    result = specs.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "architecture 'opt' is not known; known are *gpt2, *llama, *",
            "small.eac.yaml:2: the model",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_nan_in_the_weights_is_an_error_and_not_a_failure(specs: Specs) -> None:
    folder = Path(shutil.copytree(TINY_LLAMA, specs.pytester.path / "model"))
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    specs.write(model=str(folder))
    result = specs.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*weights are not finite: model.layers.1.mlp.down_proj.weight*"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--eac-seed=x", "*--eac-seed: found 'x', expected a whole number from 0*"),
        ("--eac-limit-edits=0", "*--eac-limit-edits: found '0', expected a whole number from 1*"),
        ("--eac-dtype=float8", "*--eac-dtype: found 'float8', expected auto, float32*"),
    ],
)
def test_a_bad_option_is_a_usage_error(specs: Specs, option: str, message: str) -> None:
    specs.write()
    result = specs.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_a_method_that_nobody_knows_is_named(specs: Specs) -> None:
    specs.write()
    result = specs.run("--eac-method=romme")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["--eac-method: unknown method 'romme' for small.eac.yaml; did you mean 'rome'?"]
    )


def test_a_method_for_one_edit_is_refused_for_a_spec_in_batches(specs: Specs) -> None:
    specs.write(
        methods="[memit: {base: memit, layers: [1], contexts: {texts: ['{}']}}]",
        more="sequence: {batch: 2}",
    )
    result = specs.run("--eac-method=rome-eac")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "--eac-method: small.eac.yaml: sequence.batch: found 2; rome-eac takes one edit at a "
            "time: expected 1"
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_results_file_that_cannot_be_written_is_told_before_any_work(specs: Specs) -> None:
    specs.write()
    (specs.pytester.path / "taken").write_text("a file, not a folder")
    for place in ("taken/results.json", "."):
        result = specs.run(f"--eac-results={place}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*--eac-results: *: cannot be written: *"])


def test_a_missing_model_is_no_known_issue(specs: Specs) -> None:
    specs.write(
        model="package:not_there_at_all",
        more="known_issues: [{check: efficacy, reason: weak}]",
    )
    specs.run("--eac-require").assert_outcomes(failed=1)


def test_a_fixture_that_is_not_there_is_named_with_the_spec(specs: Specs) -> None:
    specs.write(more="fixtures: [nope]")
    result = specs.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["small.eac.yaml: fixture 'nope': no such fixture*"])
    result.stdout.no_fnmatch_line("*nodes.py*")


def test_a_prompt_longer_than_the_model_takes_is_named(specs: Specs) -> None:
    long = "word " * 300
    specs.write(edits=f"[{{subject: Ana, prompt: '{long} {{}} lives in', target: Oslo}}]")
    result = specs.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the prompt * has * tokens, but the model takes 128*"])


def test_a_tokenizer_that_is_missing_is_named(specs: Specs) -> None:
    folder = Path(shutil.copytree(TINY_LLAMA, specs.pytester.path / "model"))
    (folder / "tokenizer.json").unlink()
    specs.write(model=str(folder))
    result = specs.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*tokenizer*", "small.eac.yaml:2: the model"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    "option", ["edited", "model", "revision", "results", "baseline", "method", "compare-fail"]
)
def test_an_option_without_a_value_is_a_usage_error(specs: Specs, option: str) -> None:
    specs.write()
    result = specs.run(f"--eac-{option}=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--eac-{option}: found an empty value; is a variable of the *"])


def test_an_ini_value_that_is_empty_is_not_given(specs: Specs) -> None:
    specs.write()
    specs.pytester.makeini("[pytest]\neac_edited =\neac_model =\neac_results =\n")
    specs.run().assert_outcomes(passed=1)
