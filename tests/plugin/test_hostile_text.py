"""Every text that others wrote, made as bad as it can be, in every output that quotes it."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from pytest_eac.cli import main
from pytest_eac.records.checkpoint_diff import Changes, ExtraFile, TensorDifference
from pytest_eac.records.json_files import from_json, to_json
from pytest_eac.records.run import (
    Comparison,
    Record,
    Release,
    Unfinished,
    Verdict,
)
from pytest_eac.reporting.html.page import report_page
from pytest_eac.reporting.markdown import summary
from pytest_eac.reporting.outcomes import Outcome, annotation
from tests.conftest import TINY_LLAMA
from tests.judging.hand_made_chains import ABILITY, chain, checkpoint, miss, share
from tests.plugin.conftest import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugin.conftest import Specs

NASTY = (
    "x\x1b[2J\x9b2J\r\n::error::injected\n ##[error]y\n%0A::warning::z\u202e\u2066\u200b"
    "<script>alert(1)</script>```\n| `b` | --- |\n\n# heading"
)
SHORT = "x\x1b[2J\n::error::y\u202e|`"  # a prompt has room for it
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def assert_harmless(text: str) -> None:
    """Nothing acts on a terminal, and no line is a command but our own annotations."""
    assert CONTROLS.findall(text) == [], repr(text)
    for line in text.splitlines():
        own = line.startswith("::error file=")
        assert own or not line.lstrip().startswith("::"), line
        assert "##[" not in line, line


def assert_markdown(text: str) -> None:
    """Tables have as many cells in each row as in their heading; no markup stands outside code."""
    assert_harmless(text)
    plain = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", text)
    assert "<script" not in plain
    assert "\n# heading" not in plain
    width = 0
    for line in plain.splitlines():
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0
        assert not (width and cells) or cells == width, line
        width = cells


def assert_page(text: str) -> None:
    """No text of others is a script of the page."""
    assert not CONTROLS.search(text)
    assert "<script>alert" not in text
    assert text.count("<script") == 2


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each text in data, to the first item of each list alone."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list) and value:
        yield from leaves(value[0], (*path, 0))


def spoiled(value: Any, path: tuple[Any, ...]) -> Any:
    """The same data with a text replaced."""
    if not path:
        return NASTY
    copy = value.copy()
    copy[path[0]] = spoiled(value[path[0]], path[1:])
    return copy


def measured() -> dict[str, Any]:
    """A record with a text in each of its fields."""
    bad, able = share(0.25, 2, miss(0)), replace(ABILITY, n=2)
    judged: dict[str, Any] = {
        "check": "efficacy",
        "outcome": "failed",
        "observed": 0.5,
        "required": "at least 1",
        "message": "too low",
        "p": 0.2,
        "p_adjusted": 0.2,
        "correction": "holm",
        "corrected_over": 2,
    }
    first, second = (
        replace(
            chain(replace(checkpoint(2, bad, locality=bad), abilities={"nli": able}), method=name),
            known=share(0.5, 2),
            before=("Rome", "Rome"),
            abilities={"nli": able},
            verdicts=(Verdict(**judged),),
        )
        for name in ("rome", "memit")
    )
    tensor = TensorDifference(name="w", kind="renamed", file="f", shape=(1,), dtype="F32", was="v")
    release = Release(
        spec=first.spec,
        base="base",
        edited="release",
        changes=Changes(
            tensors=1,
            differences=(tensor,),
            troubles=("x",),
            rank_limit=1,
            extra=(ExtraFile(name="file", why="unknown"),),
            unedited=("other",),
            fingerprint="ab",
            base_fingerprint="cd",
        ),
        manifest=True,
        broken_promises=("promise",),
        signature=("unsigned",),
        verdict=Verdict(**judged),
    )
    record = Record(
        environment={"torch": "2"},
        chains=(first, second),
        comparisons=(Comparison(spec=first.spec, **judged),),
        releases=(release,),
        unfinished=(Unfinished(chain=first, error="NonFiniteError", reason="stopped"),),
    )
    data: dict[str, Any] = json.loads(to_json(record))
    return data


RECORD = measured()


# What an unfinished chain has, a chain has.
PATHS = [path for path in leaves(RECORD) if path[:3] != ("unfinished", 0, "chain")]


def compared(files: list[Path], capsys: pytest.CaptureFixture[str], forms: tuple[str, ...]) -> None:
    for form in forms:
        main(["compare", *map(str, files), f"--format={form}"])
        printed = capsys.readouterr()
        assert_harmless(printed.out + printed.err)
        if form == "markdown":
            assert_markdown(printed.out)
        if form == "json" and printed.out:
            json.loads(printed.out)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_text_of_a_record_is_harmless_where_records_are_compared(
    path: tuple[Any, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    for file, data in zip(files, (RECORD, spoiled(RECORD, path)), strict=True):
        file.write_text(json.dumps(data), encoding="utf-8")
    compared(files, capsys, ("table",))


def test_the_texts_of_a_record_are_harmless_in_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = RECORD
    for path in PATHS:
        try:
            from_json(json.dumps(spoiled(data, path)))
        except ValueError:  # one of a few words
            continue
        data = spoiled(data, path)
    record = from_json(json.dumps(data))
    assert record.chains[0].model.id == NASTY
    (tmp_path / "a.json").write_text(json.dumps(data), encoding="utf-8")
    forms = ("table", "markdown", "json")
    compared([tmp_path / "a.json"], capsys, forms)
    compared([tmp_path / "a.json", tmp_path / "a.json"], capsys, forms)
    judged = [
        Outcome(name=NASTY, outcome="failed", file=NASTY, line=1, message=NASTY, refers=refers)
        for refers in (False, True)
    ]
    judged += [replace(judged[0], outcome=kind) for kind in ("passed", "skipped", "xfailed")]
    assert_markdown(summary(record.chains, judged, record.unfinished))
    assert_page(report_page(record, judged, command=NASTY, version="1"))
    for each in judged:
        assert_harmless(annotation(each))


def outputs(specs: Specs, *arguments: str, colour: str = "no") -> str:
    """Run pytest with all outputs, look at each, and return what the terminal shows."""
    result = specs.run(
        "-v", "-rA", f"--color={colour}", "--junitxml=junit.xml", "--eac-results=results.json",
        "--eac-summary=summary.md", "--eac-report=page.html", *arguments,
    )  # fmt: skip
    terminal = result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in terminal
    assert_harmless(terminal)
    folder = specs.pytester.path
    ET.parse(folder / "junit.xml")
    if (folder / "results.json").exists():
        json.loads((folder / "results.json").read_text(encoding="utf-8"))
        assert_markdown((folder / "summary.md").read_text(encoding="utf-8"))
        assert_page((folder / "page.html").read_text(encoding="utf-8"))
    return terminal


@pytest.fixture(autouse=True)
def _on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


def spec_of(edit: dict[str, Any], **more: Any) -> str:
    data = {
        "eac": 1,
        "name": NASTY,
        "model": str(TINY_LLAMA),
        "methods": yaml.safe_load(QUICK),
        "checks": {"efficacy": {"min": 1}, "locality": {"min": 1}, "known": {"min": 1}},
        "known_issues": [{"check": "known", "reason": NASTY}],
        "edits": [edit],
        **more,
    }
    return str(yaml.safe_dump(data))


def edit_of(facts: dict[str, Any]) -> dict[str, Any]:
    """An edit whose texts all are nasty, so that it fails its checks."""
    return {
        "subject": facts["subject"],
        "prompt": f"{SHORT} {facts['subject']} is",
        "target": SHORT,
        "truth": f"other {SHORT}",
        "paraphrases": [f"{SHORT} of {facts['subject']}"],
        "neighborhood": [{"prompt": f"{SHORT} near", "answer": f"near {SHORT}"}],
    }


def test_texts_of_a_spec_and_the_name_of_its_file_are_harmless(
    specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = specs.pytester.path / "a\x1b[2J\n::error::x\u202e##[y]|`b`<script>.eac.yaml".replace(
        "/", ""
    )
    path.write_text(spec_of(edit_of(specs.facts[0])), encoding="utf-8")
    terminal = outputs(specs)
    assert "efficacy" in terminal
    assert r"\x1b[2J" in terminal
    assert "XFAIL" in terminal
    outputs(specs, "--collect-only")
    capsys.readouterr()
    for command in ("validate", "ask"):
        main([command, str(path)])
        printed = capsys.readouterr()
        assert_harmless(printed.out + printed.err)


def test_texts_of_a_data_file_are_harmless(specs: Specs) -> None:
    (specs.pytester.path / "rows.jsonl").write_text(json.dumps(edit_of(specs.facts[0])) + "\n")
    specs.write("{efficacy: {min: 1}}", edits="[{from: rows.jsonl, format: jsonl}]", methods=QUICK)
    assert "efficacy FAILED" in outputs(specs)


WRONG: dict[str, dict[str, Any]] = {
    "key": {NASTY: 1},
    "model": {"model": NASTY},
    "dtype": {"model": {"id": "x", "dtype": NASTY}},
    "method": {"methods": [NASTY]},
    "base": {"methods": [{"a": {"base": NASTY}}]},
    "option": {"methods": [{"a": {"base": "rome", NASTY: 1}}]},
    "check": {"checks": {NASTY: {"min": 1}}},
    "ability": {"checks": {"abilities": {NASTY: {}}}},
    "mark": {"marks": [NASTY]},
    "known issue": {"known_issues": [{"check": NASTY, "reason": "x"}]},
    "extends": {"extends": NASTY},
    "source": {"edits": [{"from": NASTY}]},
    "format": {"edits": [{"from": "x.jsonl", "format": NASTY}]},
    "seed": {"seeds": [NASTY]},
    "subject": {"edits": [{"subject": NASTY, "prompt": "x", "target": "y"}]},
    "target": {"edits": [{"subject": "x", "prompt": "x is", "target": [NASTY]}]},
    "compare": {"checks": {"compare": [{"metric": NASTY, "subject": NASTY, "than": NASTY}]}},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_spec_is_reported_harmlessly(
    name: str, specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = specs.pytester.path / "small.eac.yaml"
    edit = {"subject": "x", "prompt": "x is", "target": "y"}
    path.write_text(spec_of(edit, **WRONG[name]), encoding="utf-8")
    terminal = outputs(specs)
    assert "Traceback" not in terminal
    capsys.readouterr()
    main(["validate", str(path)])
    printed = capsys.readouterr()
    assert_harmless(printed.out + printed.err)


def test_texts_of_a_release_are_harmless(specs: Specs) -> None:
    out = specs.pytester.path / "released"
    path = specs.write("{efficacy: {min: 0.0}, changed: {manifest: true}}", methods=QUICK)
    assert main(["export", str(path), "--out", str(out)]) == 0
    assert_markdown((out / "README.md").read_text(encoding="utf-8"))
    manifest = json.loads((out / "edit-manifest.json").read_text(encoding="utf-8"))
    for way in leaves(manifest):
        if way not in {("form",), ("base", "dtype")}:
            manifest = spoiled(manifest, way)
    manifest["changed"][NASTY] = {"before": NASTY, "after": NASTY}
    (out / "edit-manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        file = out / name
        data = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        data |= {NASTY: NASTY, "chat_template": NASTY}
        file.write_text(json.dumps(data), encoding="utf-8")
    tensors = load_file(out / "model.safetensors")
    tensors[NASTY] = tensors["model.norm.weight"].clone()
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    (out / "a\x1b[2J\n::error::x\u202e.bin").write_bytes(b"")
    terminal = outputs(specs, "--eac-edited=released")
    assert "chat_template" in terminal
    assert r"a\x1b[2J\n\x3a:error::x\u202e.bin: is a pickle" in terminal
    shutil.rmtree(out)


WARNING = """
import warnings
import torch
from pytest_eac import WeightDelta

