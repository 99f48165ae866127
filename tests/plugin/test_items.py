"""Checks as pytest items: selection, fixtures, marks, reports. All from outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from pytest_eac.plugin import pytest_xdist_make_scheduler
from pytest_eac.records.results_file import SCHEMA
from pytest_eac.stats.intervals import wilson
from pytest_eac.store import read_record
from tests.conftest import TINY_LLAMA

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Specs

TWO_METHODS = (
    "[plain: {base: rome, layers: [1], contexts: {texts: ['{}']}},"
    " eac: {base: rome-eac, layers: [1], contexts: {texts: ['{}']}}]"
)
CHECKS = "{efficacy: {min: 0.0}, deviation: {max_relative: 99}}"
COMPARE = "{efficacy: {min: 0.0}, compare: [{metric: deviation, less: eac, than: plain}]}"


def test_node_ids_are_file_chain_check(specs: Specs) -> None:
    specs.write(COMPARE, methods=TWO_METHODS, more="seeds: [0, 3]")
    result = specs.run("--collect-only", "-q")
    result.stdout.fnmatch_lines(
        [
            "small.eac.yaml::plain-s0::efficacy",
            "small.eac.yaml::plain-s3::efficacy",
            "small.eac.yaml::eac-s0::efficacy",
            "small.eac.yaml::eac-s3::efficacy",
            "small.eac.yaml::compare::deviation-eac-than-plain",
        ],
        consecutive=True,
    )


def test_other_yaml_files_are_left_alone(specs: Specs) -> None:
    path = specs.pytester.path
    (path / "ci.yaml").write_text("jobs: {eac: 1}\n")
    (path / "list.yml").write_text("- eac: 1\n")
    (path / "broken.yaml").write_text("a: [\n")
    assert specs.run().ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_item_is_run_by_its_node_id(specs: Specs) -> None:
    specs.write(CHECKS, methods=TWO_METHODS)
    result = specs.run("small.eac.yaml::eac-s0::deviation")
    result.assert_outcomes(passed=1)


def test_items_are_selected_by_name_and_by_mark(specs: Specs) -> None:
    specs.write(CHECKS, methods=TWO_METHODS, more="marks: [gate]")
    specs.pytester.makeini("[pytest]\nmarkers = gate\naddopts = --strict-markers")
    specs.run("-k", "plain and deviation").assert_outcomes(passed=1, deselected=3)
    specs.run("-m", "eac and gate").assert_outcomes(passed=4)
    assert specs.run("-m", "not gate").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_unregistered_mark_is_an_error_under_strict_markers(specs: Specs) -> None:
    specs.write(more="marks: [gaet]")
    result = specs.run("--strict-markers")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*'gaet' not found in `markers`*"])


def test_a_chain_runs_once_for_all_its_checks(specs: Specs) -> None:
    specs.write(COMPARE, methods=TWO_METHODS)
    specs.pytester.makeconftest(
        """
        import pytest_eac.measuring.chain as chain
        run, ran = chain.run_chain, []
        def counted(loaded, spec, method, **more):
            ran.append(method.name)
            return run(loaded, spec, method, **more)
        chain.run_chain = counted
        def pytest_sessionfinish():
            chain.run_chain = run
            print("ran", ran)
        """
    )
    result = specs.run("-s")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*ran [[]'plain', 'eac'[]]*"])


def test_a_failure_explains_itself_without_a_traceback(specs: Specs) -> None:
    specs.write("{locality: {min: 0.0, max: 0.01}, retention: {max: 0.01}, deviation: {max: 1.5}}")
    result = specs.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=3)
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*nodes.py*")
    result.stdout.fnmatch_lines(
        [
            "locality of eac-s0: * (n=2 edits, 95% interval * to *) after 2 of 2 edits, required "
            "at least 0 and at most 0.01",
            "small.eac.yaml:4: the check",
            "deviation of eac-s0: * after 2 of 2 edits, required at most 1.5 (l1)",
            "FAILED small.eac.yaml::eac-s0::locality - locality of eac-s0: *",
        ]
    )


def test_failed_edits_are_told_with_prompt_answer_and_line(specs: Specs) -> None:
    fact = specs.facts[0]
    edits = json.dumps([{**fact, "target": fact["target"]}, {**specs.facts[1]}])
    specs.write(
        "{known: {max: 0.0}}",
        edits=edits,
    )
    specs.run().assert_outcomes(failed=1)
    # A value that cannot be learned: one step, a tiny ball.
    specs.write(
        "{efficacy: {min: 1}}",
        methods="[eac: {base: rome, layers: [1], value: {steps: 1}, contexts: {texts: ['{}']}}]",
        edits=edits,
    )
    result = specs.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"  edit 1 (small.eac.yaml:5): '*{fact['subject']}*' -> '*', expected '{fact['target']}'"]
    )


def test_failed_checks_are_rerun_by_lf(specs: Specs) -> None:
    specs.write("{efficacy: {min: 0.0}, deviation: {max: 0.0}}")
    specs.run().assert_outcomes(passed=1, failed=1)
    specs.run("--lf").assert_outcomes(failed=1)


def test_x_stops_at_the_first_failure(specs: Specs) -> None:
    specs.write("{efficacy: {min: 0.0}, deviation: {max: 0.0}}", methods=TWO_METHODS)
    specs.run("-x").assert_outcomes(passed=1, failed=1)


def test_a_known_issue_is_a_strict_expected_failure(specs: Specs) -> None:
    issue = "known_issues: [{check: deviation, method: eac, reason: too wide}]"
    specs.write("{deviation: {max: 0.0}}", methods=TWO_METHODS, more=issue)
    specs.run().assert_outcomes(failed=1, xfailed=1)
    specs.write("{deviation: {max_relative: 99}}", methods=TWO_METHODS, more=issue)
    result = specs.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*too wide*"])


def test_a_known_issue_does_not_hide_an_error(specs: Specs) -> None:
    specs.write(
        "{deviation: {max: 0.0}}",
        methods="[eac: {base: rome-eac}]",
        more="known_issues: [{check: deviation, reason: too wide}]",
    )
    result = specs.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["no hyperparameters are known for this model*"])


def test_items_use_fixtures(specs: Specs) -> None:
    specs.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def always():
            print("always up")
            yield
            print("always down")

        @pytest.fixture
        def named():
            print("named up")
        """
    )
    specs.write(more="fixtures: [named]")
    result = specs.run("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*always up*", "*named up*", "*always down*"])


