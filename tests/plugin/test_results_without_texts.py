"""``--eac-results-without-texts``, and what reads such a file, from outside."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_eac.cli import main
from pytest_eac.errors import RecordError
from pytest_eac.judging.stored_texts import with_texts
from pytest_eac.plugin.baseline_records import Baseline
from pytest_eac.records.results_file import without_texts
from pytest_eac.records.run import Record
from pytest_eac.reporting.html.edit_table import script_data
from pytest_eac.store import read_record, write_record
from tests.plugin.conftest import QUICK, SIX

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Specs

FROM = "--eac-from-results=stored.json"
WITHOUT = "--eac-results-without-texts"
EFFICACY = "small.eac.yaml::eac-s0::efficacy"
NOT_STORED = "edit at facts.jsonl:1, text not stored"


@pytest.fixture
def bare(specs: Specs, stored: Path) -> Path:
    """The records of ``full.json`` without texts, with spec and data beside them."""
    folder = specs.pytester.path
    lines = specs.world.read_text(encoding="utf-8").splitlines(keepends=True)[:6]
    (folder / "facts.jsonl").write_text("".join(lines), encoding="utf-8")
    text = stored.read_text(encoding="utf-8").replace(str(specs.world), "facts.jsonl")
    stored.write_text(text, encoding="utf-8")
    checks = "{efficacy: {min: 1}, locality: {min: 1}}"
    specs.write(checks, methods=QUICK, edits="[{from: facts.jsonl, format: jsonl}]")
    specs.run(FROM, "--eac-results=full.json")
    write_record(folder / "bare.json", without_texts(read_record(folder / "full.json")))
    return folder / "bare.json"


def quotes(specs: Specs, text: str) -> bool:
    """Whether a text holds one of the edits' subjects or prompts."""
    facts = specs.facts[:6]
    near = [each["prompt"] for fact in facts for each in fact["neighborhood"]]
    return any(each in text for each in (*(fact["subject"] for fact in facts), *near))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 0
    return capsys.readouterr().out


def changed(folder: Path) -> None:
    """Let the first fact of the data be another one."""
    file = folder / "facts.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"target": "', '"target": "New ', 1), encoding="utf-8")


def test_neither_results_nor_a_baseline_quote_an_edit(specs: Specs, stored: Path) -> None:
    specs.pytester.makeini("[pytest]\neac_results_without_texts = true\n")
    specs.write("{efficacy: {min: 1}, locality: {min: 1}}", methods=QUICK, edits=SIX)
    result = specs.run(
        FROM, "--eac-results=bare.json", "--eac-baseline=base.json", "--eac-update-baseline"
    )
    result.assert_outcomes(passed=1, failed=1)
    assert quotes(specs, stored.read_text(encoding="utf-8"))
    for name in ("bare.json", "base.json"):
        text = (specs.pytester.path / name).read_text(encoding="utf-8")
        assert not quotes(specs, text)
        edits = json.loads(text)["edits"]
        assert [each["texts"] for each in edits] == [None] * 6
        assert [each["origin"] for each in edits] == [f"{specs.world}:{n}" for n in range(1, 7)]


def test_where_the_spec_is_at_hand_its_texts_are_shown(
    specs: Specs, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not quotes(specs, bare.read_text(encoding="utf-8"))
    explained = printed(capsys, "explain", EFFICACY, "--results=bare.json")
    missed = explained[explained.index("missed: ") :]
    assert quotes(specs, missed)
    assert "not stored" not in missed
    pages = []
    for name in ("full", "bare"):
        specs.run(f"--eac-from-results={name}.json", f"--eac-report={name}.html")
        pages.append((bare.parent / f"{name}.html").read_text(encoding="utf-8"))
    data = [page[page.index('id="data"') :] for page in pages]
    assert data[0] == data[1]


def test_where_it_is_not_a_stand_in_is_shown_and_the_numbers_are_the_same(
    specs: Specs, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare.parent / "facts.jsonl").rename(bare.parent / "elsewhere.jsonl")
    found = json.loads(printed(capsys, "compare", "full.json", "bare.json", "--format=json"))
    (pair,) = found["comparisons"]
    assert pair["differs"] == []
    assert {each["change"] for each in pair["changes"]} == {0.0}
    assert {each["n"] for each in pair["changes"] if each["kind"] == "edits"} <= {5, 6}
    record = with_texts(read_record(bare), bare)
    rows = json.loads(script_data(record.chains))["chains"][0]["edits"]
    assert (rows[0]["prompt"], rows[0]["target"]) == (NOT_STORED, "text not stored")
    assert all("text not stored" in miss["prompt"] for row in rows for miss in row["misses"])
    assert not quotes(specs, json.dumps(rows))


def test_a_run_is_compared_with_a_baseline_without_texts(specs: Specs, bare: Path) -> None:
    against = ("--eac-from-results=full.json", "--eac-baseline=bare.json")
    result = specs.run(*against, "--eac-compare-fail=locality:0%", "-k", "baseline")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["locality *+0.000*"])
    text = bare.read_text(encoding="utf-8")
    bare.write_text(re.sub('"sha256": "..', '"sha256": "ff', text, count=1), encoding="utf-8")
    result = specs.run(*against, "--eac-compare-fail=locality:0%", "-k", "baseline")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*made with another spec*: edit 1.sha256: found 'ff* there*"])


