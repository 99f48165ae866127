"""What a project brings by its ``conftest.py``: methods, metrics and edit sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_eac.store import read_record

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel
    from tests.plugin.conftest import Specs

METHOD = """
import torch
from pytest_eac import WeightDelta

def shift(model, edits, settings):
    path = model.layout.down.format(settings.layers[0])
    return WeightDelta(module=path, left=torch.full((64, 176), 0.01))

def pytest_eac_register_methods():
    return {"shift": shift}
"""
METRIC = """
def count(model, edits):
    return len(edits)

def found(model, edits):
    return [1.0 if edit.subject in edit.prompt else 0.0 for edit in edits]

def pytest_eac_register_metrics():
    return {"count": count, "found": found}
"""
SOURCE = """
def lines(path):
    for line in path.read_text().splitlines():
        subject, prompt, target = line.split("|")
        yield {"subject": subject, "prompt": prompt, "target": target}

def pytest_eac_register_sources():
    return {"lines": lines}
"""
SHIFT = "[mine: {base: shift, layers: [1], contexts: {texts: ['{}']}}]"
# Two edits, each of which adds 0.01 to 64 x 176 entries.
MOVED = 2 * 0.01 * 64 * 176


def given(specs: Specs, *parts: str) -> None:
    specs.pytester.makeconftest("\n".join(parts))


def test_a_method_of_the_project_edits_the_model(specs: Specs) -> None:
    given(specs, METHOD)
    within = f"{{min: {0.999 * MOVED}, max: {1.001 * MOVED}}}"
    specs.write(f"{{deviation: {within}}}", methods=SHIFT)
    specs.run("--eac-results=results.json").assert_outcomes(passed=1)
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert chain.hyperparameters["base"] == "shift"
    assert chain.hyperparameters["covariance"] is None
    assert [cost.anchors for cost in chain.per_edit] == [None, None]
    assert [cost.reached for cost in chain.per_edit] == [None, None]
    assert [cost.steps for cost in chain.per_edit] == [(), ()]


def test_a_method_can_have_options_and_a_state_and_several_edits(specs: Specs) -> None:
    given(
        specs,
        """
import torch
from pydantic import BaseModel, ConfigDict, Field
from pytest_eac import Method, Solved, WeightDelta

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    by: float = Field(0.5, gt=0)

def solve(model, edits, settings, work):
    path = model.layout.down.format(settings.layers[0])
    before = int(work.state.get("edits", torch.tensor(0)))
    assert (before, len(edits), len(work.edits)) in [(0, 2, 3), (2, 1, 3)]
    left = torch.zeros(64, 176)
    left[0, 0] = settings.options.by * (before + 1)
    delta = WeightDelta(module=path, left=left)
    return Solved(deltas=(delta,), state={"edits": torch.tensor(before + len(edits))})

def pytest_eac_register_methods():
    return {"step": Method(solve=solve, options=Options)}