def test_module_fixtures_have_a_place(specs: Specs) -> None:
    specs.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="module", autouse=True)
        def once(request):
            print("module up", request.module.__name__)
            yield
            print("module down")
        """
    )
    specs.write(CHECKS)
    result = specs.run("-s")
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("module up small.eac") == 1


def test_an_edit_that_the_model_holds_already_is_counted_apart(specs: Specs) -> None:
    fact = specs.facts[0]
    held = {**fact, "target": fact["truth"], "truth": fact["target"]}
    specs.write(edits=json.dumps([held, specs.facts[1]]))
    result = specs.run("--eac-results=results.json", "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  not counted: 1 already held before the edits"])
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert [edit.excluded for edit in chain.edits] == ["already held", None]
    assert chain.checkpoints[-1].metrics["efficacy"].n == 1
    assert chain.checkpoints[-1].metrics["efficacy"].scores[0] is None
    assert chain.per_edit[0].score == 1.0


# Each worker writes down the chains that it runs.
NOTED = """
import os
import pathlib
from pytest_eac.measuring import chain

run = chain.run_chain

def noted(loaded, spec, method, *, seed, **others):
    with pathlib.Path("ran.txt").open("a") as file:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
        file.write(f"{worker} {spec.name} {method.name}-s{seed}\\n")
    return run(loaded, spec, method, seed=seed, **others)

chain.run_chain = noted

def pytest_unconfigure():
    chain.run_chain = run