def test_an_update_of_a_baseline_without_texts_is_not_taken_for_another_runs(
    specs: Specs, bare: Path
) -> None:
    update = ("--eac-baseline=bare.json", "--eac-update-baseline", WITHOUT)
    result = specs.run("--eac-from-results=full.json", *update)
    result.stdout.fnmatch_lines(["baseline written to *: chains: 1 replaced, 0 added, 0 of*kept"])
    assert not quotes(specs, bare.read_text(encoding="utf-8"))


def test_data_that_have_changed_are_not_shown_and_are_another_spec(
    specs: Specs, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(bare.parent)
    explained = printed(capsys, "explain", EFFICACY, "--results=bare.json")
    missed = explained[explained.index("missed: ") :]
    assert f"{NOT_STORED}, nor in the spec as it is now" in missed
    result = specs.run("--eac-from-results=bare.json")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*recorded from another spec: edit 1.sha256: found *"])


def test_a_spec_that_has_moved_has_the_texts_of_what_it_judges(specs: Specs, bare: Path) -> None:
    (bare.parent / "moved").mkdir()
    for name in ("small.eac.yaml", "facts.jsonl"):
        (bare.parent / name).rename(bare.parent / "moved" / name)
    result = specs.run("moved", "--eac-from-results=bare.json")
    result.assert_outcomes(passed=1, failed=1)
    assert quotes(specs, result.stdout.str())
    result.stdout.no_fnmatch_line("*not stored*")


def test_another_spec_of_the_same_name_hides_none_beside_the_file(
    specs: Specs, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = bare.parent / "elsewhere"
    elsewhere.mkdir()
    other = "[{subject: Oslo, prompt: '{} lies in', target: Peru}]"
    specs.write(name="elsewhere/small.eac.yaml", edits=other)
    monkeypatch.chdir(elsewhere)
    (found,), (full,) = (
        each.chains
        for each in (with_texts(read_record(bare), bare), read_record(bare.parent / "full.json"))
    )
    assert found.edits == full.edits


def test_a_name_that_no_file_can_have_is_no_spec(bare: Path) -> None:
    text = bare.read_text(encoding="utf-8")
    bare.write_text(text.replace("small.eac.yaml", "a" * 5000 + ".yaml"), encoding="utf-8")
    assert with_texts(read_record(bare), bare) == read_record(bare)


def test_a_prompt_that_the_spec_has_not_is_reported(specs: Specs, bare: Path) -> None:
    text = bare.read_text(encoding="utf-8")
    bare.write_text(text.replace('"index": 0', '"index": 99'), encoding="utf-8")
    with pytest.raises(RecordError, match=r"bare\.json: .*\[99\] of edit \d, which has no such"):
        with_texts(read_record(bare), bare)
    result = specs.run("--eac-from-results=bare.json")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*bare.json: *which has no such prompt; run the spec again*"])


def test_a_baseline_has_texts_as_its_last_update_says(specs: Specs, bare: Path) -> None:
    full = read_record(bare.parent / "full.json")
    other = Record(environment={}, chains=tuple(replace(each, seed=4) for each in full.chains))
    with_hashes = Baseline(bare, (), update=True)
    with_hashes.store(other, complete=True)
    assert quotes(specs, bare.read_text(encoding="utf-8"))  # the texts of the new chain
    assert [each.edits for each in read_record(bare).chains] == [full.chains[0].edits] * 2
    Baseline(bare, (), update=True).store(other, complete=True, texts=False)
    assert not quotes(specs, bare.read_text(encoding="utf-8"))
