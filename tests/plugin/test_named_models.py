"""A model that an option or the ini file names, and that cannot be used: one error, exit code 1."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.conftest import TINY_LLAMA
from tests.plugin.conftest import QUICK

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

TWO = f"{QUICK[:-1]}, other: {{base: rome, layers: [1], contexts: {{texts: ['{{}}']}}}}]"
CHECKS = "{efficacy: {min: 0}, locality: {min: 0}, changed: {}}"


@pytest.fixture
def two_specs(specs: Specs) -> Specs:
    """Two specs with the same model of two methods."""
    for name in ("a.eac.yaml", "b.eac.yaml"):
        specs.write("{efficacy: {min: 0}, locality: {min: 0}}", name=name, methods=TWO)
    return specs


@pytest.mark.parametrize("more", [(), ("--eac-require",)])
@pytest.mark.parametrize("model", ["./nowhere", "package:not_there", "nobody/nothing", "M.GGUF"])
def test_a_model_that_is_not_there_is_one_error(
    two_specs: Specs, model: str, more: tuple[str, ...]
) -> None:
    result = two_specs.run(f"--eac-model={model}", "--eac-offline", "-rs", *more)
    result.assert_outcomes(errors=1, skipped=7)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            f"--eac-model: *{model.removeprefix('package:')}*",
            "SKIPPED*--eac-model: cannot be used, see the error of a.eac.yaml::eac-s0::efficacy",
        ]
    )


def test_a_model_that_is_not_there_is_one_error_of_all_workers(two_specs: Specs) -> None:
    result = two_specs.run("--eac-model=./nowhere", "-rs", "-n2")
    result.assert_outcomes(errors=1, skipped=7)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["SKIPPED*--eac-model: cannot be used, see the error of *.eac.*"])


def test_a_model_that_cannot_be_loaded_is_one_error(two_specs: Specs) -> None:
    folder = shutil.copytree(TINY_LLAMA, two_specs.pytester.path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    result = two_specs.run("--eac-model=model")
    result.assert_outcomes(errors=1, skipped=7)
    result.stdout.fnmatch_lines(["--eac-model: model/model.safetensors: is damaged or cut off: *"])


@pytest.mark.parametrize("option", ["model", "edited"])
def test_a_model_that_the_ini_file_names_is_one_error(two_specs: Specs, option: str) -> None:
    two_specs.pytester.makeini(f"[pytest]\neac_{option} = ./nowhere\n")
    result = two_specs.run()
    skipped = {"model": 7, "edited": 5}[option]
    result.assert_outcomes(errors=1, skipped=skipped)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"eac_{option} in tox.ini: model './nowhere': there is no such*"])


def test_a_base_that_an_option_names_is_one_error_of_a_gate(specs: Specs) -> None:
    specs.write(CHECKS)
    result = specs.run("--eac-model=./nowhere", f"--eac-edited={TINY_LLAMA}")
    result.assert_outcomes(errors=1, skipped=2)
    result.stdout.fnmatch_lines(["--eac-model: model './nowhere': there is no such file *"])


def test_a_model_that_a_spec_names_is_a_skip(specs: Specs) -> None:
    specs.write(model="./nowhere")
    result = specs.run("-rs")
    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.OK


def test_a_device_that_is_not_there_stays_a_skip(specs: Specs) -> None:
    specs.write()
    result = specs.run(f"--eac-model={TINY_LLAMA}", "--eac-device=cuda:99")
    result.assert_outcomes(skipped=1)
