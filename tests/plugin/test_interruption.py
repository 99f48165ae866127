"""Runs that are stopped: what was made is kept, and the same command goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record
from tests.plugin.conftest import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.records.run import Chain, Record
    from tests.plugin.conftest import Specs

EIGHT = f"[{{from: {FIXTURES / 'world.jsonl'}, format: jsonl, take: 8}}]"
TWO = (
    "[eac: {base: rome-eac, layers: [1], contexts: {texts: ['{}']}},"
    " plain: {base: rome, layers: [1], covariance: none, contexts: {texts: ['{}']}}]"
)


def command(folder: Path, cache: str, *more: str) -> subprocess.Popen[str]:
    arguments = ["small.eac.yaml", f"--eac-cache-dir={cache}", f"--eac-results={cache}.json"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *more],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def solved(folder: Path, cache: str) -> int:
    """Count the edits that lie in a cache, whole."""
    return len(list((folder / cache / "edits").rglob("*.safetensors")))


def stop(run: subprocess.Popen[str], folder: Path, after: int, with_: signal.Signals) -> str:
    """Stop a run as soon as so many edits are solved; returns what it printed."""
    for _ in range(12_000):
        if solved(folder, "cache") >= after:
            break
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.005)
    run.send_signal(with_)
    return run.communicate(timeout=60)[0]


def lasting(record: Record) -> list[Chain]:
    """Return the chains without what differs from run to run: time, memory, the cache's share."""
    return [
        replace(
            chain,
            seconds=0.0,
            cached_measurements=0,
            per_edit=tuple(
                replace(cost, seconds=0.0, peak_bytes=None, cached=False) for cost in chain.per_edit
            ),
        )
        for chain in record.chains
    ]


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 11])
def test_a_killed_run_goes_on_from_its_last_edit_to_the_same_record(
    specs: Specs, after: int
) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT)
    stop(command(folder, "cache"), folder, after, signal.SIGKILL)
    kept = solved(folder, "cache")
    assert after <= kept < 16
    if after > 8:  # the first chain had ended: its record is there, and whole
        assert len(read_record(folder / "cache.json").chains) == 1

    again = command(folder, "cache")
    assert "2 passed" in again.communicate(timeout=120)[0]
    record = read_record(folder / "cache.json")
    assert sum(cost.cached for chain in record.chains for cost in chain.per_edit) == kept
    assert solved(folder, "cache") == 16

    whole = command(folder, "other")
    assert "2 passed" in whole.communicate(timeout=120)[0]
    assert lasting(record) == lasting(read_record(folder / "other.json"))


@pytest.mark.slow
@pytest.mark.parametrize("with_", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_tells_how_far_it_came_and_how_to_go_on(
    specs: Specs, with_: signal.Signals
) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT)
    text = stop(command(folder, "cache"), folder, 11, with_)
    assert "KeyboardInterrupt" in text
    kept = solved(folder, "cache")
    told = [line for line in text.splitlines() if line.startswith("interrupted after ")]
    assert len(told) == 1, text
    done = int(told[0].split()[2])
    assert done in {kept - 8, kept - 9}  # an edit is kept just before it is told
    assert told[0].endswith(
        f"after {done} of 8 edits of small plain-s0; to go on, run the same command again: "
        "solved edits are kept"
    )
    (ended,) = read_record(folder / "cache.json").chains
    assert ended.method == "eac"


@pytest.mark.slow
def test_a_killed_run_of_several_workers_has_the_chains_that_had_ended(specs: Specs) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT, more="seeds: [0, 1]")
    run = command(folder, "cache", "-n", "1")
    stop(run, folder, 19, signal.SIGKILL)
    assert [chain.name for chain in read_record(folder / "cache.json").chains][:1] == ["eac-s0"]


@pytest.mark.slow
@pytest.mark.parametrize("with_", [signal.SIGINT, signal.SIGTERM])
def test_a_run_of_workers_that_is_stopped_tells_how_to_go_on(
    specs: Specs, with_: signal.Signals
) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT)
    text = stop(command(folder, "cache", "-n", "1"), folder, 3, with_)
    assert "KeyboardInterrupt" in text
    told = "interrupted; to go on, run the same command again: solved edits are kept"
    assert text.splitlines().count(told) == 1, text


@pytest.mark.slow
def test_a_run_whose_workers_are_all_killed_goes_on_with_new_ones(specs: Specs) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT)
    specs.pytester.makeconftest(
        """
        import os, signal
        def pytest_runtest_setup(item):
            for name in ("first", "second"):
                try:
                    open(name, "x").close()  # one worker only creates it
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    run = command(folder, "cache", "-n", "2")
    text = run.communicate(timeout=240)[0]
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, text
    assert (
        "2 workers of pytest-xdist died (killed, or out of memory); to go on, run the same command "
        "again, with fewer workers (-n) if memory is short: solved edits are kept"
    ) in text
    record = read_record(folder / "cache.json")
    assert [chain.name for chain in record.chains] == ["eac-s0", "plain-s0"]


def test_stopping_at_the_first_failure_is_no_interruption(specs: Specs) -> None:
    specs.write("{efficacy: {min: 1.0}, locality: {min: 1.0}}", edits=EIGHT)
    result = specs.pytester.runpytest_subprocess("-n", "1", "-x")
    assert "stopping after 1 failures" in result.stdout.str()
    assert "to go on" not in result.stdout.str()