""",
    )
    methods = "[s: {base: step, layers: [1], contexts: {texts: ['{}']}, options: {by: 2}}]"
    edits = f"[{{from: {specs.world}, format: jsonl, take: 3}}]"
    # 2 * 1 for the first batch and 2 * 3 for the second.
    specs.write(
        "{deviation: {min: 7.999, max: 8.001}}",
        methods=methods,
        edits=edits,
        more="sequence: {batch: 2}",
    )
    specs.run().assert_outcomes(passed=1)
    specs.write(methods=methods.replace("by: 2", "by: 0, bi: 1"))
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "*small.eac.yaml:3:*: methods[[]0[]].s.options.by: found 0, expected greater than 0",
            "*small.eac.yaml:3:*: methods[[]0[]].s.options.bi: unknown key 'bi'; known are by",
        ]
    )


def test_a_metric_of_the_project_is_checked_and_recorded(specs: Specs) -> None:
    given(specs, METHOD, METRIC)
    specs.write(
        "{metrics: {count: {min: 2, max: 2}, found: {min: 1}}}",
        methods=SHIFT,
        more="sequence: {checkpoints: [1]}",
    )
    specs.run("--eac-results=results.json").assert_outcomes(passed=2)
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert [point.metrics["count"].value for point in chain.checkpoints] == [1, 2]
    assert [point.metrics["found"].scores for point in chain.checkpoints] == [(1.0,), (1.0, 1.0)]


def test_a_metric_that_misses_its_limit_fails_the_test(specs: Specs) -> None:
    given(specs, METHOD, METRIC)
    specs.write("{metrics: {count: {min: 3}}}", methods=SHIFT)
    result = specs.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*small.eac.yaml::mine-s0::count*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_source_of_the_project_is_read(specs: Specs) -> None:
    given(specs, METHOD, SOURCE)
    (specs.pytester.path / "facts.txt").write_text("Ana|{} lives in|Oslo\nBo|Bo is a|cook\n")
    specs.write(methods=SHIFT, edits="[{from: facts.txt, format: lines}]")
    specs.run("--eac-results=results.json").assert_outcomes(passed=1)
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert [edit.texts.prompt for edit in chain.edits] == ["Ana lives in", "Bo is a"]
    assert chain.edits[1].origin.endswith("facts.txt:2")


def test_another_run_does_not_know_them(specs: Specs) -> None:
    given(specs, METHOD)
    specs.write(methods=SHIFT)
    specs.run().assert_outcomes(passed=1)
    given(specs, "")
    result = specs.run("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*unknown method 'shift'*"])


def test_the_hooks_of_a_second_folder_reach_its_specs(specs: Specs) -> None:
    for name in ("a", "b"):
        (specs.pytester.path / name).mkdir()
    specs.write(name="a/s.eac.yaml")
    (specs.pytester.path / "b" / "conftest.py").write_text(METHOD + METRIC)
    specs.write("{metrics: {count: {min: 2, max: 2}}}", methods=SHIFT, name="b/s.eac.yaml")
    specs.run().assert_outcomes(passed=2)
    # The other way round they are known in both.
    specs.run("b", "a").assert_outcomes(passed=2)


SPOIL = """
import torch
from pytest_eac import WeightDelta

def spoil(model, edits, settings):
    model.model.get_submodule("model.norm").weight.data[0] += 1
    path = model.layout.down.format(settings.layers[0])
    return WeightDelta(module=path, left=torch.zeros(64, 176))

def norm(model, edits):
    return float(model.model.get_submodule("model.norm").weight[0])

def pytest_eac_register_methods():
    return {"spoil": spoil}

def pytest_eac_register_metrics():
    return {"norm": norm}
