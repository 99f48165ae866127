"""``--eac-from-results`` and what is written for CI systems, from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record
from tests.plugin.conftest import QUICK, SIX

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Specs

JUDGE = "--eac-from-results=stored.json"
NO_TORCH = """
def pytest_sessionfinish():
    import sys
    print("loaded", sorted({"torch", "transformers", "datasets"} & set(sys.modules)))
"""


def write(specs: Specs, checks: str = "{efficacy: {min: 0.0}}", *, edits: str = SIX) -> None:
    specs.write(checks, methods=QUICK, edits=edits)


def test_stored_records_are_judged_by_todays_limits(specs: Specs, stored: Path) -> None:
    write(specs, "{efficacy: {max: 0.0}, deviation: {max_relative: 99}, retention: {min: 0.0}}")
    result = specs.run(JUDGE, "--eac-results=again.json")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["eac: records from *stored.json, no model is loaded"])
    old, new = (read_record(stored.with_name(name)) for name in ("stored.json", "again.json"))
    assert new.environment == old.environment
    assert new.chains[0].checkpoints == old.chains[0].checkpoints
    assert [(each.check, each.outcome) for each in new.chains[0].verdicts] == [
        ("efficacy", "failed"),
        ("retention", "passed"),
        ("deviation", "passed"),
    ]


def test_judging_again_loads_no_torch(specs: Specs, stored: Path) -> None:
    specs.pytester.makeconftest(NO_TORCH)
    options = ("-p", "pytest_eac.plugin", "-s", JUDGE, "--eac-results=again.json")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=specs.pytester.path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout
    assert "loaded []" in done.stdout, done.stdout


def test_other_edits_are_an_error_that_names_the_first(specs: Specs, stored: Path) -> None:
    write(specs, edits=f"[{{from: {specs.world}, format: jsonl, take: 6, seed: 3}}]")
    result = specs.run(JUDGE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*stored.json: eac-s0 of small.eac.yaml was recorded from another spec: edit 1.subject: *"]
    )


def test_a_chain_that_is_not_stored_is_skipped_or_required(specs: Specs, stored: Path) -> None:
    specs.run(JUDGE, "--eac-seed=7").assert_outcomes(skipped=2)
    specs.run(JUDGE, "--eac-seed=7", "--eac-require").assert_outcomes(failed=2)


def test_an_ability_that_was_not_measured_is_skipped(specs: Specs, stored: Path) -> None:
    write(specs, "{abilities: {nli: 0.5}}")
    result = specs.run(JUDGE, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*nli: undecided: not measured in this run*"])


def test_what_was_not_recorded_is_skipped_and_the_rest_is_judged(
    specs: Specs, stored: Path
) -> None:
    specs.pytester.makeconftest("def pytest_eac_register_metrics(): return {'size': len}")
    checks = "{efficacy: {min: 0, at: every}, retention: {min: 0}, metrics: {size: {max: 3}}}"
    more = "sequence: {checkpoints: [2]}"
    specs.write(checks, methods=QUICK, edits=SIX, more=more)
    result = specs.run(JUDGE, "-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "*efficacy of eac-s0: undecided: *nothing was recorded after 2 edits; run the spec ag*",
            "*size of eac-s0: undecided: it was not recorded; run the spec again*",
        ]
    )


@pytest.mark.parametrize(("text", "told"), [(None, "cannot be read"), ("[]", "not a results file")])
def test_a_file_that_is_no_record_is_a_collection_error(
    specs: Specs, text: str | None, told: str
) -> None:
    specs.write()
    if text is not None:
        specs.pytester.path.joinpath("stored.json").write_text(text)
    result = specs.run(JUDGE)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*stored.json: {told}*"])


def test_a_released_model_cannot_be_judged_from_records(specs: Specs) -> None:
    result = specs.run(JUDGE, "--eac-edited=x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--eac-from-results: stored records are of edits; a released*"])


def test_orders_of_the_edits_are_not_judged_from_records(specs: Specs, stored: Path) -> None:
    more = "orderings: {examples: 2, hold: [efficacy]}"
    specs.write("{efficacy: {min: 0.0}}", methods=QUICK, edits=SIX, more=more)
    result = specs.run(JUDGE, "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*the orders of eac-s0 are not stored; run the sp*"])


def test_a_stored_run_can_become_the_baseline(specs: Specs, stored: Path) -> None:
    specs.run(JUDGE, "--eac-baseline=b.json", "--eac-update-baseline")
    result = specs.run(JUDGE, "--eac-baseline=b.json", "--eac-compare-fail=efficacy:0")
    result.assert_outcomes(passed=3)


# CI


def test_the_summary_is_a_markdown_file_with_the_failed_checks(specs: Specs, stored: Path) -> None:
    write(specs, "{efficacy: {max: 0.0}, deviation: {max_relative: 99}}")
    file = specs.pytester.path / "out" / "summary.md"
    for _ in range(2):
        result = specs.run(JUDGE, f"--eac-summary={file}")
        result.stdout.fnmatch_lines([f"summary written to {file}"])
    text = file.read_text(encoding="utf-8")
    assert text.startswith("## Edits: failed (1 failed, 1 passed)\n")
    assert text.count("## Edits") == 1, "another run replaces it"
    assert "<summary>failed: small.eac.yaml::eac-s0::efficacy</summary>" in text
    assert "small.eac.yaml:4: the check" in text


def test_a_run_that_is_stopped_becomes_no_baseline_whatever_its_exit_status(
    specs: Specs, stored: Path
) -> None:
    specs.pytester.makeconftest(
        "import pytest\n"
        "def pytest_runtest_teardown(item, nextitem):\n"
        "    pytest.exit('enough', returncode=0)\n"
    )
    result = specs.run(JUDGE, "--eac-baseline=b.json", "--eac-update-baseline")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["baseline *b.json left as it was: the run did not come to its *"])
    assert not specs.pytester.path.joinpath("b.json").exists()


@pytest.mark.parametrize("named", ["deep/step.md", "./deep/..//deep/step.md", "link/step.md"])
def test_the_summary_of_a_github_job_is_added_to(
    specs: Specs, stored: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    file = specs.pytester.mkdir("deep") / "step.md"
    file.write_text("earlier\n", encoding="utf-8")
    specs.pytester.path.joinpath("link").symlink_to("deep")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", f"{specs.pytester.path}/{named}")
    specs.run(JUDGE, f"--eac-summary={file}")
    assert file.read_text(encoding="utf-8").startswith("earlier\n## Edits: passed (2 passed)\n")


def test_the_summary_has_the_changes_since_the_baseline(specs: Specs, stored: Path) -> None:
    specs.run(JUDGE, "--eac-baseline=stored.json", "--eac-summary=summary.md")
    text = specs.pytester.path.joinpath("summary.md").read_text(encoding="utf-8")
    assert "### Against the baseline" in text
    assert "| efficacy | " in text


def test_on_github_failed_checks_are_annotations_at_their_lines(
    specs: Specs, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(specs, "{efficacy: {max: 0.0}, deviation: {max_relative: 99}}")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    specs.run(JUDGE).stdout.no_fnmatch_line("::error*")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = specs.run(JUDGE)
    found = [line for line in result.outlines if line.startswith("::error ")]
    assert len(found) == 1
    place = "file=small.eac.yaml,line=4,title=small.eac.yaml%3A%3Aeac-s0%3A%3Aefficacy"
    assert found[0].startswith(f"::error {place}::efficacy of eac-s0: ")


@pytest.mark.parametrize("workers", [[], ["-n1"]])
def test_a_spec_that_cannot_be_used_is_told_wherever_failed_checks_are(
    specs: Specs, stored: Path, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    write(specs, "{efficacy: {min: 2}}")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    files = ("--eac-summary=summary.md", "--eac-report=report.html")
    result = specs.pytester.runpytest_subprocess(JUDGE, *files, *workers)
    [line] = (line for line in result.outlines if line.startswith("::error "))
    assert line.startswith("::error file=small.eac.yaml,line=4,title=small.eac.yaml::1 problem")
    text, page = (
        (specs.pytester.path / name).read_text() for name in ("summary.md", "report.html")
    )
    assert text.startswith("## Edits: failed")
    assert "checks.efficacy.min" in text
    assert '<header class="failed">' in page
    assert "checks.efficacy.min" in page


def test_what_was_judged_before_ctrl_c_is_not_the_verdict_of_the_run(
    specs: Specs, stored: Path
) -> None:
    write(specs, "{efficacy: {min: 0}, locality: {min: 0}}")
    specs.pytester.makeconftest(
        "def pytest_runtest_setup(item):\n    if item.name == 'locality':\n"
        "        raise KeyboardInterrupt\n"
    )
    specs.pytester.runpytest_subprocess(
        JUDGE, "--eac-summary=summary.md", "--eac-report=report.html"
    )
    text, page = (
        (specs.pytester.path / name).read_text() for name in ("summary.md", "report.html")
    )
    assert text.startswith("## Edits: failed (1 stopped, 1 passed)")
    assert "<h1>Stopped before the end: 0 failed, 1 passed so far</h1>" in page
    assert "stopped before its end: these results" in page
