"""Runs that are stopped: what was made is kept, and the same command goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record
from tests.chains import timeless
from tests.conftest import WORLD

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.records.run import Chain, Record
    from tests.plugin.conftest import Specs

EIGHT = f"[{{from: {WORLD}, format: jsonl, take: 8}}]"
TWO = (
    "[eac: {base: rome-eac, layers: [1], contexts: {texts: ['{}']}},"
    " plain: {base: rome, layers: [1], covariance: none, contexts: {texts: ['{}']}}]"
)


# A run that signals itself, or as a worker the process that has started it, once it has solved so
# many edits. It does so while it writes the last of them: nobody has to be quick enough.
STOPPING = """
import os, signal, time
from pytest_eac.cache.entries import Cache

write, written = Cache.write, []

def counted(cache, kind, key, entry):
    write(cache, kind, key, entry)
    if kind != "edits":
        return
    written.append(key)
    if len(written) == {after}:
        while not os.path.exists("{needed}"):
            time.sleep(0.01)
        os.kill(os.{process}(), {signal:d})

Cache.write = counted
"""


def command(folder: Path, cache: str, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["small.eac.yaml", f"--eac-cache-dir={cache}", f"--eac-results={cache}.json"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *more],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def stopped(
    specs: Specs, *more: str, after: int, by: signal.Signals, needed: str = "small.eac.yaml"
) -> str:
    """Run a spec that is stopped in its cache's nth edit; returns what it printed.

    Args:
        specs: where the spec is.
        more: options of the run.
        after: how many edits are solved by then.
        by: the signal, which with workers goes to the process that has started them.
        needed: a file that has to be there first.
    """
    process = "getppid" if "-n" in more else "getpid"
    text = STOPPING.format(after=after, needed=needed, process=process, signal=by)
    conftest = specs.pytester.makeconftest(text)
    printed = command(specs.pytester.path, "cache", *more).stdout
    conftest.unlink()
    return printed


def solved(folder: Path, cache: str) -> int:
    """Count the edits that lie in a cache, whole."""
    return len(list((folder / cache / "edits").rglob("*.safetensors")))


def lasting(record: Record) -> list[Chain]:
    """Return the chains without what differs from run to run."""
    return [timeless(chain) for chain in record.chains]


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 11])
def test_a_killed_run_goes_on_from_its_last_edit_to_the_same_record(
    specs: Specs, after: int
) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT)
    stopped(specs, after=after, by=signal.SIGKILL)
    assert solved(folder, "cache") == after
    if after > 8:  # the first chain had ended: its record is there, and whole
        assert len(read_record(folder / "cache.json").chains) == 1

    assert "2 passed" in command(folder, "cache").stdout
    record = read_record(folder / "cache.json")
    assert sum(cost.cached for chain in record.chains for cost in chain.per_edit) == after
    assert solved(folder, "cache") == 16

    assert "2 passed" in command(folder, "other").stdout
    assert lasting(record) == lasting(read_record(folder / "other.json"))


@pytest.mark.slow
@pytest.mark.parametrize("with_", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_tells_how_far_it_came_and_how_to_go_on(
    specs: Specs, with_: signal.Signals
) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT)
    text = stopped(specs, after=11, by=with_)
    assert "KeyboardInterrupt" in text
    assert solved(folder, "cache") == 11
    told = [line for line in text.splitlines() if line.startswith("interrupted after ")]
    assert told == [  # the edit that was being written is kept, but not counted
        "interrupted after 2 of 8 edits of small plain-s0; to go on, run the same command again: "
        "solved edits are kept"
    ], text
    (ended,) = read_record(folder / "cache.json").chains
    assert ended.method == "eac"


@pytest.mark.slow
def test_a_killed_run_of_several_workers_has_the_chains_that_had_ended(specs: Specs) -> None:
    folder = specs.pytester.path
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT, more="seeds: [0, 1]")
    stopped(specs, "-n", "1", after=19, by=signal.SIGKILL, needed="cache.json")
    assert [chain.name for chain in read_record(folder / "cache.json").chains][:1] == ["eac-s0"]


@pytest.mark.slow
@pytest.mark.parametrize("with_", [signal.SIGINT, signal.SIGTERM])
def test_a_run_of_workers_that_is_stopped_tells_how_to_go_on(
    specs: Specs, with_: signal.Signals
) -> None:
    specs.write("{efficacy: {min: 0.0}}", methods=TWO, edits=EIGHT)
    text = stopped(specs, "-n", "1", after=3, by=with_)
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
    text = run.stdout
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
