"""Short runs of the fuzzer, whose long runs are started by hand; and what it must notice."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.fuzz import data, exports, kept, records, trial
from benchmarks.fuzz.__main__ import table
from benchmarks.fuzz.run import Plan, run, shares
from benchmarks.fuzz.table import KINDS
from benchmarks.fuzz.trial import make
from pytest_eac.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

# Workers are forks, which Python warns of where there are threads.
_FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_nothing_that_is_read_brings_a_reader_down(tmp_path: Path) -> None:
    found = run(shares(300, list(KINDS)), Plan(seed=2, keep=tmp_path))
    assert {name: tally.bad for name, tally in found.items() if tally.bad} == {}
    assert all(tally.outcomes for tally in found.values())
    assert found["spec"].outcomes["read"]


@pytest.mark.parametrize(
    ("family", "count"), [(records, 12), (exports, 12), (kept, 12), (data, 200)]
)
def test_some_of_what_is_changed_is_still_right(
    family: ModuleType, count: int, tmp_path: Path
) -> None:
    wanted = {kind.name: count for kind in family.KINDS}
    found = run(wanted, Plan(seed=0, keep=tmp_path))
    assert {name: tally.bad for name, tally in found.items() if tally.bad} == {}
    assert all(tally.outcomes["read"] for tally in found.values())


@_FORKS
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_input_brings_its_reader_down(kind: str, tmp_path: Path) -> None:
    found = run({kind: 2000}, Plan(seed=1, keep=tmp_path), jobs=1)[kind]
    assert not found.bad
    assert found.outcomes.total() == 2000
    # What is never read, or never refused, would show nothing.
    if kind not in {"soup", "adapter"}:
        assert found.outcomes["read"]
    if kind != "cache-entry":
        assert found.outcomes["read"] < 2000


def test_an_input_depends_on_seed_kind_and_number_alone() -> None:
    for kind in KINDS.values():
        assert make(kind, 3, 5) == make(kind, 3, 5)
    assert len({make(KINDS["soup"], seed, n) for seed in range(3) for n in range(3)}) > 6


def test_inputs_are_spread_by_weight_and_none_is_lost() -> None:
    found = shares(1001, list(KINDS))
    assert sum(found.values()) == 1001
    assert found["spec"] > 2 * found["text"]
    assert shares(7, ["soup", "zsre"], each=True) == {"soup": 7, "zsre": 7}


def test_a_crash_is_counted_and_its_input_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(load, "read_with_parents", crash)
    found = run({"soup": 4, "zsre": 4}, Plan(keep=tmp_path))
    assert "KeyError in crash" in str(found["soup"].bad)
    assert not found["zsre"].bad
    assert (tmp_path / "soup-0-some.eac.yaml").read_bytes() == make(KINDS["soup"], 0, 0)
    assert "KeyError" in (tmp_path / "soup-0-some.eac.yaml.txt").read_text("utf-8")
    assert any("KeyError in crash" in line for line in table(found))


def test_an_input_that_takes_too_long_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(load, "read_with_parents", hang)
    monkeypatch.setattr(trial, "SECONDS", 0.05)
    monkeypatch.setattr(trial, "WALL_SECONDS", 0.2)
    found = run({"soup": 2}, Plan())
    assert "HangError" in str(found["soup"].bad)


def _has(monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]) -> None:
    monkeypatch.setitem(KINDS, "soup", replace(KINDS["soup"], read=read))


def test_waiting_for_what_never_comes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(_: Path) -> None:
        reading, _writing = os.pipe()
        os.read(reading, 1)

    _has(monkeypatch, wait)
    monkeypatch.setattr(trial, "WALL_SECONDS", 0.05)
    assert "HangError" in str(run({"soup": 2}, Plan())["soup"].bad)


@_FORKS
def test_an_input_that_kills_the_process_is_counted_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = make(KINDS["soup"], 0, 3)

    def die(file: Path) -> None:
        if file.read_bytes() == bad:
            os.kill(os.getpid(), signal.SIGKILL)

    _has(monkeypatch, die)
    found = run({"soup": 8, "zsre": 8}, Plan(keep=tmp_path), jobs=2)
    assert found["soup"].outcomes == {"read": 7, "! the process died (exit code -9)": 1}
    assert found["zsre"].outcomes.total() == 8
    assert (tmp_path / "soup-3-some.eac.yaml").read_bytes() == bad