def solve(model, edits, settings):
    warnings.warn("from a library: " + TEXT)
    path = model.layout.down.format(settings.layers[0])
    return WeightDelta(module=path, left=torch.zeros(64, 176))

def pytest_eac_register_methods():
    return {"warning": solve}

def lines(path):
    warnings.warn("from a source: " + TEXT)
    yield {"subject": "Rome", "prompt": "{} is", "target": "big"}

def pytest_eac_register_sources():
    return {"lines": lines}
"""


@pytest.mark.parametrize("workers", [(), pytest.param(("-n1",), marks=pytest.mark.slow)])
def test_warnings_that_quote_a_model_or_data_are_harmless(
    specs: Specs, workers: tuple[str, ...]
) -> None:
    specs.pytester.makeconftest(f"TEXT = {NASTY!r}\n{WARNING}")
    (specs.pytester.path / "data.txt").touch()
    specs.write(
        edits="[{from: data.txt, format: lines}]", methods="[w: {base: warning, layers: [1]}]"
    )
    terminal = outputs(specs, "-Walways", *workers)
    for place in ("library", "source"):
        assert f"UserWarning: from a {place}: x\\x1b[2J\\x9b2J" in terminal
    assert r"\x3a:error::injected" in terminal


def test_warnings_of_other_tests_stay_as_they_are(specs: Specs) -> None:
    specs.write()
    specs.pytester.makepyfile("import warnings\ndef test_it():\n    warnings.warn('a\\x1b[31mred')")
    result = specs.run("-Walways")
    result.assert_outcomes(passed=2, warnings=1)
    assert "a\x1b[31mred" in result.stdout.str()


def test_warnings_of_commands_are_harmless(
    specs: Specs,
) -> None:
    (specs.pytester.path / "data.txt").touch()
    path = specs.write(edits="[{from: data.txt, format: lines}]")
    specs.pytester.makeconftest(f"TEXT = {NASTY!r}\n{WARNING}")
    with pytest.warns(UserWarning, match="from a source") as warned:
        main(["validate", str(path)])
    assert_harmless("\n".join(str(each.message) for each in warned))


def test_texts_of_a_baseline_and_of_stored_records_are_harmless(specs: Specs, stored: Path) -> None:
    data = json.loads(stored.read_text(encoding="utf-8"))
    kept = {"spec", "method", "scoring", "prompt", "target", "subject", "excluded", "outcome"}
    for way in leaves(data):
        if not kept & set(way) and "hyperparameters" not in way and "fingerprint" not in way:
            data = spoiled(data, way)
    hostile = specs.pytester.path / "hostile.json"
    hostile.write_text(json.dumps(data), encoding="utf-8")
    outputs(specs, f"--eac-from-results={hostile.name}")
    outputs(specs, f"--eac-from-results={stored.name}", f"--eac-baseline={hostile.name}",
            "--eac-compare-fail=efficacy:0.5")  # fmt: skip
