"""Abilities as checks of a spec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import datasets  # noqa: F401  # once in this process: it cannot be imported a second time
import pytest

from pytest_eac.store import read_record
from tests.abilities.lm_eval_tasks import CHOICE, write_task
from tests.conftest import REAL_MODEL, USER_CACHE

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs

ABILITY = """
import torch
from pytest_eac import WeightDelta

def steady(model):
    return [1.0, 0.0, 1.0, 1.0, 1.0]

def noise(model, edits, settings):
    path = model.layout.down.format(settings.layers[0])
    generator = torch.Generator().manual_seed(0)
    return WeightDelta(module=path, left=5 * torch.randn(64, 176, generator=generator))

def pytest_eac_register_abilities():
    return {"steady": steady}

def pytest_eac_register_methods():
    return {"noise": noise}
"""
REAL_NOISE = """
import torch
from pytest_eac import WeightDelta

def change(model, settings, size):
    weight = model.model.get_submodule(model.layout.down.format(settings.layers[0])).weight
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    return WeightDelta(
        module=model.layout.down.format(settings.layers[0]), left=size * weight.std() * noise
    )

def pytest_eac_register_methods():
    return {
        "noise": lambda model, edits, settings: change(model, settings, 10),
        "nothing": lambda model, edits, settings: change(model, settings, 0),
    }
