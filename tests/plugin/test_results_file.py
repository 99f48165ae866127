"""When the results file is written, in which order, and what becomes of outputs that fail."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_eac.plugin.options import read_options
from pytest_eac.plugin.run_outputs import ResultsFile
from pytest_eac.plugin.session import EacSession
from pytest_eac.records.run import Comparison, Record
from pytest_eac.store import read_record
from tests.judging.hand_made_chains import chain, checkpoint, rewritten

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.records.run import Chain
    from tests.plugin.conftest import Specs

STORED = "--eac-from-results=stored.json"


@pytest.mark.parametrize("chains", [400, 800])
def test_the_work_of_writing_grows_with_the_chains_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chains: int
) -> None:
    written = written_chains(tmp_path, monkeypatch, count=chains, measuring=1.0, writing=1.0)
    assert written[-1] == chains
    assert sum(written) <= 2.2 * chains  # after each chain it would be 80,600 and 321,200


def test_chains_that_take_long_are_written_as_they_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = written_chains(tmp_path, monkeypatch, count=9, measuring=60.0, writing=0.01)
    assert written == [*range(1, 10), 9]


def written_chains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, count: int, measuring: float, writing: float
) -> list[int]:
    """Let chains end one after the other; returns how many there are in each file written.

    Args:
        folder: where to.
        monkeypatch: takes the place of writing.
        count: of the chains.
        measuring: seconds that each takes to be measured.
        writing: seconds that each takes to be written, every time.
    """
    now = 0.0
    written: list[int] = []

    def write_record(_: Path, record: Record) -> None:
        nonlocal now
        written.append(len(record.chains))
        now += writing * len(record.chains)

    monkeypatch.setattr("pytest_eac.plugin.run_outputs.write_record", write_record)
    results = ResultsFile(folder / "results.json", clock=lambda: now)
    every = Record(environment={}, chains=(chain(checkpoint(1)),) * count)
    for ended in range(1, count + 1):
        now += measuring
        so_far = replace(every, chains=every.chains[:ended])
        results.write(lambda so_far=so_far: so_far, last=False)  # type: ignore[misc]
    results.write(lambda: every, last=True)
    return written


@pytest.fixture
def eac(specs: Specs) -> EacSession:
    config = specs.pytester.parseconfigure("--eac-results=results.json")
    return EacSession(config, read_options(config))


def test_results_are_in_the_order_of_collection_whichever_worker_ends_first(
    eac: EacSession,
) -> None:
    def named(spec: str, method: str, seed: int) -> Chain:
        return replace(chain(checkpoint(1)), spec=spec, method=method, seed=seed)

    def compared(check: str) -> Comparison:
        return Comparison(
            spec="b.yaml", check=check, outcome="passed", observed=1.0, required="", message=""
        )

    in_order = [
        named("b.yaml", "rome", 0),
        named("b.yaml", "rome", 10),
        named("b.yaml", "ft", 0),
        named("a.yaml", "rome", 0),
    ]
    first, second = compared("locality-ft-than-rome"), compared("efficacy-rome-than-ft")
    eac.order.note(
        [f"{each.spec}::{each.name}::{check}" for each in in_order for check in ("x", "y")]
        + [f"b.yaml::compare::{each.check}" for each in (first, second)]
    )
    for each in reversed(in_order):
        eac.absorb(Record(environment={}, chains=(each,)))
    eac.absorb(Record(environment={}, chains=(), comparisons=(second, first)))
    assert [(each.spec, each.name) for each in eac.record().chains] == [
        (each.spec, each.name) for each in in_order
    ]
    assert eac.record().comparisons == (first, second)


def test_workers_that_have_read_other_edits_from_one_spec_are_a_trouble_of_the_run(
    eac: EacSession,
) -> None:
    one = replace(chain(checkpoint(1)), spec="a.yaml", method="rome", seed=0)
    changed = (*one.edits[:-1], rewritten(one.edits[-1], target="Oslo"))
    for each in (one, replace(one, method="ft"), replace(one, spec="b.yaml", edits=changed)):
        eac.absorb(Record(environment={}, chains=(each,)))
    assert not eac.files.troubles
    eac.absorb(Record(environment={}, chains=(replace(one, method="memit", edits=changed),)))
    assert eac.files.troubles["edits"] == (
        f"a.yaml: rome-s0 and memit-s0 were made with other edits, since a file was changed while "
        f"the workers of pytest-xdist read it (edit {len(changed)}.target: found 'Paris' there, "
        "'Oslo' here); run again"
    )


def test_a_file_is_found_from_another_folder_than_the_root(specs: Specs) -> None:
    config = specs.pytester.parseconfigure()
    (specs.pytester.path / "deep").mkdir()
    specs.pytester.makeini("[pytest]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(specs.pytester.path / "deep")
        config = specs.pytester.parseconfigure("--rootdir", str(specs.pytester.path))
        eac = EacSession(config, read_options(config))
    eac.order.note(["deep/s.yaml::a-s0::x", "deep/s.yaml::b-s0::x"])
    both = [replace(chain(checkpoint(1)), spec="s.yaml", method=name, seed=0) for name in "ba"]
    for each in both:
        eac.absorb(Record(environment={}, chains=(each,)))
    assert [each.name for each in eac.record().chains] == ["a-s0", "b-s0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--collect-only",), ""),
        (("-k", "nothing"), "left as they were: nothing was measured"),
        (("broken.eac.yaml",), "left as they were: nothing was measured"),
        (("gone.eac.yaml",), "left as they were: nothing was measured"),
    ],
)
def test_a_run_that_measures_nothing_keeps_the_results_of_an_earlier_one(
    specs: Specs, stored: Path, arguments: tuple[str, ...], said: str
) -> None:
    folder = specs.pytester.path
    (folder / "broken.eac.yaml").write_text("eac: 1\nedits: 3\n")
    specs.write(name="gone.eac.yaml", model="./gone", edits="[{from: small.jsonl, format: jsonl}]")
    fact = '{"subject": "Oslo", "prompt": "{} lies in", "target": "Peru"}\n'
    (folder / "small.jsonl").write_text(fact)
    before = stored.read_bytes()
    result = specs.run("--eac-results=stored.json", "--eac-summary=out.md", *arguments)
    assert stored.read_bytes() == before
    results = [line for line in result.stdout.lines if line.startswith("results ")]
    assert results == ([f"results {stored} {said}"] if said else [])
    assert (folder / "out.md").exists() == (arguments != ("--collect-only",))


def test_every_output_that_cannot_be_written_is_reported_and_the_others_are_written(
    specs: Specs, stored: Path
) -> None:
    specs.pytester.makeconftest(
        """
        from pathlib import Path
        def pytest_collection_finish(session):
            for name in ("results.json", "base.json", "page.html"):
                Path(name).mkdir(exist_ok=True)
        """
    )
    result = specs.run(
        STORED,
        "--eac-results=results.json",
        "--eac-report=page.html",
        "--eac-summary=out.md",
        "--eac-baseline=base.json",
        "--eac-update-baseline",
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2)
    for name in ("results.json", "base.json", "page.html"):
        result.stdout.fnmatch_lines([f"*{name}: cannot be *: *directory*"])
    result.stdout.fnmatch_lines(["summary written to *out.md"])
    result.stdout.no_fnmatch_line("results written to *")
    assert (specs.pytester.path / "out.md").is_file()


def test_a_results_file_that_can_be_written_in_the_end_is_no_failure(
    eac: EacSession, specs: Specs
) -> None:
    in_the_way = specs.pytester.path / "results.json"
    in_the_way.mkdir()
    eac.write_results(last=True)
    assert list(eac.files.troubles) == ["results"]
    in_the_way.rmdir()
    eac.write_results(last=True)
    assert eac.files.troubles == {}
    assert read_record(in_the_way) == eac.record()


def test_what_leads_to_an_open_file_has_the_results_once(specs: Specs, stored: Path) -> None:
    target = specs.pytester.path / "elsewhere.json"
    with target.open("w", encoding="utf-8") as file:
        result = specs.run(STORED, f"--eac-results=/dev/fd/{file.fileno()}")
    result.assert_outcomes(passed=2)
    assert [each.name for each in read_record(target).chains] == ["eac-s0"]


def test_sigterm_ends_a_run_as_ctrl_c_does(specs: Specs, stored: Path) -> None:
    specs.pytester.makeconftest(
        """
        import signal
        def pytest_runtest_call(item):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            if item.name == "deviation":
                signal.raise_signal(signal.SIGTERM)
        """
    )
    arguments = (STORED, "--eac-results=results.json")
    result = specs.pytester.runpytest_inprocess(*arguments, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    told = "interrupted; to go on, run the same command again: solved edits are kept"
    assert result.stdout.str().splitlines().count(told) == 1
    result.stdout.fnmatch_lines(["*KeyboardInterrupt: SIGTERM*"])
    assert [each.name for each in read_record(specs.pytester.path / "results.json").chains] == [
        "eac-s0"
    ]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_sigterm_that_is_there_stays(specs: Specs, stored: Path) -> None:
    specs.pytester.makeconftest(
        """
        import signal
        def handler(*_): ...
        def pytest_configure(config):
            config.before = signal.signal(signal.SIGTERM, handler)
        def pytest_runtest_call(item):
            assert signal.getsignal(signal.SIGTERM) is handler
        def pytest_unconfigure(config):
            assert signal.signal(signal.SIGTERM, config.before) is handler
        """
    )
    specs.run(STORED).assert_outcomes(passed=2)


@pytest.mark.parametrize("option", ["results", "summary", "report"])
def test_a_socket_is_refused_before_any_work(specs: Specs, option: str) -> None:
    specs.write()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        result = specs.run(f"--eac-{option}=socket")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--eac-{option}: *socket: cannot be written: it is a socket; *"])


def test_a_baseline_that_is_no_file_is_not_updated(specs: Specs) -> None:
    os.mkfifo(specs.pytester.path / "pipe")
    specs.write()
    result = specs.run("--eac-baseline=pipe", "--eac-update-baseline")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--eac-baseline: *pipe: is not a file; --eac-update-baseline *"])
