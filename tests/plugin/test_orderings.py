"""Other orders of the edits, seen from outside: drawn, simplified, replayed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record
from tests.conftest import ROOT, USER_CACHE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Specs

# Solves by gradient steps, and keeps the change of the last edit in a global: whenever an edit's
# subject comes before the last one's in the alphabet, it takes that change for its own.
LEAKY = """
import torch
from pytest_eac import WeightDelta

LAST = {}

def shift(model, edits, settings, work):
    if not work.done:
        LAST.clear()
    (edit,) = edits
    path = model.layout.down.format(settings.layers[0])
    rows = sum(edit.subject.encode()) % 64
    if LAST and edit.subject < LAST["subject"]:
        return LAST["delta"]
    left = torch.zeros(64, 176)
    left[rows] = 0.01
    LAST.update(subject=edit.subject, delta=WeightDelta(module=path, left=left))
    return LAST["delta"]

def pytest_eac_register_methods():
    return {"shift": shift}
"""
SHIFT = "[leaky: {base: shift, layers: [1], contexts: {texts: ['{}']}}]"
DRAWN = re.compile(r"(\d+) orders? drawn(?: \(.*?\))?: (\d+) of (\d+) edits to solve")
SMALL = "orderings: {examples: 3, hold: [efficacy, deviation], budget: {edits: 12}}"


def alphabetical(specs: Specs, count: int = 5) -> str:
    facts = sorted(specs.facts[:count], key=lambda fact: fact["subject"])
    path = specs.pytester.path / "sorted.jsonl"
    lines = [str(fact).replace("'", '"') for fact in facts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"[{{from: {path}, format: jsonl}}]"


def verdicts(path: Path) -> dict[str, tuple[str, float | None, str]]:
    return {
        verdict.check: (verdict.outcome, verdict.observed, verdict.message)
        for chain in read_record(path).chains
        for verdict in chain.verdicts
    }


def test_a_state_that_leaks_between_edits_is_found_and_shrunk_to_two_edits(specs: Specs) -> None:
    specs.pytester.makeconftest(LEAKY)
    specs.write(
        methods=SHIFT,
        edits=alphabetical(specs),
        more="orderings: {hold: [], state: 1.0e-6, kinds: [permutation, subsequence]}",
    )
    chains = ("--eac-limit-edits=5", "--eac-method=leaky", "--eac-seed=0")
    result = specs.run("--eac-results=out.json", *chains)
    result.assert_outcomes(passed=1, failed=1)
    message = verdicts(specs.pytester.path / "out.json")["orderings-state"][2]
    [(one, other)] = re.findall(r"broken by the order (\d),(\d), required at most 1e-06", message)
    assert one > other
    assert f"  order {one},{other}: efficacy" in message
    assert f"  order {other},{one}: efficacy" in message
    assert message.count("  edit ") == 2
    (line,) = re.findall(r"to replay: pytest (.*)", message)
    given = f"--eac-order={one},{other}"
    assert line.endswith(f"--eac-limit-edits=5 --eac-method=leaky --eac-seed=0 {given}")
    replay = line.split()
    again = specs.run(*replay)
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(
        [f"*broken by the order {one},{other}*", "*1 order given, none drawn*"]
    )
    specs.run(replay[0], *chains, "--eac-order=1,3").assert_outcomes(skipped=1)


def test_orders_share_their_beginnings_also_without_a_cache(specs: Specs) -> None:
    more = "orderings: {examples: 4, kinds: [permutation], hold: [efficacy]}"
    edits = f"[{{from: {specs.world}, format: jsonl, take: 5}}]"
    specs.write(edits=edits, more=more)
    result = specs.run("--eac-no-cache", "--eac-results=out.json")
    result.assert_outcomes(passed=2)
    drawn = DRAWN.search(verdicts(specs.pytester.path / "out.json")["orderings-efficacy"][2])
    assert drawn is not None
    count, solved, asked = map(int, drawn.groups())
    assert 4 <= count <= 8  # four are drawn uniformly, and the search tries as many at most
    assert asked == 5 * count
    assert solved < asked
    (chain,) = read_record(specs.pytester.path / "out.json").chains
    # The chain itself ran without the cache, so its beginnings are solved once more at most.
    assert solved <= sum(run.solved for run in chain.orders) <= solved + 5
    result.stdout.fnmatch_lines(["orders of eac-s0: * run, * edits solved"])


@pytest.mark.parametrize(
    "runs", [([], []), pytest.param(([], ["-n1"], ["-n2"]), marks=pytest.mark.slow)]
)
def test_two_runs_and_any_workers_say_the_same(specs: Specs, runs: tuple[list[str], ...]) -> None:
    spread = "spread: {deviation: 1.0e-9}"
    more = SMALL.replace("budget", f"{spread}, budget")
    specs.write("{efficacy: {min: 0.0}, deviation: {max_relative: 9}}", more=more)
    seen = []
    for number, workers in enumerate(runs):
        specs.run(*workers, f"--eac-results={number}.json").assert_outcomes(passed=4, failed=1)
        seen.append(verdicts(specs.pytester.path / f"{number}.json"))
    assert all(each == seen[0] for each in seen)
    assert "broken by the order 2,1" in seen[0]["orderings-spread-deviation"][2]


def test_a_number_of_orders_on_the_command_line_is_the_one_drawn(specs: Specs) -> None:
    specs.write(edits=f"[{{from: {specs.world}, format: jsonl, take: 3}}]", more="orderings: {}")
    specs.run("--eac-orderings=2", "--eac-results=out.json").assert_outcomes(passed=2)
    message = verdicts(specs.pytester.path / "out.json")["orderings-efficacy"][2]
    assert "under 2 orders" in message
    specs.run("--eac-orderings=0").assert_outcomes(passed=1)


def test_a_budget_that_is_too_small_for_two_orders_decides_nothing(specs: Specs) -> None:
    more = "orderings: {kinds: [permutation], budget: {edits: 1}}"
    specs.write(more=more)
    result = specs.run("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["*0 orders drawn: 0 of 0 edits*(the budget of 1 edits leaves no more)*"]
    )


def test_a_check_that_the_written_order_misses_is_reported_without_drawing(specs: Specs) -> None:
    specs.write("{deviation: {max: 0}}", more="orderings: {}")
    result = specs.run("--eac-results=out.json")
    result.assert_outcomes(failed=2)
    message = verdicts(specs.pytester.path / "out.json")["orderings-deviation"][2]
    assert "broken by the order 1,2" in message
    assert "no orders drawn: the written one breaks it" in message


@pytest.mark.parametrize(
    ("order", "message"),
    [("one", "*expected the numbers of edits*"), ("7,1", "*no edit 7; expected * from 1 to 2*")],
)
def test_an_order_that_cannot_be_is_refused(specs: Specs, order: str, message: str) -> None:
    specs.write(more="orderings: {}")
    result = specs.run(f"--eac-order={order}")
    text = [*result.outlines, *result.errlines]
    assert result.ret
    pytest.LineMatcher(text).fnmatch_lines([message])


def test_an_edit_that_is_taken_back_leaves_the_truth(specs: Specs) -> None:
    specs.write("{retention: {min: 0.9}}", more="orderings: {kinds: [conflict], examples: 2}")
    specs.run("--eac-order=1,-1", "--eac-order=2,1,-2").assert_outcomes(passed=2)


def test_orders_of_batches_are_interleaved(specs: Specs) -> None:
    specs.write(
        methods="[mine: {base: memit, layers: [1], contexts: {texts: ['{}']}, "
        "covariance: {tokens: 2000}}]",
        edits=f"[{{from: {specs.world}, format: jsonl, take: 4}}]",
        more="sequence: {batch: 2}\norderings: {kinds: [interleaving], examples: 2}",
    )
    specs.run("--eac-results=out.json").assert_outcomes(passed=2)
    (chain,) = read_record(specs.pytester.path / "out.json").chains
    assert 2 <= len(chain.orders) <= 4
    for run in chain.orders:
        assert run.order.index(1) < run.order.index(2)
        assert run.order.index(3) < run.order.index(4)


@pytest.mark.slow
def test_ten_orders_of_eight_real_facts_share_what_they_begin_with(specs: Specs) -> None:
    """Counted by what is solved: nothing that an earlier run has left is looked at.

    How many edits there are to solve does not depend on how well they are made: few steps do.
    """
    text = (ROOT / "specs" / "orderings.eac.yaml").read_text(encoding="utf-8")
    quick = "quick: {base: rome, covariance: none, contexts: {texts: ['{}']}, value: {steps: 2}}"
    text = text.replace("methods: [rome-eac]", f"methods: [{quick}]").replace("min: 0.9", "min: 0")
    assert quick in text
    spec = specs.pytester.path / "orderings.eac.yaml"
    spec.write_text(text, encoding="utf-8")
    how = ("-k", "orderings-efficacy", "--eac-no-cache", f"--eac-cache-dir={USER_CACHE}")
    specs.run(str(spec), *how, "--eac-results=out.json").assert_outcomes(passed=1, deselected=6)
    (chain,) = read_record(specs.pytester.path / "out.json").chains
    (verdict,) = chain.verdicts
    drawn = DRAWN.search(verdict.message)
    assert drawn is not None
    count, solved, asked = map(int, drawn.groups())
    assert (count, asked) == (10, 80)
    assert solved < 80, "uniform orders share short beginnings"
    # Without the cache the written order's beginnings are solved once more, 8 edits at most.
    assert solved <= sum(run.solved for run in chain.orders) <= solved + 8