"""
NOISE = "[wreck: {base: noise, layers: [1], contexts: {texts: ['{}']}}]"


def texts(specs: Specs) -> str:
    """A file of sentences that the tiny model knows."""
    lines = [
        json.dumps({"text": f"{fact['prompt'].replace('{}', fact['subject'])} {fact['truth']}."})
        for fact in specs.facts
    ]
    (specs.pytester.path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return "data: texts.jsonl"


def test_an_ability_is_an_item_by_its_name(specs: Specs) -> None:
    specs.write(f"{{abilities: {{drift: {{keep: 0.1, {texts(specs)}}}}}}}")
    result = specs.run("-v", "-k", "drift")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "small.eac.yaml::eac-s0::drift PASSED*",
            "chain *ability *base *edited *kept *95% *n",
            "eac-s0 *drift *1.000 *0.* to *42",
        ]
    )


def test_a_wrecked_model_fails_with_all_numbers(specs: Specs) -> None:
    specs.pytester.makeconftest(ABILITY)
    bounds = f"{{keep: 0.7, {texts(specs)}}}"
    specs.write(f"{{abilities: {{drift: {bounds}, perplexity: {bounds}}}}}", methods=NOISE)
    result = specs.run()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "drift of wreck-s0: kept 0.* (95% interval * to *) of 1 (n=42 items) after 2 of 2 "
            "edits, required at least 0.7 kept",
            "  edited 0.* (95% interval *), unedited 1, kl *",
            "small.eac.yaml:4: the check",
            "perplexity of wreck-s0: kept 0.* of *",
        ]
    )


def test_an_ability_that_the_model_has_not_got_is_skipped_with_the_reason(specs: Specs) -> None:
    checks = "{abilities: {nli: {keep: 0.1, take: 40, template: '{sentence2}'}}}"
    specs.write(checks)
    result = specs.run("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*nli of eac-s0: no signal: the unedited model scores *"])
    required = specs.run("--eac-require")
    required.assert_outcomes(failed=1)
    required.stdout.fnmatch_lines(["nli of eac-s0: no signal: *(--eac-require)"])


def test_orders_of_what_the_model_has_not_got_say_why_they_decide_nothing(specs: Specs) -> None:
    checks = "{abilities: {nli: {keep: 0.1, take: 40, template: '{sentence2}'}}}"
    specs.write(checks, more="orderings: {examples: 2, hold: [nli]}")
    result = specs.run("-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        ["SKIPPED*orderings-nli of eac-s0: undecided under the order *: nli of *: no signal: *"]
    )


def test_an_ability_of_the_project_is_measured_and_judged(specs: Specs) -> None:
    specs.pytester.makeconftest(ABILITY)
    specs.write("{abilities: {steady: {keep: 1, at: every}}}", more="sequence: {checkpoints: [1]}")
    specs.run("--eac-results=results.json").assert_outcomes(passed=1)
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert chain.abilities["steady"].scores == (1.0, 0.0, 1.0, 1.0, 1.0)
    assert [point.abilities["steady"].kept for point in chain.checkpoints] == [1.0, 1.0]


def test_an_ability_is_measured_only_where_a_check_looks_at_it(specs: Specs) -> None:
    data = texts(specs)
    specs.write(
        f"{{abilities: {{drift: {{keep: 0.1, at: every, {data}}}, perplexity: {{keep: 0.1, "
        f"{data}}}}}}}",
        more="sequence: {checkpoints: [1]}",
    )
    specs.run("--eac-results=results.json").assert_outcomes(passed=2)
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    found = [set(point.abilities) for point in chain.checkpoints]
    assert found == [{"drift"}, {"drift", "perplexity"}]


def test_the_unedited_model_is_asked_once_for_all_chains_of_a_spec(specs: Specs) -> None:
    specs.pytester.makeconftest(
        ABILITY.replace("    return [1.0", "    print('ASKED')\n    return [1.0")
    )
    methods = "[a: {base: noise, layers: [1]}, b: {base: noise, layers: [2]}]"
    specs.write("{abilities: {steady: 0.5}}", methods=methods)
    result = specs.run("-s")
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("ASKED") == 3  # unedited, and after each chain


def test_what_failures_together_point_to_stands_below_the_table(specs: Specs) -> None:
    specs.pytester.makeconftest(ABILITY)
    bounds = f"{{keep: 0.7, {texts(specs)}}}"
    specs.write(f"{{efficacy: {{min: 1}}, abilities: {{drift: {bounds}}}}}", methods=NOISE)
    result = specs.run()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["wreck-s0 *drift *", "wreck-s0: drift and the edits themselves are lost: the wrong layer*"]
    )
    alone = specs.run("-k", "drift")
    alone.stdout.no_fnmatch_line("wreck-s0: *")


LABELLED = "{abilities: {sentiment: {keep: 0.1, shots: 0, data: bad.tsv}}}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("sentence\tlable\nfine\t1\n", "*bad.tsv:2: found the columns sentence, lable; *'label'*"),
        ("sentence\tlabel\nfine\tgood\n", "*bad.tsv:2: label: found the label 'good'; *"),
        ("", "*bad.tsv: *"),
        ("sentence\tlabel\n", "*bad.tsv: no records in it; expected at least one"),
        (b"sentence\tlabel\ncaf\xe9\t1\n", "*bad.tsv:2: *UTF-8*"),
        (b"sentence\tlabel\nfine\t1\n" + b"x" * 10_000_000 + b"\t1\n", "*bad.tsv:3: *"),
    ],
    ids=["column", "label", "empty", "head", "encoding", "line"],
)
def test_broken_data_is_one_error_with_its_place_and_the_check(
    specs: Specs, content: str | bytes, told: str
) -> None:
    raw = content.encode() if isinstance(content, str) else content
    (specs.pytester.path / "bad.tsv").write_bytes(raw)
    specs.write(LABELLED)
    result = specs.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([told, "small.eac.yaml:4: the check"])
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "bad.tsv" in text
    assert len(text) < 5000


def test_a_task_of_lm_eval_beside_the_spec_is_a_check(specs: Specs) -> None:
    docs = [
        {
            "prompt": fact["prompt"].replace("{}", fact["subject"]),
            "choices": [fact["truth"], "Paris"][:: 1 if index % 2 else -1],
            "right": (index + 1) % 2,
        }
        for index, fact in enumerate(specs.facts[:12])
    ]
    write_task(specs.pytester.path, "places", docs, CHOICE)
    bounds = "{keep: 0.5, include: places.yaml}"
    specs.write(f"{{abilities: {{'lm_eval:places': {bounds}}}}}")
    result = specs.run("-v", "--eac-offline", "--eac-trust-task-files")
    result.stdout.fnmatch_lines(
        [
            "small.eac.yaml::eac-s0::lm_eval:places PASSED*",
            "chain *ability *base *edited *kept *95% *n",
            "eac-s0 *lm_eval:places *1.000 *to * 12",
        ]
    )
    assert not [line for line in result.errlines if line.strip()]


@pytest.mark.parametrize(
    "settings",
    [
        {"doc_to_text": "{{ cycler.__init__.__globals__.os.system('touch ran') }}"},
        {"process_docs": "FUNCTION"},
    ],
    ids=["template", "function"],
)
def test_no_task_file_runs_unless_the_command_line_says_so(
    specs: Specs, settings: dict[str, str]
) -> None:
    folder = specs.pytester.path
    (folder / "own.py").write_text("open('ran', 'w')\ndef run(docs): return docs\n", "utf-8")
    docs = [{"prompt": "Oslo is in", "choices": ["Peru", "Norway"], "right": 1}] * 4
    task = write_task(folder, "places", docs, {**CHOICE, **settings})
    task.write_text(task.read_text("utf-8").replace('"FUNCTION"', "!function own.run"), "utf-8")
    specs.write("{abilities: {'lm_eval:places': {keep: 0.5, include: places.yaml}}}")
    result = specs.run("--eac-offline")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "small.eac.yaml:*: checks.abilities.lm_eval:places.include: found *places.yaml; *can "
            "run code*give --eac-trust-task-files*"
        ]
    )
    assert not (folder / "ran").exists()
    specs.run("--eac-offline", "--eac-trust-task-files")
    assert (folder / "ran").exists()


def test_stored_records_of_task_files_are_judged_without_running_them(specs: Specs) -> None:
    docs = [{"prompt": "Oslo is in", "choices": ["Peru", "Norway"], "right": 1}] * 4
    write_task(specs.pytester.path, "places", docs, CHOICE)
    specs.write("{abilities: {'lm_eval:places': {keep: 0.01, include: places.yaml}}}")
    specs.run("--eac-offline", "--eac-trust-task-files", "--eac-results=r.json")
    result = specs.run("--eac-from-results=r.json")
    assert result.parseoutcomes().get("errors") is None


@pytest.mark.slow
def test_a_real_model_with_noise_on_one_matrix_fails_and_without_it_passes(specs: Specs) -> None:
    specs.pytester.makeconftest(REAL_NOISE)
    abilities = "{sentiment: {keep: 0.7, take: 40}, " + ", ".join(
        f"{name}: {{keep: 0.7, take: 10}}" for name in ("perplexity", "drift", "generation")
    )
    specs.write(
        f"{{abilities: {abilities}}}}}",
        model=f"{{id: '{REAL_MODEL}', dtype: float32}}",
        methods="[noise: {base: noise, layers: [4]}, nothing: {base: nothing, layers: [4]}]",
        edits="[{subject: Norway, prompt: 'The capital of {} is', target: Lima}]",
    )
    result = specs.run(f"--eac-cache-dir={USER_CACHE}", "--eac-no-cache", "-v")
    result.assert_outcomes(failed=4, passed=4)
    result.stdout.fnmatch_lines(
        [
            "*::noise-s0::sentiment FAILED*",
            "*::noise-s0::perplexity FAILED*",
            "*::noise-s0::drift FAILED*",
            "*::noise-s0::generation FAILED*",
            "*::nothing-s0::sentiment PASSED*",
            "*::nothing-s0::perplexity PASSED*",
            "*::nothing-s0::drift PASSED*",
            "*::nothing-s0::generation PASSED*",
            "generation of noise-s0: perplexity of the texts by the unedited model * times *",
            "nothing-s0 *sentiment * 1.00 0.89 to 1.12 *",
        ]
    )


def test_data_that_are_not_here_skip_their_check_alone(specs: Specs) -> None:
    absent = "sentiment: {keep: 0.7, data: 'hub:me/set', revision: abc}"
    there = f"drift: {{keep: 0.01, {texts(specs)}}}"
    specs.write(f"{{efficacy: {{min: 0}}, abilities: {{{there}, {absent}}}}}")
    result = specs.pytester.runpytest_subprocess("--eac-offline", "-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] small.eac.yaml:*: data set 'me/set'*"])
    required = specs.pytester.runpytest_subprocess("--eac-offline", "--eac-require")
    required.assert_outcomes(passed=2, failed=1)
    required.stdout.fnmatch_lines(
        ["data set 'me/set'*", "small.eac.yaml:4: the check (--eac-require)"]
    )


def test_data_that_are_wrong_are_told_at_the_line_of_their_check(specs: Specs) -> None:
    (specs.pytester.path / "data.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    abilities = (
        f"{{drift: {{keep: 0.1, {texts(specs)}}},\n  sentiment: {{keep: 1, data: data.jsonl}}}}"
    )
    specs.write(f"{{efficacy: {{min: 0}},\n abilities: {abilities}}}")
    result = specs.run()
    result.stdout.fnmatch_lines(["*data.jsonl:1: *expected*", "small.eac.yaml:6: the check"])
