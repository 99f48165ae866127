"""Options that take a value never cost a run the settings of its project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PATHS = (
    "model",
    "edited",
    "results",
    "from-results",
    "summary",
    "report",
    "baseline",
    "cache-dir",
)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with settings by which no test is collected, and the working directory."""
    folder = pytester.mkdir("project")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    (folder / "specs").mkdir()
    (folder / "specs" / "test_one.py").write_text("def test_one(): pass\n")
    (pytester.mkdir("elsewhere") / "file").touch()
    monkeypatch.chdir(folder)
    return folder


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("--collect-only", *arguments)


@pytest.mark.parametrize("name", PATHS)
def test_a_value_that_costs_the_settings_is_refused(
    pytester: pytest.Pytester, project: Path, name: str
) -> None:
    result = run(pytester, f"--eac-{name}", "../elsewhere/file")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"*--eac-{name} ../elsewhere/file: pytest took this value for a path to run, and read "
            f"no settings at all, not {project}/pytest.ini; write --eac-{name}=../elsewhere/file"
        ]
    )


def test_settings_that_lie_beside_a_value_are_refused(
    pytester: pytest.Pytester, project: Path
) -> None:
    other = pytester.path / "elsewhere" / "pytest.ini"
    other.write_text("[pytest]\naddopts = -k one\n")
    result = run(pytester, "specs/test_one.py", "--eac-edited", "../elsewhere")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED  # the first path that has settings
    result = run(pytester, "--eac-edited", "../elsewhere", "specs/test_one.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"*read its settings from {other} (code that they name may have run by now), not "
            f"{project}/pytest.ini; write --eac-edited=../else*"
        ]
    )


@pytest.mark.parametrize("way", ["environment", "file"])
def test_a_value_from_elsewhere_than_the_command_line_is_refused(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", "--eac-results '../elsewhere/file'")
        result = run(pytester)
    else:
        (project / "options").write_text("--eac-results\n../elsewhere/file\n")
        result = run(pytester, "@options")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*; write --eac-results=../elsewhere/file"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--eac-results=../elsewhere/file"],
        ["--eac-results", "../elsewhere/not-there-yet"],
        ["--eac-from-results", "pytest.ini"],
        ["specs", "--eac-from-results", "pytest.ini"],
        ["--eac-model", "specs"],
        ["--eac-results", "../elsewhere/file", "-c", "pytest.ini"],
    ],
)
def test_a_value_that_costs_nothing_is_taken(
    pytester: pytest.Pytester, project: Path, arguments: list[str]
) -> None:
    result = run(pytester, *arguments)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED  # by the project's settings
    result.stdout.fnmatch_lines(["*1 deselected*"])


def test_a_value_in_the_projects_own_settings_is_taken(
    pytester: pytest.Pytester, project: Path
) -> None:
    (project / "pytest.ini").write_text(
        "[pytest]\naddopts = -k nothing --eac-results ../elsewhere/file\n"
    )
    run(pytester).stdout.fnmatch_lines(["*1 deselected*"])


def test_without_settings_anywhere_there_are_none_to_lose(
    pytester: pytest.Pytester, project: Path
) -> None:
    (project / "pytest.ini").unlink()
    for arguments in ([], ["specs"], ["specs/test_one.py", "--rootdir=."]):
        result = run(pytester, *arguments, "--eac-results", "../elsewhere/file")
        result.stdout.fnmatch_lines(["*1 test collected*"])