"""


def test_after_a_method_that_spoils_the_model_it_is_loaded_anew(
    specs: Specs, tiny_llama: LoadedModel
) -> None:
    given(specs, SPOIL)
    norm = float(tiny_llama.model.get_submodule("model.norm").weight[0])
    same = "layers: [1], contexts: {texts: ['{}']}"
    specs.write(
        f"{{metrics: {{norm: {{min: {norm - 1e-6}, max: {norm + 1e-6}}}}}}}",
        methods=f"[spoilt: {{base: spoil, {same}}}, good: {{base: rome-eac, {same}}}]",
    )
    result = specs.run("--eac-results=results.json")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "spoil changed what it must leave as it was: the values of model.norm.weight. Later "
            "results would depend on that: the model must be loaded again, and nothing is kept. To "
            "find out more: pytest --pyargs pytest_eac.conformance --eac-method=spoil"
        ]
    )
    (chain,) = read_record(specs.pytester.path / "results.json").chains
    assert (chain.method, chain.model.fingerprint) == ("good", tiny_llama.fingerprint)


# What is told


def test_a_method_with_the_name_of_a_built_in_one_is_told(specs: Specs) -> None:
    given(specs, METHOD.replace('"shift"', '"rome-eac"'))
    specs.write()
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "pytest_eac_register_methods: 'rome-eac' is a built-in method; give yours a name of "
            "its own"
        ]
    )
    result.stdout.no_fnmatch_line("*plugin/__init__.py*")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 'done'", "shift returned a str, expected WeightDelta objects or a Solved"),
        ("return None", "shift returned a NoneType, expected WeightDelta objects or a Solved"),
        (
            "return WeightDelta(module='lm_head', left=torch.zeros(760, 64))",
            "shift changes lm_head, which it does not declare; declared: "
            "model.layers.1.mlp.down_proj",
        ),
        (
            "path = 'model.layers.1.mlp.down_proj'\n"
            "    return [WeightDelta(module=path, left=torch.zeros(64, 176))] * 2",
            "shift returned two deltas for one module: *",
        ),
        (
            "return WeightDelta(module='model.layers.1.mlp.down_proj', left=torch.zeros(4, 4))",
            "model.layers.1.mlp.down_proj: found a delta of shape (4, 4), expected (64, 176)",
        ),
        (
            "left = torch.full((64, 176), float('nan'))\n"
            "    return WeightDelta(module='model.layers.1.mlp.down_proj', left=left)",
            "model.layers.1.mlp.down_proj: the update is not finite; nothing was changed",
        ),
    ],
)
def test_a_method_that_returns_something_else_is_told(specs: Specs, body: str, said: str) -> None:
    start = METHOD.index("    path =")
    end = METHOD.index("def pytest_eac")
    given(specs, METHOD[:start] + "    " + body + "\n\n" + METHOD[end:])
    specs.write(methods=SHIFT)
    result = specs.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"edit 1 of 2 (Odalys Ardwick, *world.jsonl:1): {said}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_metric_that_returns_something_else_is_told(specs: Specs) -> None:
    given(specs, METHOD, METRIC.replace("return len(edits)", "return 'many'"))
    specs.write("{metrics: {count: {min: 0}}}", methods=SHIFT)
    result = specs.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["metric 'count' returned 'many', expected a number, or *"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Ana|{} lives in", "*facts.txt: source 'lines': not enough values to unpack*"),
        ("Ana|Bo lives in|Oslo", "*facts.txt:1: record 1: field prompt: found 'Bo lives in': *"),
    ],
)
def test_a_source_that_gives_something_else_is_told(specs: Specs, line: str, said: str) -> None:
    given(specs, METHOD, SOURCE)
    (specs.pytester.path / "facts.txt").write_text(line + "\n")
    specs.write(methods=SHIFT, edits="[{from: facts.txt, format: lines}]")
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*small.eac.yaml:5:*: edits[[]0[]].from: {said}"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            {"methods": "[mine: {base: shfit, layers: [1]}]"},
            "3:24: methods[[]0[]].mine.base: unknown method 'shfit'; did you mean 'shift'[?]",
        ),
        (
            {"methods": "[shfit]"},
            "3:11: methods[[]0[]]: unknown method 'shfit'; did you mean 'shift'[?]",
        ),
        (
            {"checks": "{metrics: {cuont: {min: 1}}}"},
            "4:20: checks.metrics.cuont: unknown metric 'cuont'; did you mean 'count'[?]",
        ),
        (
            {"checks": "{metrics: {efficacy: {min: 1}}}"},
            "4:20: checks.metrics.efficacy: 'efficacy' is a check of its own; write it beside *",
        ),
        (
            {"checks": "{metrics: {count: {}}}"},
            "4:27: checks.metrics.count: nothing is checked; expected min or max",
        ),
        (
            {"edits": "[{from: facts.txt, format: line}]"},
            "5:35: edits[[]0[]].format: unknown format 'line'; did you mean 'lines'[?]",
        ),
        (
            {"methods": "[mine: {base: shift, layers: [1], options: {by: 1}}]"},
            "3:*: methods[[]0[]].mine.options: shift has no options of its own; drop 'options'",
        ),
    ],
)
def test_a_name_that_nobody_brings_is_told_with_its_place(
    specs: Specs, written: dict[str, str], said: str
) -> None:
    given(specs, METHOD, METRIC, SOURCE)
    specs.write(**{"methods": SHIFT, **written})
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*small.eac.yaml:{said}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_metric_nobody_brings_is_told_even_where_there_are_none(specs: Specs) -> None:
    specs.write("{metrics: {count: {min: 1}}}")
    result = specs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["*:4:20: *unknown metric 'count'; no package or conftest.py brings one"]
    )
