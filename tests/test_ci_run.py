"""What CI runs must not end well because a tool that the tests need is missing."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

STEPS = ["lint", "test", "test-slow", "demo"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the script, and tools of which each does nothing but write down its call."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "mktemp", "tail"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name, text in {
        "make": f'echo "$1" >> {tmp_path / "steps"}',
        "id": "echo 1000",  # who is not root can install nothing
        "chromium": "",
        "npm": "",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    (tmp_path / "data").mkdir()
    return tmp_path


def run(project: Path, *, ci: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(shutil.which("bash")), str(project / ".ci" / "run")],
        env={
            "PATH": str(project / "tools"),
            "CI": ci,
            "PYTEST_EAC_REAL_DATA": str(project / "data"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def steps(project: Path) -> list[str]:
    file = project / "steps"
    return file.read_text("utf-8").split() if file.exists() else []


def test_everything_is_run_where_every_tool_is_there(project: Path) -> None:
    found = run(project, ci="true")
    assert (found.returncode, found.stderr) == (0, "")
    assert steps(project) == STEPS


MISSING = {"chromium": "no Chromium", "npm": "no YAML language server", "data": "no folder "}


@pytest.mark.parametrize(("name", "said"), MISSING.items())
def test_in_ci_a_missing_tool_is_an_error_and_elsewhere_it_is_reported(
    project: Path, name: str, said: str
) -> None:
    if name == "data":
        (project / name).rmdir()
    else:
        (project / "tools" / name).unlink()
    found = run(project, ci="true")
    assert found.returncode == 1
    assert f"error: {said}" in found.stderr
    assert steps(project) == []
    found = run(project, ci="")
    assert found.returncode == 0
    assert f"{said}" in found.stderr
    assert "its tests are skipped" in found.stderr
    assert steps(project) == STEPS


def test_in_ci_an_install_that_fails_is_an_error(project: Path) -> None:
    (project / "tools" / "npm").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert run(project, ci="true").returncode == 1
    assert steps(project) == []


def test_a_step_that_fails_ends_the_run(project: Path) -> None:
    make = project / "tools" / "make"
    make.write_text(make.read_text("utf-8") + '[ "$1" != test ]\n', encoding="utf-8")
    assert run(project, ci="true").returncode == 1
    assert steps(project) == ["lint", "test"]
