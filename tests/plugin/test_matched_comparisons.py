"""Comparisons at equal retention, from outside."""

import pytest

from pytest_eac.store import read_record
from tests.conftest import WORLD
from tests.plugin.conftest import Specs

METHODS = """[weak: {base: rome, layers: [1], contexts: {texts: ['{}']}, value: {steps: 5}},
  same: {base: rome, layers: [1], contexts: {texts: ['{}']}, value: {steps: 5, clamp: 1}}]"""
EDITS = f"[{{from: {WORLD}, format: jsonl, take: 10}}]"
AT_EQUAL = "{metric: retention, by: value.clamp, values: [0.1, 0.4]}"


def write(specs: Specs, at_equal: str) -> None:
    comparison = f"{{metric: deviation, less: same, than: weak, at_equal: {at_equal}}}"
    specs.write(f"{{compare: [{comparison}]}}", methods=METHODS, edits=EDITS)


def test_both_methods_run_at_several_strengths_and_the_record_has_them(specs: Specs) -> None:
    write(specs, AT_EQUAL)
    result = specs.run("--eac-results", "results.json", "-rA", "-v")
    result.stdout.fnmatch_lines(["*::compare::deviation-same-than-weak-at-equal-retention *"])
    record = read_record(specs.pytester.path / "results.json")
    assert sorted(chain.method for chain in record.chains) == sorted(
        f"{method}{setting}"
        for method in ("same", "weak")
        for setting in ("", "[value.clamp=0.1]", "[value.clamp=0.4]")
    )
    (found,) = record.comparisons
    assert found.check == "deviation-same-than-weak-at-equal-retention"
    assert "weak, retention at deviation, by value.clamp: 0.1: " in found.message
    again = specs.run("--eac-from-results", "results.json", "--eac-results", "again.json")
    assert again.parseoutcomes() == result.parseoutcomes()
    assert read_record(specs.pytester.path / "again.json").comparisons == (found,)


def test_the_metric_alone_takes_strengths_from_the_methods_own(specs: Specs) -> None:
    write(specs, "retention")
    specs.run("--eac-results", "results.json", "--eac-limit-edits", "1")
    record = read_record(specs.pytester.path / "results.json")
    clamps = {chain.method: chain.hyperparameters["value"]["clamp"] for chain in record.chains}
    assert clamps["weak[value.clamp=0.25]"] == 0.25
    assert clamps["same[value.clamp=0.0625]"] == 0.0625
    assert len(clamps) == 10
    (found,) = record.comparisons
    assert (found.outcome, found.p, found.needs) == ("undecided", None, 10)


@pytest.mark.parametrize(
    ("at_equal", "said"),
    [
        ("deviation", "'deviation' is no share over edits"),
        ("{metric: retention, by: value.steps}", "expected the values of value.steps as well"),
        (
            "{metric: retention, by: value.clmp, values: [1, 2]}",
            "weak cannot be run with value.clmp=1 (unknown key 'clmp'; did you mean 'clamp'?); "
            "name an option that both methods have, with 'by' and 'values'",
        ),
    ],
)
def test_what_cannot_be_matched_is_an_error_of_the_spec(
    specs: Specs, at_equal: str, said: str
) -> None:
    write(specs, at_equal)
    result = specs.run()
    assert said in result.stdout.str()


def test_several_sets_of_edits_are_not_matched(specs: Specs) -> None:
    comparison = f"{{metric: deviation, less: same, than: weak, at_equal: {AT_EQUAL}}}"
    edits = f"[{{from: {WORLD}, format: jsonl, take: 2}}]"
    more = "sequence: {samples: 2}"
    specs.write(f"{{compare: [{comparison}]}}", methods=METHODS, edits=edits, more=more)
    assert "compares two methods on one set of edits, at several strengths" in (
        specs.run().stdout.str()
    )
