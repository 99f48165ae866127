"""Controls, and what they are for, from outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record
from tests.conftest import WORLD

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

METHODS = """[eac: {base: rome-eac, layers: [1], covariance: none, contexts: {texts: ['{}']}},
  chance: {base: random, like: eac}]"""
MORE = f"""seeds: [0, 1, 2]
sequence: {{checkpoints: [1, 2, 3]}}
edits: [{{from: {WORLD}, format: jsonl, take: 3}}]"""


def run(specs: Specs, *arguments: str) -> pytest.RunResult:
    lines = [json.dumps({"text": f"{fact['subject']} {fact['truth']}."}) for fact in specs.facts]
    (specs.pytester.path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    path = specs.write(
        "{abilities: {drift: {keep: 0.001, at: every, data: texts.jsonl}}}", methods=METHODS
    )
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("edits:")] + MORE, encoding="utf-8")
    return specs.run("--eac-results", "results.json", *arguments)


def test_a_control_is_a_chain_beside_the_one_it_mirrors(specs: Specs) -> None:
    result = run(specs)
    result.assert_outcomes(passed=6)
    record = read_record(specs.pytester.path / "results.json")
    chains = {chain.name: chain for chain in record.chains}
    for seed in (0, 1):
        eac, chance = chains[f"eac-s{seed}"], chains[f"chance-s{seed}"]
        norms = [[cost.delta_norm for cost in each.per_edit] for each in (eac, chance)]
        assert norms[1] == pytest.approx(norms[0], rel=1e-5)
        assert eac.hyperparameters | {"control": "random"} == chance.hyperparameters
        assert eac.checkpoints[-1].metrics["retention"].value == 1
        kept = chance.checkpoints[-1].metrics["retention"].value
        assert kept is not None
        assert kept < 1, "chance writes no fact"
    assert chains["chance-s0"].per_edit[0].deviation != chains["chance-s1"].per_edit[0].deviation


def test_the_summary_holds_deviation_against_abilities(specs: Specs) -> None:
    result = run(specs)  # with one context, the seeds of eac are the same chain
    result.stdout.fnmatch_lines(
        [
            "deviation and abilities kept, given the number of edits*",
            "  drift *no interval below 8 methods *2 methods, 4 chains x 3",
        ]
    )


def test_a_control_runs_without_the_chain_that_it_mirrors(specs: Specs) -> None:
    run(specs, "--eac-method", "chance", "--eac-seed", "1").assert_outcomes(passed=1)
    record = read_record(specs.pytester.path / "results.json")
    assert [chain.name for chain in record.chains] == ["chance-s1"]
