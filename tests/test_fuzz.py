"""A short run of the fuzzer, whose long runs are started by hand; and what it must notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import fuzz
from pytest_eac.spec import load

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_nothing_that_is_read_brings_a_reader_down(tmp_path: Path) -> None:
    outcomes = fuzz.run(300, seed=2, keep=tmp_path)
    assert [outcome for outcome in outcomes if outcome.startswith("!")] == []
    kinds = {outcome.split(":")[0] for outcome in outcomes}
    assert kinds == {"soup", "spec", "text", "counterfact", "zsre", "jsonl", "record"}
    assert outcomes["spec: read"]


def test_a_crash_is_counted_and_its_input_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(load, "read_with_parents", crash)
    outcomes = fuzz.run(20, seed=0, keep=tmp_path)
    found = [outcome for outcome in outcomes if outcome.startswith("!")]
    assert found
    assert all("KeyError in crash" in outcome for outcome in found)
    assert any(path.suffix == "" for path in tmp_path.iterdir())


def test_an_input_that_takes_too_long_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(load, "read_with_parents", hang)
    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    outcomes = fuzz.run(4, seed=0, keep=None)
    assert any("HangError" in outcome for outcome in outcomes)
