"""``--eac-baseline``, ``--eac-compare-fail`` and ``--eac-update-baseline``, from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.plugin.baseline_records import Baseline
from pytest_eac.records.checkpoint_diff import Changes
from pytest_eac.records.run import Chain, Measurement, ProbePrompt, Record, Release
from pytest_eac.store import read_record, write_record
from tests.judging.hand_made_chains import MODEL, edit, having, rewritten
from tests.plugin.conftest import QUICK, SIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.plugin.conftest import Specs

JUDGE = "--eac-from-results=stored.json"
FILE = "base.json"
UPDATE = (JUDGE, f"--eac-baseline={FILE}", "--eac-update-baseline")
LOCALITY = (JUDGE, f"--eac-baseline={FILE}", "--eac-compare-fail=locality:2%")
NOTHING = Changes(tensors=1, differences=(), troubles=(), rank_limit=1)
RELEASE = Release(spec="b.yaml", base="a", edited="b", changes=NOTHING, manifest=False)
CHECKS = "{efficacy: {min: 0.0}, locality: {min: 0.0}}"


@pytest.fixture
def base(specs: Specs, stored: Path) -> Path:
    """The baseline of a run in which every second neighbour was kept."""
    specs.write(CHECKS, methods=QUICK, edits=SIX)
    change(stored, with_locality(0.5))
    result = specs.run(*UPDATE)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["baseline written to *base.json: chains: 0 replaced, 1 added, *"])
    return specs.pytester.path / FILE


def change(file: Path, how: Callable[[Chain], Chain]) -> None:
    record = read_record(file)
    write_record(file, replace(record, chains=tuple(how(each) for each in record.chains)))


def with_locality(score: float) -> Callable[[Chain], Chain]:
    """Plant another locality, the same for every edit, into a chain."""

    def plant(chain: Chain) -> Chain:
        last = chain.checkpoints[-1]
        measured = Measurement(value=score, n=6, low=0.0, high=1.0, scores=(score,) * 6, misses=())
        return replace(chain, checkpoints=(having(last, "locality", measured),))

    return plant


def test_the_same_run_again_is_no_regression(specs: Specs, base: Path) -> None:
    result = specs.run(*LOCALITY, "--eac-compare-fail=deviation:0%", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "*small.eac.yaml::eac-s0::baseline-locality PASSED*",
            "*small.eac.yaml::eac-s0::baseline-deviation PASSED*",
            "against the baseline *base.json",
            "locality *+0.000*",
        ]
    )


def test_a_planted_regression_fails_with_its_edits_at_the_line_of_the_check(
    specs: Specs, base: Path
) -> None:
    change(base, with_locality(1.0))
    result = specs.run(*LOCALITY)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "locality of eac-s0 against the baseline: 0.500, was 1.000: down by *",
            "  edit 1 (*): * scores 0.5, was 1",
            "small.eac.yaml:4: the check",
            "FAILED small.eac.yaml::eac-s0::baseline-locality*",
        ]
    )


def test_an_improvement_passes_and_is_reported(specs: Specs, base: Path) -> None:
    change(base, with_locality(0.0))
    result = specs.run(*LOCALITY)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["  better: locality"])


def test_regressions_are_picked_by_name_and_listed_in_junit(specs: Specs, base: Path) -> None:
    result = specs.run(*LOCALITY, "-k", "baseline", "--junit-xml=out.xml")
    result.assert_outcomes(passed=1, deselected=2)
    text = (specs.pytester.path / "out.xml").read_text(encoding="utf-8")
    assert 'name="eac_required" value="tolerated a fall of 0.02"' in text


PROBES = (ProbePrompt(prompt="a prompt", answer=None),) * 3
OTHERS = tuple(
    rewritten(edit(index), probes={"generalization": PROBES, "locality": PROBES})
    for index in range(6)
)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"scoring": "success"}, "scoring.match: found 'success' there, 'accuracy' here"),
        ({"batch": 6}, "sequence.batch: found 6 there, 1 here"),
        ({"hyperparameters": {}}, "hyperparameters.base: found nothing there, 'rome-eac' here*"),
        ({"model": MODEL}, "model: found package:tiny (weights * there, *tiny-llama (weights * h"),
        ({"edits": OTHERS}, "edit 1.subject: found 'subject 0' there, *"),
    ],
    ids=["scoring", "batch", "method", "model", "edits"],
)
def test_a_baseline_of_something_else_is_refused_with_the_difference(
    specs: Specs, base: Path, changed: dict[str, Any], told: str
) -> None:
    change(base, lambda chain: replace(chain, **changed))
    result = specs.run(*LOCALITY)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([f"*base.json: the baseline of eac-s0 was made with *{told}*"])
    result.stdout.fnmatch_lines(["*--eac-update-baseline*"])


def test_a_chain_without_a_baseline_is_undecided(specs: Specs, base: Path) -> None:
    change(base, lambda chain: replace(chain, seed=4))
    result = specs.run(*LOCALITY, "-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["*no such chain in *base.json; --eac-update-baseline adds it*"])
    specs.run(*LOCALITY, "--eac-require").assert_outcomes(passed=2, failed=1)


def test_chains_that_did_not_run_stay_in_the_baseline(specs: Specs, base: Path) -> None:
    change(base, lambda chain: replace(chain, seed=4))
    result = specs.run(*UPDATE)
    result.stdout.fnmatch_lines(["*: chains: 0 replaced, 1 added, 1 of other runs kept"])
    assert [each.seed for each in read_record(base).chains] == [4, 0]


def test_a_baseline_that_another_run_updates_meanwhile_loses_nothing(
    specs: Specs, base: Path
) -> None:
    [own] = read_record(base).chains
    before = Baseline(base, (), update=True)
    before.read()  # as a run does that begins now
    other, same = replace(own, seed=4), replace(own, seconds=9.0)
    write_record(base, Record(environment={}, chains=(same, other), releases=(RELEASE,)))
    told = before.store(Record(environment={}, chains=(own, replace(own, seed=5))), complete=True)
    assert told == (
        f"baseline written to {base}: chains: 1 replaced, 1 added, 1 of other runs kept; "
        "another run had stored eac-s0 since this one began"
    )
    stored = read_record(base)
    assert stored.chains == (own, other, replace(own, seed=5))
    assert stored.releases == (RELEASE,)


def test_a_run_that_was_stopped_stores_nothing(specs: Specs, base: Path) -> None:
    before = base.read_bytes()
    specs.write("{locality: {max: 0.0}, retention: {min: 0}}", methods=QUICK, edits=SIX)
    result = specs.run(*UPDATE, "-x")
    result.stdout.fnmatch_lines(["baseline *base.json left as it was: the run did not come to i*"])
    assert base.read_bytes() == before


def test_a_run_that_fails_is_stored_as_it_is(specs: Specs, base: Path) -> None:
    specs.write("{locality: {max: 0.0}, retention: {min: 0}}", methods=QUICK, edits=SIX)
    assert specs.run(*UPDATE).ret == pytest.ExitCode.TESTS_FAILED
    [chain] = read_record(base).chains
    assert [verdict.outcome for verdict in chain.verdicts] == ["failed", "passed"]


def test_an_update_compares_first_and_accepts_what_has_become_worse(
    specs: Specs, base: Path
) -> None:
    change(base, lambda chain: with_steps(with_locality(1.0)(chain), 20))
    result = specs.run(*LOCALITY, "--eac-update-baseline", "--eac-summary=out.md")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=2)
    accepted = "accepted by --eac-update-baseline: locality of eac-s0 against the baseline: 0.500"
    result.stdout.fnmatch_lines(
        [
            "against the baseline *base.json",
            "locality * 1 * 0.5 * -0.500*",
            "  worse: locality",
            "  compared across hyperparameters.value.steps: 20 -> 2",
            f"  {accepted}, was 1.000: down by 0.500 *, tolerated a fall of 0.02",
            "baseline written to *base.json: chains: 1 replaced, 0 added, 0 of other *",
        ]
    )
    summary = (specs.pytester.path / "out.md").read_text(encoding="utf-8")
    assert "compared across hyperparameters.value.steps: 20 -&gt; 2" in summary
    assert f"- {accepted}" in summary
    [chain] = read_record(base).chains
    assert chain.checkpoints[-1].metrics["locality"].value == 0.5


def test_a_first_baseline_has_nothing_to_be_compared_with(specs: Specs, stored: Path) -> None:
    result = specs.run(*UPDATE)
    result.stdout.no_fnmatch_line("against the baseline*")
    result.stdout.fnmatch_lines(["baseline written to *"])


def with_steps(chain: Chain, steps: int) -> Chain:
    """Have a chain edited with another number of steps."""
    value = {**chain.hyperparameters["value"], "steps": steps}
    return replace(chain, hyperparameters={**chain.hyperparameters, "value": value})


@pytest.mark.parametrize("given", ["option", "settings"])
def test_other_hyperparameters_are_compared_where_that_is_asked_for(
    specs: Specs, base: Path, given: str
) -> None:
    change(base, lambda chain: with_steps(with_locality(1.0)(chain), 20))
    if given == "option":
        result = specs.run(*LOCALITY, "--eac-compare-across=batch, hyperparameters")
    else:
        specs.pytester.makeini("[pytest]\neac_compare_across = batch, hyperparameters\n")
        result = specs.run(*LOCALITY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "locality of eac-s0 against the baseline: 0.500, was 1.000: down by *",
            "compared across hyperparameters.value.steps: 20 -> 2",
            "against the baseline *",
            "  compared across hyperparameters.value.steps: 20 -> 2",
        ]
    )


def test_what_is_not_asked_for_still_forbids_a_comparison(specs: Specs, base: Path) -> None:
    change(base, lambda chain: replace(with_steps(chain, 20), batch=6))
    result = specs.run(*LOCALITY, "--eac-compare-across=hyperparameters")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*sequence.batch: found 6 there, 1 here; compare anyway by "
            "--eac-compare-across=batch, undo the change, or store the new one *",
            "eac-s0: not compared: sequence.batch: found 6 there, 1 here; "
            "--eac-compare-across=batch compares them anyway",
        ]
    )


def test_a_baseline_of_something_else_is_shown_once_for_all_metrics(
    specs: Specs, base: Path
) -> None:
    change(base, lambda chain: replace(chain, scoring="success"))
    result = specs.run(*LOCALITY, "--eac-compare-fail=efficacy:2%")
    result.assert_outcomes(passed=2, errors=2)
    assert result.stdout.str().count("the baseline of eac-s0 was made with") == 1
    result.stdout.no_fnmatch_line("*--eac-compare-across*")


def test_the_deviation_of_other_matrices_is_undecided(specs: Specs, base: Path) -> None:
    def elsewhere(chain: Chain) -> Chain:
        last = chain.checkpoints[-1]
        norms = dict.fromkeys(["layer.7"], last.deviation.whole)
        return replace(
            with_steps(chain, 20),
            checkpoints=(replace(last, deviation=replace(last.deviation, by_parameter=norms)),),
        )

    change(base, elsewhere)
    across = ("--eac-compare-fail=deviation:2%", "--eac-compare-across=hyperparameters", "-rs")
    result = specs.run(*LOCALITY, *across)
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["*different matrices: there: layer.7; here: *down_proj*"])


def test_a_missing_baseline_is_an_error_that_says_how_to_make_it(specs: Specs) -> None:
    specs.write()
    result = specs.run(*LOCALITY[1:])
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*base.json is not there; run once with --eac-update-baseline*"])


def test_an_unknown_metric_is_an_error_with_the_nearest_name(specs: Specs) -> None:
    specs.write()
    write_record(specs.pytester.path / FILE, Record(environment={}, chains=()))
    result = specs.run(LOCALITY[1], "--eac-compare-fail=localty:2%")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*unknown metric 'localty'; did you mean 'locality'[?]"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--eac-compare-fail=locality:2%"], "there is no baseline; give --eac-baseline=FILE"),
        (["--eac-compare-across=batch"], "there is no baseline; give --eac-baseline=FILE"),
        (
            [LOCALITY[1], "--eac-compare-across=model"],
            "--eac-compare-across: found 'model', expected hyperparameters or batch",
        ),
        (["--eac-update-baseline"], "there is no baseline; give --eac-baseline=FILE"),
        ([LOCALITY[1], "--eac-compare-fail=locality"], "found 'locality', expected a metric and"),
        ([LOCALITY[1], "--eac-compare-fail=locality:-1%"], "found 'locality:-1%', expected a me"),
        ([LOCALITY[1], "--eac-compare-fail=a:nan"], "found 'a:nan', expected a metric and"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    specs: Specs, options: list[str], told: str
) -> None:
    result = specs.run(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{told}*"])
