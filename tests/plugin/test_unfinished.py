"""A chain that an error stops: what it had measured is recorded, and is not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

# Breaks at the third edit: its loss is not finite, so to say.
METHOD = """
import torch
from pytest_eac import WeightDelta
from pytest_eac.errors import NonFiniteError

def breaks(model, edits, settings, work):
    if work.done == 2:
        raise NonFiniteError("the loss is nan at step 4")
    path = model.layout.down.format(settings.layers[0])
    return WeightDelta(module=path, left=torch.full((64, 176), 0.01))

def holds(model, edits, settings):
    path = model.layout.down.format(settings.layers[0])
    return WeightDelta(module=path, left=torch.full((64, 176), 0.01))

def pytest_eac_register_methods():
    return {"breaks": breaks, "holds": holds}
"""
BOTH = (
    "[broken: {base: breaks, layers: [1], contexts: {texts: ['{}']}},"
    " whole: {base: holds, layers: [1], contexts: {texts: ['{}']}}]"
)
STOPPED = (
    "broken-s0: stopped after 2 of 4 edits by NonFiniteError: edit 3 of 4 (*): the loss is nan at "
    "step 4"
)


@pytest.fixture
def both(specs: Specs) -> Specs:
    specs.pytester.makeconftest(METHOD)
    specs.write(
        "{efficacy: {min: 0.0}, deviation: {min: 0.0}}",
        methods=BOTH,
        edits=f"[{{from: {specs.world}, format: jsonl, take: 4}}]",
        more="sequence: {checkpoints: [1, 2]}",
    )
    return specs


def test_what_a_stopped_chain_had_measured_is_recorded_apart(both: Specs) -> None:
    result = both.run("--eac-results=results.json")
    result.assert_outcomes(errors=2, passed=2)
    result.stdout.fnmatch_lines(
        ["*small.eac.yaml: broken-s0: stopped after 2 of 4 edits by NonFiniteError"]
    )
    record = read_record(both.pytester.path / "results.json")
    assert [chain.name for chain in record.chains] == ["whole-s0"]
    (stopped,) = record.unfinished
    assert stopped.error == "NonFiniteError"
    assert str(stopped).startswith(
        "broken-s0: stopped after 2 of 4 edits by NonFiniteError: edit 3 of 4 ("
    )
    assert len(stopped.chain.edits) == 4
    assert [point.at for point in stopped.chain.checkpoints] == [1, 2]
    (whole,) = record.chains
    # Up to there the two methods do the same.
    assert stopped.chain.checkpoints == whole.checkpoints[:2]
    assert [cost.score for cost in stopped.chain.per_edit] == [
        cost.score for cost in whole.per_edit[:2]
    ]
    assert not stopped.chain.verdicts


def test_reports_say_what_was_stopped_and_why(both: Specs) -> None:
    both.run("--eac-results=results.json", "--eac-summary=summary.md", "--eac-report=page.html")
    for name in ("summary.md", "page.html"):
        text = (both.pytester.path / name).read_text(encoding="utf-8")
        assert "Stopped by an error" in text
        assert "broken-s0: stopped after 2 of 4 edits" in text


def test_a_stopped_chain_is_no_baseline_and_is_not_compared(both: Specs) -> None:
    from pytest_eac.judging.run_comparison import NamedRun, compare_runs

    both.run("--eac-results=results.json", "--eac-baseline=base.json", "--eac-update-baseline")
    stored = read_record(both.pytester.path / "base.json")
    assert [chain.name for chain in stored.chains] == ["whole-s0"]
    assert stored.unfinished == ()
    runs = [
        NamedRun(file="old", record=stored),
        NamedRun(file="new", record=read_record(both.pytester.path / "results.json")),
    ]
    compared = compare_runs(runs)
    assert [pair.chain for pair in compared.pairs] == ["whole-s0"]
    assert [line.partition(":")[0] for line in compared.unmatched] == ["broken-s0"]


def test_a_stored_chain_that_was_stopped_is_not_judged(both: Specs) -> None:
    both.run("--eac-results=results.json")
    result = both.run("--eac-from-results=results.json", "-rs")
    result.assert_outcomes(skipped=2, passed=2)
    result.stdout.fnmatch_lines([f"*results.json: {STOPPED} (of small.eac.yaml); run the spec*"])


def test_a_chain_that_runs_to_its_end_on_another_worker_is_finished(both: Specs) -> None:
    from pytest_eac.plugin.options import read_options
    from pytest_eac.plugin.session import EacSession
    from pytest_eac.records.run import Record

    both.run("--eac-results=results.json")
    record = read_record(both.pytester.path / "results.json")
    config = both.pytester.parseconfigure()
    eac = EacSession(config, read_options(config))
    eac.absorb(Record(environment={}, chains=(), unfinished=record.unfinished))
    assert eac.record().unfinished == record.unfinished
    whole = record.unfinished[0].chain
    eac.absorb(Record(environment={}, chains=(whole,)))
    assert eac.record().unfinished == ()
    assert eac.record().chains == (whole,)


def test_orders_that_were_run_are_recorded_when_a_later_one_cannot_be_made(specs: Specs) -> None:
    specs.pytester.makeconftest(METHOD.replace("work.done == 2", "work.edits[0].origin[-1] == '2'"))
    specs.write(
        methods="[broken: {base: breaks, layers: [1], contexts: {texts: ['{}']}}]",
        edits=f"[{{from: {specs.world}, format: jsonl, take: 3}}]",
        more="orderings: {hold: [efficacy]}",
    )
    result = specs.run("--eac-results=r.json", "--eac-order=1,3", "--eac-order=2,1")
    result.stdout.fnmatch_lines(["in the order 2,1: edit 1 of 2 (*): the loss is nan at step 4"])
    (chain,) = read_record(specs.pytester.path / "r.json").chains
    assert [run.order for run in chain.orders] == [(1, 3)]
