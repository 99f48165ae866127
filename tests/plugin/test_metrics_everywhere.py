"""The register of metrics: what a project brings is treated like what is built in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pytest_eac
from pytest_eac.cli import main
from pytest_eac.spec.metrics import BUILT_IN
from pytest_eac.store import read_record

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

CONFTEST = """
import torch
from pytest_eac import Metric, WeightDelta

def shift(model, edits, settings):
    path = model.layout.down.format(settings.layers[0])
    return WeightDelta(module=path, left=torch.full((64, 176), 0.01))

def at(model, edits):
    return [1.0, 0.5][:len(edits)]

def largest(model, edits):
    path = model.layout.down.format(1)
    return float(model.model.get_submodule(path).weight.abs().max())

def pytest_eac_register_methods():
    return {"shift": shift}

def pytest_eac_register_metrics():
    asks = "How large is the largest weight?"
    return {"at": at, "largest": Metric(measure=largest, heading="lrg", asks=asks, better="lower")}
"""
METHODS = ", ".join(
    f"{name}: {{base: shift, layers: [1], contexts: {{texts: ['{{}}']}}}}" for name in "ab"
)
CHECKS = (
    "{metrics: {at: {min: 0.7}, largest: {max: 9, at: every}}, compare: ["
    "{metric: at, more: a, than: b, by: -0.1}, {metric: largest, less: a, than: b, by: -0.1}]}"
)
MORE = (
    "sequence: {checkpoints: [1]}\n"
    "orderings: {examples: 1, kinds: [permutation], spread: {at: 0.5, largest: 0.5}}"
)


def test_a_metric_of_a_project_is_in_every_table_comparison_ordering_and_baseline(
    specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    specs.pytester.makeconftest(CONFTEST)
    spec = specs.write(CHECKS, methods=f"[{METHODS}]", more=MORE)
    outputs = ("--eac-results=r.json", "--eac-report=r.html", "--eac-summary=r.md")
    result = specs.run(*outputs, "--eac-baseline=base.json", "--eac-update-baseline", "-v")
    result.assert_outcomes(passed=2 * 6 + 2)
    result.stdout.fnmatch_lines_random(
        [
            "*::compare::at-a-than-b PASSED*",
            "*::compare::largest-a-than-b PASSED*",
            *(
                f"*::{chain}::orderings-{name} PASSED*"
                for chain in ("a-s0", "b-s0")
                for name in ("at", "largest", "spread-at")
            ),
        ]
    )
    result.stdout.re_match_lines(
        [r"chain +edits +at +lrg$", r"a-s0 +2 +75\.0% +0\.\d+$", r"  95% interval +\d+-\d+$"]
    )
    (point, last), _ = (chain.checkpoints for chain in read_record(Path("r.json")).chains)
    assert point.metrics["at"].scores == (1.0,)
    assert last.metrics["largest"].is_number

    html = Path("r.html").read_text(encoding="utf-8")
    for name in ("at", "largest"):
        assert f'<th scope="col">{name}</th>' in html
        assert f"{name} at each checkpoint" in html
        assert f"{name} by order of the edits" in html
    data = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    assert "at" in json.loads(data[1])["metrics"], "the table of edits has its scores"
    heading, _, row = (
        Path("r.md").read_text(encoding="utf-8").partition("| chain | edits |")[2].splitlines()[:3]
    )
    assert heading.endswith("| deviation | at | largest |")
    assert re.search(r"\| 0\.750 \(.*n=2\) \| 0\.\d+ \|$", row)

    again = specs.run(
        "--eac-baseline=base.json", "--eac-compare-fail=at:0", "--eac-compare-fail=largest:0",
        "-k", "baseline",
    )  # fmt: skip
    again.assert_outcomes(passed=4, deselected=2 * 6 + 2)
    again.stdout.re_match_lines([r"at +0\.75 +0\.75 .*", r"largest .* \+0\.0% .*"])

    assert main(["explain", f"{spec.name}::a-s0::largest", "--results=r.json"]) == 0
    assert "How large is the largest weight?" in capsys.readouterr().out
    assert main(["explain", f"{spec.name}::a-s0::at", "--results=r.json"]) == 0
    assert "after 2: 0.75 (n=2)" in capsys.readouterr().out
    assert main(["compare", "r.json", "--metric=largest"]) == 0
    assert re.search(r"^largest +0\.\d+ +0\.\d+", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("locality", "'locality' is a built-in metric; give yours a name of its own"),
        ("metrics", "'metrics' is the name of other checks; rename the metric"),
        ("deviation-slope", "'deviation-slope' is the name of other checks; rename the metric"),
    ],
)
def test_a_name_that_is_taken_is_refused(specs: Specs, name: str, said: str) -> None:
    specs.pytester.makeconftest(CONFTEST.replace('"at": at', f'"{name}": at'))
    specs.write()
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"pytest_eac_register_metrics: {said}"])


def test_a_metric_that_needs_what_no_edit_has_is_refused(specs: Specs) -> None:
    specs.pytester.makeconftest(CONFTEST.replace('better="lower"', 'needs="truth"'))
    edits = "[{subject: Oslo, prompt: '{} lies in', target: Peru}]"
    specs.write("{metrics: {largest: {max: 9}}}", edits=edits)
    specs.run().stdout.fnmatch_lines(["*checks.metrics.largest: no edit has a truth to measure *"])


def test_every_built_in_metric_is_measured_by_something_that_is_there() -> None:
    assert all(callable(each.resolve()) for each in BUILT_IN.values())


def test_metrics_are_named_in_the_register_and_where_they_are_measured_alone() -> None:
    package = Path(pytest_eac.__file__).parent
    named = {name for name, each in BUILT_IN.items() if each.kind == "share"} - {"known"}
    found = re.compile("|".join(rf"""["']{name}["']|\.{name}\b""" for name in named))
    # Diagnosis reasons about single metrics; a sweep has one as the default of an option.
    allowed = {"spec/registry.py", "judging/diagnosis.py", "cli/sweep.py"}
    here = {
        path.relative_to(package).as_posix()
        for kind in ("*.py", "*.j2", "*.js")
        for path in package.rglob(kind)
        if path.parent.name != "measuring" and found.search(path.read_text(encoding="utf-8"))
    }
    assert here <= allowed
