"""Several sets of edits from the outside: node ids, records, other commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.store import read_record
from tests.command_line import run
from tests.conftest import WORLD

if TYPE_CHECKING:
    import pytest

    from tests.plugin.conftest import Specs

TWO_METHODS = (
    "[plain: {base: rome, layers: [1], contexts: {texts: ['{}']}},"
    " eac: {base: rome-eac, layers: [1], contexts: {texts: ['{}']}, value: {steps: 2},"
    " anchors: {retrain: false}}]"
)
EDITS = f"[{{from: {WORLD}, format: jsonl, take: 2, seed: 4}}]"
THREE = "sequence: {samples: 3}"


def chains(specs: Specs, results: str = "r.json") -> dict[str, tuple[str, ...]]:
    """The subjects of each chain's edits."""
    record = read_record(specs.pytester.path / results)
    return {each.name: tuple(e.texts.subject for e in each.edits) for each in record.chains}


def test_there_is_a_chain_for_each_sample(specs: Specs) -> None:
    specs.write(edits=EDITS, methods=TWO_METHODS, more=f"{THREE}\nseeds: [0, 3]")
    result = specs.run("--collect-only", "-q")
    found = [each for each in result.outlines if each.endswith("::efficacy")]
    assert found[:12] == [
        f"small.eac.yaml::{method}-s{seed}{sample}::efficacy"
        for sample in ("", "-e1", "-e2")
        for method in ("plain", "eac")
        for seed in (0, 3)
    ]


def test_chains_of_a_sample_make_its_edits_and_no_others(specs: Specs) -> None:
    specs.write(edits=EDITS, methods=TWO_METHODS, more=THREE)
    result = specs.run("--eac-results=r.json", "-k", "s0")
    result.assert_outcomes(passed=6, deselected=2)
    found = chains(specs)
    assert list(found) == [f"{m}-s0{e}" for e in ("", "-e1", "-e2") for m in ("plain", "eac")]
    assert found["plain-s0-e1"] == found["eac-s0-e1"]
    record = read_record(specs.pytester.path / "r.json")
    assert len({edit.origin for each in record.chains for edit in each.edits}) == 6


def test_a_chain_of_a_sample_runs_alone_and_comes_from_the_cache(specs: Specs) -> None:
    specs.write(edits=EDITS, more=THREE)
    specs.run("small.eac.yaml::eac-s0-e1::efficacy").assert_outcomes(passed=1)
    again = specs.run("small.eac.yaml::eac-s0-e1::efficacy", "--eac-results=r.json")
    again.stdout.fnmatch_lines(["2 of 2 edits and * came from the cache*"])
    assert list(chains(specs)) == ["eac-s0-e1"]


def test_a_stored_run_is_judged_again_sample_by_sample(specs: Specs) -> None:
    specs.write(edits=EDITS, more=THREE)
    specs.run("--eac-results=r.json").assert_outcomes(passed=4)
    specs.run("--eac-from-results=r.json").assert_outcomes(passed=4)
    specs.write(edits=EDITS, more="sequence: {samples: 4}")
    again = specs.run("--eac-from-results=r.json", "-rs")
    again.stdout.fnmatch_lines(["*no chain eac-s0-e3 of small.eac.yaml in it*"])


def test_a_baseline_has_a_chain_for_each_sample(specs: Specs) -> None:
    specs.write(edits=EDITS, more=THREE)
    specs.run("--eac-baseline=b.json", "--eac-update-baseline").assert_outcomes(passed=4)
    result = specs.run("--eac-baseline=b.json", "--eac-compare-fail=efficacy:0")
    result.assert_outcomes(passed=4 + 3)
    specs.write(edits=EDITS.replace("seed: 4", "seed: 5"), more=THREE)
    changed = specs.run("--eac-baseline=b.json", "--eac-compare-fail=efficacy:0", "-k", "e2")
    changed.stdout.fnmatch_lines(["*the baseline of eac-s0-e2 was made with another spec*"])


def test_workers_share_samples_out(specs: Specs) -> None:
    specs.write(edits=EDITS, more=THREE)
    specs.run("-n2", "--eac-results=two.json").assert_outcomes(passed=4)
    specs.run("-p", "no:xdist", "--eac-results=one.json").assert_outcomes(passed=4)
    assert chains(specs, "two.json") == chains(specs, "one.json")