"""


def ran(specs: Specs) -> list[tuple[str, ...]]:
    """Return worker, spec and chain of each chain that was run, in order."""
    lines = (specs.pytester.path / "ran.txt").read_text().splitlines()
    return [tuple(line.split()) for line in lines]


@pytest.mark.slow
def test_compared_chains_run_on_several_workers_with_the_results_of_a_single_process(
    specs: Specs,
) -> None:
    checks = (
        "{efficacy: {min: 0.01, confidence: 0.9}, retention: {min: 0.02, confidence: 0.9},"
        " compare: [{metric: deviation, less: eac, than: plain},"
        " {metric: locality, more: eac, than: plain, by: -1}]}"
    )
    specs.write(checks, methods=TWO_METHODS)
    specs.pytester.makeconftest(NOTED)
    specs.run("-n2", "--eac-no-cache", "--eac-results=two.json").assert_outcomes(passed=6)
    found = ran(specs)
    assert sorted(chain for _, _, chain in found) == ["eac-s0", "plain-s0"]
    assert {worker for worker, _, _ in found} == {"gw0", "gw1"}
    specs.run("-p", "no:xdist", "--eac-results=one.json").assert_outcomes(passed=6)
    two, one = (read_record(specs.pytester.path / name) for name in ("two.json", "one.json"))
    assert {chain.name for chain in two.chains} == {"plain-s0", "eac-s0"}
    for chain in one.chains:
        (other,) = [each for each in two.chains if each.name == chain.name]
        assert other.checkpoints == chain.checkpoints
        assert other.verdicts == chain.verdicts
        assert [verdict.corrected_over for verdict in other.verdicts] == [2, 2]
    assert two.comparisons == one.comparisons
    assert len(two.comparisons) == 2


def test_a_chain_runs_on_one_worker(specs: Specs) -> None:
    specs.pytester.makeconftest(NOTED)
    specs.write(
        "{efficacy: {min: 0.0}, retention: {min: 0.0}, locality: {min: 0.0}}",
        methods=TWO_METHODS,
        more="seeds: [0, 1]",
    )
    third = "third-s9: {base: rome, layers: [1], contexts: {texts: ['{}']}}"
    methods = f"{TWO_METHODS.removesuffix(']')}, {third}]"
    specs.write(COMPARE, methods=methods, name="compared.eac.yaml")
    specs.pytester.makepyfile("def test_one(): pass\ndef test_two(): pass")
    specs.run("-n2").assert_outcomes(passed=12 + 4 + 2)
    found = ran(specs)
    assert len(found) == len({each[1:] for each in found}) == 4 + 3, found
    assert {worker for worker, *_ in found} == {"gw0", "gw1"}


@pytest.mark.parametrize(("yaml", "dist"), [("a: 1", "load"), ("eac: 1", "loadfile")])
def test_without_specs_or_in_another_mode_xdist_deals_as_ever(
    tmp_path: Path, yaml: str, dist: str
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "data.yaml").write_text(f"{yaml}\n")
    config: Any = SimpleNamespace(
        invocation_params=SimpleNamespace(dir=tmp_path),
        args=["inner::x"],
        getoption=lambda _: dist,
    )
    assert pytest_xdist_make_scheduler(config, None) is None


def test_a_seed_asked_for_twice_runs_once(specs: Specs) -> None:
    specs.write()
    specs.run("--eac-seed=3", "--eac-seed=3").assert_outcomes(passed=1)


def test_a_models_path_is_the_specs_whatever_the_working_folder(specs: Specs) -> None:
    shutil.copytree(TINY_LLAMA, specs.pytester.path / "model")
    specs.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def elsewhere(tmp_path, monkeypatch):
            monkeypatch.chdir(tmp_path)
        """
    )
    specs.write(model="./model")
    specs.run().assert_outcomes(passed=1)


def test_setup_plan_shows_fixtures_and_edits_nothing(specs: Specs) -> None:
    specs.write(model=None)  # an error, were the chain run
    result = specs.run("--setup-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*small.eac.yaml::eac-s0::efficacy*"])


CONFIDENT = (
    "{efficacy: {min: 0.4, confidence: 0.95}, deviation: {max_relative: 99},"
    " known: {min: 0, confidence: 0.95}}"
)


