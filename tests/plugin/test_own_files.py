"""No output of a run replaces another output, what the run reads, or a file of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Specs

STORED = "--eac-from-results=stored.json"
UPDATE = "--eac-update-baseline"


def refused(specs: Specs, *arguments: str) -> str:
    """Run with options that are refused; returns why."""
    result = specs.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    return result.stderr.str()


TWICE = [
    ("--eac-results=o --eac-report=o", "--eac-report: *o is the file that --eac-results writes*"),
    ("--eac-results=o --eac-summary=o", "--eac-summary: *o is the file that --eac-results writes*"),
    ("--eac-summary=o --eac-report=./o", "--eac-report: *o is the file that --eac-summary writes*"),
    ("--junit-xml=o --eac-results=o", "--junit-xml: *o is the file that --eac-results writes*"),
    ("--log-file=o --eac-results=o", "--log-file: *o is the file that --eac-results writes*"),
    (f"{STORED} --eac-results=stored.json", "*stored.json is the file that --eac-from-results re*"),
    ("--eac-baseline=stored.json --eac-results=stored.json", "*file that --eac-baseline reads*"),
    (f"--eac-baseline=o {UPDATE} --eac-results=o", "*o is the file that --eac-results writes*"),
    (f"--eac-baseline=o {UPDATE} --eac-summary=o", "*o is the file that --eac-summary writes*"),
    (f"{STORED} --eac-baseline=stored.json {UPDATE}", "*file that --eac-from-results reads*"),
]


@pytest.mark.parametrize(("arguments", "said"), TWICE)
def test_one_file_is_not_both_an_output_and_something_else(
    specs: Specs, stored: Path, arguments: str, said: str
) -> None:
    before = stored.read_bytes()
    result = specs.run(*arguments.split())
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}"])
    assert stored.read_bytes() == before
    assert not specs.pytester.path.joinpath("o").exists()


@pytest.mark.parametrize("name", ["link.json", "deep/../stored.json"])
def test_another_name_of_the_same_file_is_the_same_file(
    specs: Specs, stored: Path, name: str
) -> None:
    specs.pytester.mkdir("deep")
    specs.pytester.path.joinpath("link.json").symlink_to(stored)
    said = refused(specs, "--eac-baseline=stored.json", f"--eac-results={name}")
    assert f"{name} is the file that --eac-baseline reads" in said


def test_a_link_to_a_file_that_is_not_there_yet_is_that_file(specs: Specs, stored: Path) -> None:
    specs.pytester.path.joinpath("link").symlink_to("new.json")
    said = refused(specs, STORED, "--eac-results=new.json", "--eac-summary=link")
    assert "link is the file that --eac-results writes" in said


def test_streams_may_be_shared_and_read_files_as_well(specs: Specs, stored: Path) -> None:
    null = [f"--eac-{name}=/dev/null" for name in ("results", "summary", "report")]
    result = specs.run(STORED, "--eac-baseline=stored.json", "--eac-compare-fail=efficacy:0", *null)
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("option", ["results", "summary", "report"])
@pytest.mark.parametrize("name", ["small.eac.yaml", "facts.jsonl", "README.md", "page.html"])
def test_a_file_that_no_run_has_written_is_not_replaced(
    specs: Specs, stored: Path, option: str, name: str
) -> None:
    texts = {
        "facts.jsonl": '{"subject": "The Louvre"}\n',
        "README.md": "## Edits\n\nOurs.\n",
        "page.html": "<!doctype html>\n<title>Ours</title>\n",
    }
    file = specs.pytester.path / name
    if name in texts:
        file.write_text(texts[name])
    before = file.read_bytes()
    said = refused(specs, STORED, f"--eac-{option}={name}")
    expected = f"{name}: there is a file that does not hold the {option} of an earlier run"
    assert f"--eac-{option}: {specs.pytester.path}/{expected}" in said
    assert file.read_bytes() == before


@pytest.mark.parametrize(("text", "replaced"), [("old", True), ('{"a": 1}', False), ("[]", False)])
def test_results_replace_a_json_file_only_if_it_holds_nothing_else(
    specs: Specs, stored: Path, text: str, *, replaced: bool
) -> None:
    file = specs.pytester.path / "out.json"
    file.write_text(text)
    specs.run(STORED, "--eac-results=out.json")
    assert (file.read_text() != text) is replaced


def test_an_output_of_another_kind_is_not_replaced(specs: Specs, stored: Path) -> None:
    result = specs.run(STORED, "--eac-summary=s", "--eac-report=r", "--eac-results=j")
    result.assert_outcomes(passed=2)
    for option, name in (("results", "s"), ("summary", "r"), ("report", "j")):
        assert "does not hold" in refused(specs, STORED, f"--eac-{option}={name}")


def test_an_empty_file_and_an_earlier_output_are_replaced(specs: Specs, stored: Path) -> None:
    files = {"results": "out.json", "summary": "out.md", "report": "out.html"}
    for name in files.values():
        specs.pytester.path.joinpath(name).touch()
    outputs = [f"--eac-{option}={name}" for option, name in files.items()]
    for _ in range(2):
        specs.run(STORED, *outputs).assert_outcomes(passed=2)
    for name in files.values():
        assert specs.pytester.path.joinpath(name).stat().st_size
