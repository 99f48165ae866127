import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from pytest_eac.cli import main
from pytest_eac.errors import NonFiniteError
from pytest_eac.measuring import sweep
from pytest_eac.measuring.chain import RunOptions, run_chain
from pytest_eac.records.run import Chain, Unfinished
from pytest_eac.store import read_record
from tests.command_line import run
from tests.conftest import ROOT, TINY_LLAMA, WORLD
from tests.files import write

METHODS = "methods: [{weak: {base: rome, layers: [1]}}, {eac: {base: rome-eac, layers: [1]}}]\n"
SPEC = f"eac: 1\nmodel: {TINY_LLAMA}\n{METHODS}edits: [{{from: {WORLD}, format: jsonl, take: 6}}]\n"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write(tmp_path / "some.eac.yaml", SPEC)


def test_a_sweep_shows_keeps_and_draws_every_value_of_every_method(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "new" / name for name in ("all.json", "all.html", "all.svg")]
    code, out, err = run(
        capsys, "sweep", spec, "--set", "value.clamp=0.2,4", "--limit-edits", 2,
        "--cache-dir", tmp_path / "cache",
        "--results", files[0], "--report", files[1], "--picture", files[2],
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if len(line) > 80 and "written to" not in line] == []
    assert [line for line in out.splitlines() if line in {"weak", "eac"}] == ["weak", "eac"]
    assert out.count("  chosen: value.clamp=") == 2
    chains = read_record(files[0]).chains
    names = [f"{name}[value.clamp={value}]" for name in ("weak", "eac") for value in (0.2, 4)]
    assert [chain.method for chain in chains] == names
    assert [chain.hyperparameters["value"]["clamp"] for chain in chains] == [0.2, 4, 0.2, 4]
    moved = [chain.checkpoints[-1].deviation.l1_relative for chain in chains]
    assert moved[0] < moved[1]
    assert moved[2] < moved[3]
    assert "eac[value.clamp=4]" in files[1].read_text(encoding="utf-8")
    assert len(ET.parse(files[2]).getroot().findall(".//*[@class='method']")) == 2


def test_a_split_chooses_by_one_half_of_the_edits_and_confirms_on_the_other(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "all.json"
    code, out, _ = run(
        capsys, "sweep", spec, "--set", "value.clamp=0.2,4", "--method", "weak", "--split",
        "--keep", "efficacy", "--within", 0, "--cache-dir", tmp_path / "cache",
        "--results", results,
    )  # fmt: skip
    assert code == 0
    assert "weak (half of the edits)" in out
    assert "weak (the other half)" in out
    assert "efficacy is at most 0 below the highest" in " ".join(out.split())
    *tried, confirmed = read_record(results).chains
    assert [chain.name for chain in tried] == [f"weak[value.clamp={v}]-s0" for v in (0.2, 4)]
    assert confirmed.name == "weak[value.clamp=4]-s0-e1"
    origins = [[edit.origin for edit in chain.edits] for chain in (tried[0], confirmed)]
    assert [len(each) for each in origins] == [3, 3]
    assert len(set(origins[0] + origins[1])) == 6
    assert [sorted(each, key=_line) for each in origins] == origins


def _line(origin: str) -> int:
    return int(re.findall(r"\d+", origin)[-1])


def test_an_interrupted_sweep_keeps_its_chains_and_goes_on_where_it_was(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "all.json"
    given = (
        "sweep", spec, "--set", "value.clamp=0.2,1,4", "--method", "weak", "--limit-edits", 2,
        "--cache-dir", tmp_path / "cache", "--results", results,
    )  # fmt: skip
    runs: list[object] = []

    def interrupted(*arguments: object, **options: object) -> object:
        runs.append(arguments)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return run_chain(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "run_chain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main([str(each) for each in given])
    assert len(read_record(results).chains) == 2
    monkeypatch.setattr(sweep, "run_chain", run_chain)
    code, out, _ = run(capsys, *given)
    assert code == 0
    assert "4 of 6 edits and" in out
    assert len(read_record(results).chains) == 3


def test_a_value_that_stops_a_chain_does_not_stop_the_others(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any, options: RunOptions, **more: Any) -> Chain:
        chain = run_chain(*arguments, options=options, **more)
        if "=0.2]" in chain.method and options.stopped:
            options.stopped(Unfinished(chain=chain, error="NonFiniteError", reason="a loss is NaN"))
            raise NonFiniteError("a loss is NaN")
        return chain

    monkeypatch.setattr(sweep, "run_chain", failing)
    results = tmp_path / "all.json"
    code, out, _ = run(
        capsys, "sweep", spec, "--set", "value.clamp=0.2,4", "--method", "weak",
        "--limit-edits", 1, "--cache-dir", tmp_path / "cache", "--results", results,
    )  # fmt: skip
    assert code == 1
    assert "weak[value.clamp=0.2]-s0: stopped after 1 of 1 edits by NonFiniteError" in out
    assert "  chosen: value.clamp=4" in out
    record = read_record(results)
    assert (len(record.chains), len(record.unfinished)) == (1, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "value.clmp=1"), "--set value.clmp=1: weak, eac: unknown key 'clmp'; did you"),
        (("--set", "value.clamp=1", "--method", "romme"), "--method: unknown method 'romme' for"),
        (("--set", "value.clamp=1", "--keep", "deviation"), "--keep: 'deviation' is no share over"),
        (
            ("--set", "value.clamp=1", "--split", "--limit-edits", "1"),
            "--split: found one edit, expected at least two",
        ),
        (("--set", "layers=[1],[9]"), "weak[layers=[9]]: layer 9 cannot be edited: the model has"),
        (
            ("--set", "value.clamp=1", "--picture", str(ROOT / "README.md")),
            "README.md: there is a file that does not hold the picture of an earlier run",
        ),
    ],
)
def test_what_is_wrong_is_reported_before_the_first_edit(
    spec: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr(sweep, "run_chain", lambda *_, **__: pytest.fail("a chain was run"))
    code, out, err = run(capsys, "sweep", spec, *options, "--cache-dir", tmp_path / "cache")
    assert (code, out) == (1, "")
    assert said in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "clamp"), "argument --set: found 'clamp', expected OPTION=VALUE,..."),
        (("--set", "a=1", "--within", "2"), "argument --within: found '2', expected a number from"),
        ((), "the following arguments are required: --set"),
    ],
)
def test_wrong_usage_is_said(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit):
        main(["sweep", "x.yaml", *options])
    assert said in capsys.readouterr().err