def test_a_check_that_few_edits_cannot_decide_is_skipped_with_the_number_needed(
    specs: Specs,
) -> None:
    """Two edits that both succeed: 0.4 ** 2 is 0.16."""
    specs.write(CONFIDENT)
    result = specs.run("-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "chain * check * n * p corr. * corrected verdict",
            "eac-s0 * efficacy * 2 * 0.16 * 0.16 * holm over 2 undecided",
            "*efficacy of eac-s0: undecided: needs about 13 edits to pass with a chance of 0.8; *",
        ]
    )
    specs.run("--eac-require").assert_outcomes(passed=2, failed=1)


def test_the_correction_is_over_the_checks_of_the_spec_whichever_are_selected(
    specs: Specs,
) -> None:
    specs.write(CONFIDENT)
    specs.run("-k", "efficacy", "--eac-results=results.json").assert_outcomes(
        skipped=1, deselected=2
    )
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    (verdict,) = chain.verdicts
    assert (verdict.check, verdict.corrected_over, verdict.needs) == ("efficacy", 2, 13)


def test_a_suite_is_corrected_over_all_its_specs_whichever_checks_are_selected(
    specs: Specs,
) -> None:
    """Two specs with two confident checks each, and one spec that takes no part."""
    for each in ("one", "two"):
        specs.write(CONFIDENT, more="stats: {suite: holm}", name=f"{each}.eac.yaml")
    specs.write(CONFIDENT, name="apart.eac.yaml")
    specs.run("--eac-results=results.json", "-k", "not two")
    chains = read_record(specs.pytester.path / "results.json").chains
    found = {
        chain.spec: {each.corrected_over for each in chain.verdicts if each.p is not None}
        for chain in chains
    }
    assert found == {"apart.eac.yaml": {2}, "one.eac.yaml": {4}}


def test_intervals_are_at_the_level_that_the_spec_asks_for(specs: Specs) -> None:
    specs.write("{efficacy: {min: 0.4, confidence: 0.8}}", more="stats: {confidence: 0.8}")
    result = specs.run("--junitxml=out.xml", "--eac-results=results.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  80% interval *"])
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    efficacy = chain.checkpoints[-1].metrics["efficacy"]
    assert (efficacy.low, efficacy.high) == wilson(1.0, 2, confidence=0.8)
    root = ElementTree.parse(specs.pytester.path / "out.xml").getroot()
    told = {each.get("name"): each.get("value") for each in root.iter("property")}
    assert told["eac_n"] == "2"
    assert float(told["eac_p"] or "") == pytest.approx(0.16)
    assert (told["eac_correction"], told["eac_corrected_over"]) == ("holm", "1")
    assert float(told["eac_low"] or "") == pytest.approx(efficacy.low)
    assert "eac_needs" not in told


def test_junit_carries_what_was_observed_and_required(specs: Specs) -> None:
    specs.write("{efficacy: {min: 0.0}, deviation: {max: 0.0}}")
    specs.run("--junitxml=out.xml")
    root = ElementTree.parse(specs.pytester.path / "out.xml").getroot()
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert set(cases) == {"efficacy", "deviation"}
    properties = {
        each.get("name"): each.get("value") for each in cases["deviation"].iter("property")
    }
    assert properties["eac_outcome"] == "failed"
    assert properties["eac_required"] == "at most 0 (l1)"
    assert float(properties["eac_observed"] or "") > 0
    assert properties["eac_method"] == "eac"
    assert properties["eac_seed"] == "0"


def test_the_run_ends_with_a_table_of_chains_and_metrics(specs: Specs) -> None:
    specs.write(CHECKS, methods=TWO_METHODS)
    result = specs.run()
    result.stdout.fnmatch_lines(
        [
            "eac: model *tiny-llama, dtype auto, device auto",
            "*= edits =*",
            "small.eac.yaml: *tiny-llama",
            "  float32 on cpu, weights *, match: accuracy",
            "chain *edits*known*effic*genrl*local*retain*dev*s/edit",
            "plain-s0 * 2 *%*",
            "eac-s0 * 2 *%*",
        ]
    )