def test_the_number_of_edits_is_limited_in_each_sample(specs: Specs) -> None:
    specs.write(edits=EDITS, more=THREE)
    specs.run("--eac-limit-edits=1", "--eac-results=r.json").assert_outcomes(passed=4)
    assert [len(each) for each in chains(specs).values()] == [1, 1, 1]


def test_orders_are_those_of_the_samples_own_edits(specs: Specs) -> None:
    specs.write(edits=EDITS, more=f"{THREE}\norderings: {{examples: 2, hold: [efficacy]}}")
    specs.run("-k", "e2", "--eac-results=r.json").assert_outcomes(passed=2, deselected=5)


# Other commands


def test_validate_counts_the_chains_of_all_samples(
    specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = specs.write(edits=EDITS, methods=TWO_METHODS, more=f"{THREE}\nseeds: [0, 3]")
    code, out, _ = run(capsys, "validate", path)
    assert code == 0
    assert out.startswith(f"{path}: ok, 3 sets of 2 edits, 12 chains")


def test_explain_shows_the_edits_of_the_chains_sample(
    specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = specs.write(edits=EDITS, more=THREE)
    specs.run("--eac-results=r.json").assert_outcomes(passed=4)
    results = specs.pytester.path / "r.json"
    subjects = chains(specs)["eac-s0-e2"]
    _, out, _ = run(capsys, "explain", f"{path}::eac-s0-e2::efficacy", "--results", results)
    assert "eac, seed 0, sample 2 of 3: 2 edits" in out
    assert all(each in out for each in subjects)
    assert "passed: efficacy of eac-s0-e2: " in out
    _, _, error = run(capsys, "explain", f"{path}::eac-s0-e7::efficacy")
    assert "'eac-s0-e7' is not a chain of this spec" in error


def test_ask_asks_about_the_edits_of_all_samples(
    specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = specs.write(edits=EDITS, more=THREE)
    _, out, _ = run(capsys, "ask", path)
    assert sum("world.jsonl" in line for line in out.splitlines()) == 6


def test_an_export_is_of_one_sample(specs: Specs, capsys: pytest.CaptureFixture[str]) -> None:
    path = specs.write(edits=EDITS, more=THREE)
    out = specs.pytester.path / "out"
    code, _, error = run(capsys, "export", path, "--out", out)
    assert code != 0
    assert "has 3 sets of edits (sequence.samples); choose one with --sample: 0 to 2" in error
    code, _, error = run(capsys, "export", path, "--out", out, "--sample", "3")
    assert f"--sample: found 3, expected 0 to 2, as in {path}" in error
    code, said, _ = run(capsys, "export", path, "--out", out, "--sample", "2", "--as", "deltas")
    assert code == 0
    assert "2 edits as deltas" in said
    specs.run("-k", "e2", "--eac-results=r.json")
    manifest = (out / "edit-manifest.json").read_text(encoding="utf-8")
    assert all(each in manifest for each in chains(specs)["eac-s0-e2"])


def test_a_release_is_held_against_the_sample_that_its_manifest_lists(
    specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = "{efficacy: {min: 0.0}, changed: {manifest: true}}"
    path = specs.write(checks, edits=EDITS, more=THREE)
    out = specs.pytester.path / "out"
    code, *_ = run(capsys, "export", path, "--out", out, "--sample", "2")
    assert code == 0
    result = specs.run(f"--eac-edited={out}", "--eac-results=gate.json")
    result.assert_outcomes(passed=2)
    specs.run("-k", "e2", "--eac-results=r.json")
    assert chains(specs, "gate.json")["edited"] == chains(specs)["eac-s0-e2"]


# Verdicts over all samples

SURE = (
    "{efficacy: {min: 0.5, confidence: 0.9}, deviation: {max_relative: 9},"
    " compare: [{metric: deviation, less: eac, than: plain, confidence: 0.9}]}"
)


def test_each_check_of_a_method_is_judged_over_all_samples_as_well(specs: Specs) -> None:
    specs.write(SURE, edits=EDITS, methods=TWO_METHODS, more=THREE)
    result = specs.run("--collect-only", "-q")
    assert [each for each in result.outlines if "-samples::" in each or "::compare::" in each] == [
        "small.eac.yaml::plain-samples::efficacy",
        "small.eac.yaml::plain-samples::deviation",
        "small.eac.yaml::eac-samples::efficacy",
        "small.eac.yaml::eac-samples::deviation",
        "small.eac.yaml::compare::deviation-eac-than-plain",
    ]


def test_one_set_of_edits_has_no_verdict_over_samples(specs: Specs) -> None:
    specs.write(SURE, edits=EDITS, methods=TWO_METHODS)
    assert "samples" not in specs.run("--collect-only", "-q").stdout.str()


def test_verdicts_over_samples_stand_in_every_report(specs: Specs) -> None:
    specs.write(SURE, edits=EDITS, methods=TWO_METHODS, more=THREE)
    files = ["--eac-results=r.json", "--eac-summary=s.md", "--eac-report=p.html"]
    result = specs.run(*files, "--junitxml=j.xml", "-rs")
    result.stdout.fnmatch_lines(
        [
            "  intervals and p-values of a chain: for these edits, given this chain",
            "over samples         check           mean 95% interval       n p corr. verdict",
            "plain                efficacy           1 * to 1 * 3 * passed",
            "eac                  deviation * 3       - passed",
            "*efficacy of eac over 3 samples: undecided: needs about * samples; 0.708*",
        ]
    )
    folder = specs.pytester.path
    record = read_record(folder / "r.json")
    assert [(each.method, each.check, each.n) for each in record.pooled] == [
        (method, check, 3) for method in ("plain", "eac") for check in ("efficacy", "deviation")
    ]
    assert [(each.check, each.samples) for each in record.comparisons] == [
        ("deviation-eac-than-plain", 3)
    ]
    markdown = (folder / "s.md").read_text(encoding="utf-8")
    assert "| eac | deviation |" in markdown
    assert "95% intervals, for these edits, given each chain" in markdown
    page = (folder / "p.html").read_text(encoding="utf-8")
    assert "Methods over several sets of edits, with 95% intervals" in page
    assert "for these edits, given each chain" in page
    junit = (folder / "j.xml").read_text(encoding="utf-8")
    assert 'name="eac_samples" value="3"' in junit
    assert 'name="eac_sample" value="2"' in junit


def test_a_stored_run_has_the_same_verdicts_over_samples(specs: Specs) -> None:
    specs.write(SURE, edits=EDITS, methods=TWO_METHODS, more=THREE)
    specs.run("--eac-results=one.json")
    specs.run("--eac-from-results=one.json", "--eac-results=two.json")
    one, two = (read_record(specs.pytester.path / name) for name in ("one.json", "two.json"))
    assert one.pooled == two.pooled
    assert one.comparisons == two.comparisons


def test_a_verdict_over_samples_alone_runs_all_chains_of_its_method(specs: Specs) -> None:
    specs.write(SURE, edits=EDITS, methods=TWO_METHODS, more=THREE)
    result = specs.run("small.eac.yaml::eac-samples::deviation", "--eac-results=r.json")
    result.assert_outcomes(passed=1)
    assert list(chains(specs)) == ["eac-s0", "eac-s0-e1", "eac-s0-e2"]


def test_a_chain_that_stops_leaves_its_method_unjudged(specs: Specs) -> None:
    far = (
        "plain: {base: rome, layers: [1], contexts: {texts: ['{}']}, value: {learning_rate: 1e38}}"
    )
    specs.write(edits=EDITS, methods=f"[{far}]", more=THREE)
    result = specs.run("-rE")
    assert result.parseoutcomes()["errors"] == 4
    result.stdout.fnmatch_lines(
        ["not judged: stopped by the error of small.eac.yaml::plain-s0::efficacy"]
    )


def test_explain_finds_a_verdict_over_samples(
    specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    specs.write(SURE, edits=EDITS, methods=TWO_METHODS, more=THREE)
    specs.run("--eac-results=r.json")
    results = specs.pytester.path / "r.json"
    _, out, _ = run(
        capsys, "explain", "small.eac.yaml::eac-samples::deviation", "--results", results
    )
    assert "eac, mean of 3 samples, of all seeds each: 2 edits" in out
    assert "data      6 edits" in out
    assert "passed: deviation of eac over 3 samples: " in out
    _, _, error = run(capsys, "explain", "small.eac.yaml::eac-samples::baseline-efficacy")
    assert "'baseline-efficacy' is not a check of eac-samples" in error
