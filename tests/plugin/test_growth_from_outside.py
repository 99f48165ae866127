"""Alarms of growth against a method of a project whose steps double in the middle of a chain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

METHOD = """
import torch
from pytest_eac import WeightDelta

def wander(model, edits, settings, work):
    path = model.layout.down.format(settings.layers[0])
    generator = torch.Generator().manual_seed(1000 * work.seed + work.done)
    size = 0.3 * float(torch.empty(1).log_normal_(0, 0.4, generator=generator))
    if work.done >= FROM:
        size *= 2
    step = torch.randn(64, 176, generator=generator)
    return WeightDelta(module=path, left=size * step / step.norm())

def pytest_eac_register_methods():
    return {"wander": wander}
"""
EDITS = 40
CHECKS = (
    "{deviation: {norm: NORM, growth: {max_exponent: 9, max_slope: 9, no_acceleration: true,"
    " no_collapse_before: 30}}}"
)


def test_steps_that_double_from_edit_twenty_one_on_are_caught(specs: Specs) -> None:
    """Increments of the deviation do not show it."""
    found = run(specs, doubled_from=20, seeds=1, norm="l1")
    assert found["deviation-acceleration"] == ["failed"]
    assert found["deviation-exponent"] == found["deviation-slope"] == ["passed"]


@pytest.mark.slow
def test_equal_steps_in_random_directions_are_no_alarm(specs: Specs) -> None:
    found = run(specs, doubled_from=EDITS, seeds=3, norm="frobenius")
    assert found["deviation-acceleration"] == found["deviation-collapse"] == ["passed"] * 3


@pytest.mark.slow
def test_twelve_chains_whose_steps_double_are_caught(specs: Specs) -> None:
    """Before, on increments of the deviation: none of 12 by either alarm."""
    found = run(specs, doubled_from=20, seeds=12, norm="frobenius")
    assert found["deviation-acceleration"].count("failed") >= 11
    assert found["deviation-collapse"].count("failed") >= 3, "twice is just what is asked for"


def run(specs: Specs, *, doubled_from: int, seeds: int, norm: str) -> dict[str, list[str]]:
    """Return the outcomes of each check, one a seed."""
    specs.pytester.makeconftest(METHOD.replace("FROM", str(doubled_from)))
    edits = [
        {"subject": f"Item {k}", "prompt": "{} is made of", "target": "gold"} for k in range(EDITS)
    ]
    specs.write(
        CHECKS.replace("NORM", norm),
        methods="[mine: {base: wander, layers: [1], contexts: {texts: ['{}']}}]",
        edits=json.dumps(edits),
        more=f"seeds: {list(range(seeds))}",
    )
    specs.run("--eac-results=results.json", "-q")
    chains = read_record(specs.pytester.path / "results.json").chains
    found: dict[str, list[str]] = {}
    for chain in chains:
        for each in chain.verdicts:
            found.setdefault(each.check, []).append(each.outcome)
    return found