def test_results_are_written_as_a_record(specs: Specs) -> None:
    specs.write(COMPARE, methods=TWO_METHODS)
    specs.run("--eac-results=out/results.json").assert_outcomes(passed=3)
    record = read_record(specs.pytester.path / "out" / "results.json")
    assert [chain.name for chain in record.chains] == ["plain-s0", "eac-s0"]
    assert record.chains[0].spec == "small.eac.yaml"
    assert [verdict.check for verdict in record.chains[0].verdicts] == ["efficacy"]
    assert [each.check for each in record.comparisons] == ["deviation-eac-than-plain"]
    data = json.loads((specs.pytester.path / "out" / "results.json").read_text())
    assert data["schema"] == SCHEMA
    assert set(data["chains"][0]["checkpoints"][0]) == {
        "at",
        "deviation",
        "metrics",
        "abilities",
    }


def test_a_finished_chain_is_on_disk_when_a_later_one_breaks(specs: Specs) -> None:
    specs.write(methods="[eac: {base: rome-eac, layers: [1]}, bad: {base: rome, layers: [77]}]")
    specs.run("--eac-results=results.json").assert_outcomes(passed=1, errors=1)
    record = read_record(specs.pytester.path / "results.json")
    assert [chain.name for chain in record.chains] == ["eac-s0"]


def test_the_command_line_is_laid_over_the_spec(specs: Specs) -> None:
    specs.write(CHECKS, methods=TWO_METHODS, more="seeds: [0, 1]")
    result = specs.run(
        "--eac-method=eac",
        "--eac-seed=7",
        "--eac-limit-edits=1",
        "--eac-dtype=bfloat16",
        "--eac-results=results.json",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["eac: only the first 1 edits (--eac-limit-edits)"])
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert (chain.method, chain.seed, len(chain.edits)) == ("eac", 7, 1)
    assert chain.model.dtype == "bfloat16"


def test_options_can_stand_in_the_ini_file(specs: Specs) -> None:
    specs.write(CHECKS, methods=TWO_METHODS)
    specs.pytester.makeini("[pytest]\neac_method = eac\neac_limit_edits = 1")
    specs.run("--eac-results=results.json").assert_outcomes(passed=2)
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert (chain.method, len(chain.edits)) == ("eac", 1)


def test_the_models_weights_are_back_after_every_chain(specs: Specs) -> None:
    """Two chains of the same method and seed start from the same model: equal records."""
    specs.write(
        methods="[a: {base: rome-eac, layers: [1]}, b: {base: rome-eac, layers: [1]}]",
    )
    specs.run("--eac-results=results.json").assert_outcomes(passed=2)
    one, two = read_record(specs.pytester.path / "results.json").chains
    assert one.checkpoints == two.checkpoints
    assert one.model == two.model


def test_undecided_is_a_skip_with_its_reason(specs: Specs) -> None:
    specs.write("{efficacy: {min: 0.0, at: 2}}")
    result = specs.run("--eac-limit-edits=1", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*small.eac.yaml:4: efficacy: undecided: no such*"])


def test_scoring_of_every_kind_runs(specs: Specs) -> None:
    for match in ("accuracy", "success", "generation"):
        specs.write(
            "{known: {min: 0.9}, efficacy: {min: 0.0}, locality: {min: 0.0}}",
            name=f"{match}.yaml",
            more=f"scoring: {{match: {match}}}",
        )
    specs.run().assert_outcomes(passed=9)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("script"), reason="needs script(1) for a terminal")
def test_a_terminal_shows_how_far_a_chain_is_and_a_pipe_does_not(specs: Specs) -> None:
    specs.write()
    command = f"{sys.executable} -m pytest -p no:cacheprovider"
    shown = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=specs.pytester.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "small eac-s0: 1/2 edits, editing" in shown.stdout
    piped = subprocess.run(
        command.split(), cwd=specs.pytester.path, capture_output=True, text=True, check=True
    )
    assert "edits, editing" not in piped.stdout
