"""The example package, installed as a user would: nothing of this repository knows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, TINY_LLAMA, WORLD

if TYPE_CHECKING:
    from pathlib import Path

NAME = "pytest-eac-lowrank"

pytestmark = pytest.mark.slow

SPEC = f"""
eac: 1
model: {TINY_LLAMA}
methods:
  - low-rank-ft: {{base: low-rank-ft, layers: [1], options: {{rank: 2}}}}
  - rome: {{base: rome, layers: [1], covariance: none, contexts: {{texts: ["{{}}"]}}}}
edits: [{{from: {WORLD}, format: jsonl, take: 2}}]
checks: {{efficacy: {{min: 1.0}}, locality: {{min: 0.0}}}}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, with ``installed`` beside it."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "examples" / NAME, folder / NAME)
    install = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    command = [sys.executable, "-m", "pip", *install, str(folder / "installed"), str(folder / NAME)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder / NAME


def _pytest(package: Path, *arguments: str) -> str:
    """Run pytest in the package's folder; fail unless all passes."""
    path = os.pathsep.join([str(package.parent / "installed"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    run = subprocess.run(
        command, cwd=package, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_spec_runs_the_method_beside_rome(package: Path) -> None:
    (package / "small.eac.yaml").write_text(SPEC, encoding="utf-8")
    out = _pytest(package, "small.eac.yaml")
    assert "low-rank-ft-s0" in out
    assert "4 passed" in out


def test_the_packages_own_test_holds_the_method_to_the_suite(package: Path) -> None:
    assert "1 passed" in _pytest(package, "tests")


def test_the_packages_spec_is_valid(package: Path) -> None:
    out = _pytest(package, "--collect-only", "-q", "lowrank.eac.yaml")
    assert "lowrank.eac.yaml::rank-one-s0::efficacy" in out


def test_an_option_that_the_method_does_not_have_is_told_with_its_place(package: Path) -> None:
    wrong = SPEC.replace("rank: 2", "rang: 2")
    (package / "wrong.eac.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(AssertionError) as caught:
        _pytest(package, "wrong.eac.yaml")
    told = "methods[0].low-rank-ft.options.rang: unknown key 'rang'; did you mean 'rank'?"
    assert told in str(caught.value)
