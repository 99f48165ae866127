from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac import Solved, judge, load_spec, run_chain
from pytest_eac.errors import EditError, NonFiniteError, SettingsError, SpoiledModelError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.weights import WeightDelta, apply_delta, fingerprint, restored
from pytest_eac.measuring import environment
from pytest_eac.measuring.chain import RunOptions
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.measuring.edited_layers import AUTO_LAYERS, settle
from pytest_eac.measuring.environment import describe_environment
from pytest_eac.records.json_files import from_json, to_json
from pytest_eac.records.run import Record
from pytest_eac.spec import registry
from tests.conftest import WORLD

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.spec import Spec


SPEC = f"""
eac: 1
methods:
  - plain: {{base: rome, layers: [1], contexts: {{lengths: [[3, 2]]}}}}
  - compressed: {{base: rome-eac, layers: [1], contexts: {{lengths: [[3, 2]]}}}}
edits: [{{from: {WORLD}, format: jsonl, take: 4}}]
sequence: {{checkpoints: [1, 2]}}
checks: {{efficacy: {{min: 0.5}}, deviation: {{max_relative: 0.9}}}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return load_spec(path)


def test_a_chain_is_measured_at_its_checkpoints_and_leaves_the_model_as_it_was(
    tiny: LoadedModel, spec: Spec
) -> None:
    before = fingerprint(tiny.model)
    chain = run_chain(tiny, spec, spec.methods[1])
    assert fingerprint(tiny.model) == before == chain.model.fingerprint
    assert [checkpoint.at for checkpoint in chain.checkpoints] == [1, 2, 4]
    assert [len(checkpoint.metrics["retention"].scores) for checkpoint in chain.checkpoints] == [
        1,
        2,
        4,
    ]
    deviations = [checkpoint.deviation.l1 for checkpoint in chain.checkpoints]
    assert deviations[0] > 0
    assert len(chain.per_edit) == 4
    assert chain.contexts[0] == "{}"
    assert len(chain.contexts) == 3


def test_progress_of_the_covariance_has_the_number_of_tokens(
    tiny_llama: LoadedModel, tmp_path: Path
) -> None:
    method = "{base: rome, layers: [1], covariance: {tokens: 2000}, contexts: {texts: ['{}']}}"
    source = f"{{from: {WORLD}, format: jsonl, take: 1}}"
    path = tmp_path / "small.yaml"
    path.write_text(f"eac: 1\nmethods: [r: {method}]\nedits: [{source}]\n")
    spec, said = load_spec(path), []
    run_chain(
        tiny_llama,
        spec,
        spec.methods[0],
        options=RunOptions(cache_dir=tmp_path, progress=lambda *now: said.append(now[2])),
    )
    counted = [each for each in said if each.startswith("measuring the covariance, ")]
    assert counted
    assert all(" of 2,000 tokens" in each for each in counted)


def test_efficacy_is_what_each_edit_scored_right_after_it_was_made(
    tiny: LoadedModel, spec: Spec
) -> None:
    chain = run_chain(tiny, spec, spec.methods[0])
    scores = tuple(cost.score for cost in chain.per_edit)
    for checkpoint in chain.checkpoints:
        assert checkpoint.metrics["efficacy"].scores == scores[: checkpoint.at]
    # At the first checkpoint the only edit is also the last: the two are one measurement.
    first = chain.checkpoints[0]
    assert first.metrics["efficacy"].value == first.metrics["retention"].value


def test_the_same_spec_gives_the_same_record(tiny: LoadedModel, spec: Spec) -> None:
    one, two = (run_chain(tiny, spec, spec.methods[1], seed=5) for _ in range(2))
    assert one.checkpoints == two.checkpoints
    assert one.contexts == two.contexts
    assert [cost.anchors for cost in one.per_edit] == [cost.anchors for cost in two.per_edit]


def test_a_record_survives_the_file_and_can_be_judged_again(tiny: LoadedModel, spec: Spec) -> None:
    chain = run_chain(tiny, spec, spec.methods[1])
    again = from_json(to_json(Record(environment={}, chains=(chain,)))).chains[0]
    assert again == chain
    assert judge(again, spec.checks) == judge(chain, spec.checks)


def test_a_nan_in_the_middle_restores_the_model(
    tiny: LoadedModel, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(tiny.model)
    calls = []

    def applied(*args: object) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise NonFiniteError("the update is not finite")
        return apply_delta(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("pytest_eac.editing.sequence.apply_delta", applied)
    with pytest.raises(NonFiniteError, match="edit 3 of 4"):
        run_chain(tiny, spec, spec.methods[0])
    assert fingerprint(tiny.model) == before


def test_a_model_without_a_preset_asks_for_a_layer(tiny: LoadedModel, tmp_path: Path) -> None:
    path = tmp_path / "bare.yaml"
    path.write_text(f"eac: 1\nedits: [{{from: {WORLD}, format: jsonl, take: 1}}]\n")
    spec = load_spec(path)
    with pytest.raises(SettingsError, match=r"no hyperparameters are known.*layers: \["):
        run_chain(tiny, spec, spec.methods[0])


@pytest.mark.parametrize(
    ("base", "normed", "count"),
    [("memit", False, AUTO_LAYERS), ("memit", True, 1), ("rome", False, 1), ("ft", True, 1)],
)
def test_layers_that_are_traced_are_as_many_as_the_method_can_edit(
    tiny_llama: LoadedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    normed: bool,
    count: int,
) -> None:
    asked: list[int] = []

    def spread(wanted: int) -> tuple[int, ...]:
        asked.append(wanted)
        return tuple(range(wanted))

    traced = SimpleNamespace(spread=spread)
    monkeypatch.setattr("pytest_eac.measuring.edited_layers.trace", lambda *_, **__: traced)
    path = tmp_path / "auto.yaml"
    method = f"{{m: {{base: {base}, layers: auto}}}}"
    path.write_text(f"eac: 1\nmethods: {method}\nedits: [{{from: {WORLD}, format: jsonl}}]\n")
    spec = load_spec(path)
    loaded = replace(tiny_llama, layout=replace(tiny_llama.layout, normed=normed))
    settings, modules = settle(loaded, spec, spec.methods[0])
    assert asked == [count]
    assert settings.layers == tuple(range(count))
    assert modules == tuple(loaded.layout.down.format(layer) for layer in range(count))


@pytest.fixture
def _spoil(_own_registry: None) -> None:
    """A method that changes a norm that it does not declare; then it may give up."""

    def spoil(model: Any, edits: Any, settings: Any) -> Solved:
        model.model.get_submodule("model.norm").weight.data[0] += 1
        if len(edits) > 1:
            raise EditError("no luck")
        return Solved(deltas=())

    def idle(model: Any, edits: Any, settings: Any) -> Solved:
        return Solved(deltas=())

    def rewrite(model: Any, edits: Any, settings: Any) -> Solved:
        for edit in edits:
            object.__setattr__(edit, "target", "something else")
        return Solved(deltas=())

    registry.register(registry.METHODS, "spoil", spoil)
    registry.register(registry.METHODS, "idle", idle)
    registry.register(registry.METHODS, "rewrite", rewrite)


@pytest.mark.usefixtures("_spoil")
@pytest.mark.parametrize("batch", [1, 2])
def test_a_method_that_spoils_the_model_is_told(tmp_path: Path, batch: int) -> None:
    loaded = load_model(str(WORLD.parent / "tiny-llama"))
    path = tmp_path / "own.yaml"
    path.write_text(
        "eac: 1\nmethods: {i: {base: idle, layers: [1]}, s: {base: spoil, layers: [1]}}\n"
        f"sequence: {{batch: {batch}}}\nedits: [{{from: {WORLD}, format: jsonl, take: 2}}]\n"
    )
    spec = load_spec(path)
    assert run_chain(loaded, spec, spec.methods[0]).checkpoints[-1].deviation.l1 == 0
    with pytest.raises(SpoiledModelError) as raised:
        run_chain(loaded, spec, spec.methods[1])
    assert str(raised.value).startswith(
        "spoil changed what it must leave as it was: the values of model.norm.weight. "
    )
    assert isinstance(raised.value.__context__, EditError) == (batch == 2)


@pytest.mark.usefixtures("_spoil")
def test_a_method_cannot_rewrite_the_edits_of_other_chains(
    tiny_llama: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        f"eac: 1\nedits: [{{from: {WORLD}, format: jsonl, take: 2}}]\n"
        "methods: [first: {base: rewrite, layers: [1]}, second: {base: idle, layers: [1]}]\n"
    )
    spec = load_spec(path)
    written = deepcopy(spec.edits)
    first, second = (run_chain(tiny_llama, spec, method) for method in spec.methods)
    assert spec.edits == written
    assert first.edits == second.edits


def test_deviation_is_the_sum_over_entries_written_out(tiny: LoadedModel) -> None:
    paths = [tiny.layout.down.format(layer) for layer in (0, 1)]
    with torch.no_grad(), restored(tiny.model, paths) as originals:
        for index, path in enumerate(paths):
            weight = find_module(tiny.model, path).weight
            weight[0, 0] += 2.0 + index  # type: ignore[index, operator]
            weight[1, 1] -= 1.0  # type: ignore[index, operator]
        found = measure_deviation(tiny.model, originals)
    l1 = (2 + 1) + (3 + 1)
    squares = (4 + 1) + (9 + 1)
    base = [abs(float(x)) for original in originals.values() for x in original.flatten()]
    assert found.l1 == pytest.approx(l1, rel=1e-5)
    assert found.l1_relative == pytest.approx(l1 / sum(base), rel=1e-5)
    assert found.frobenius == pytest.approx(squares**0.5, rel=1e-5)
    assert found.frobenius_relative == pytest.approx(
        (squares / sum(x * x for x in base)) ** 0.5, rel=1e-5
    )
    assert list(found.by_parameter) == [f"{path}.weight" for path in paths]
    assert found.by_parameter[f"{paths[0]}.weight"].l1 == pytest.approx(3, rel=1e-5)


@pytest.fixture
def _declaring(_own_registry: None) -> None:
    """A method that declares the matrices of several layers and changes one entry of the first."""

    def one_of_many(model: Any, edits: Any, settings: Any) -> Solved:
        path = model.layout.down.format(settings.layers[0])
        left = torch.zeros(find_module(model.model, path).weight.shape)  # type: ignore[arg-type]
        left[0, 0] = 0.5
        return Solved(deltas=(WeightDelta(module=path, left=left),))

    registry.register(registry.METHODS, "one-of-many", one_of_many)


@pytest.mark.usefixtures("_declaring")
def test_a_matrix_that_is_declared_and_not_changed_makes_no_deviation_smaller(
    tiny_llama: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "declared.yaml"
    path.write_text(
        "eac: 1\nmethods: [one: {base: one-of-many, layers: [1]},"
        " many: {base: one-of-many, layers: [1, 2, 3]}]\n"
        f"edits: [{{from: {WORLD}, format: jsonl, take: 1}}]\n"
    )
    spec = load_spec(path)
    one, many = (run_chain(tiny_llama, spec, method) for method in spec.methods)
    edited = f"{tiny_llama.layout.down.format(1)}.weight"
    assert one.checkpoints[-1].deviation == many.checkpoints[-1].deviation
    assert list(many.checkpoints[-1].deviation.by_parameter) == [edited]
    assert many.per_edit[0].deviation == one.per_edit[0].deviation


def test_the_environment_is_told_where_the_package_is_used_without_being_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def installed(name: str) -> str:
        if name == "pytest-eac":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(environment, "version", installed)
    assert describe_environment()["pytest-eac"] == "not installed"


def test_a_deviation_is_subtracted_in_float64() -> None:
    linear = torch.nn.Linear(1, 1, bias=False)
    model, weight = torch.nn.ModuleDict({"m": linear}), linear.weight
    with torch.no_grad():
        weight.fill_(1e-8)
    found = measure_deviation(model, {"m": torch.ones(1, 1)})
    small = float(weight.detach())  # 1e-8 as float32 has it
    assert found.l1 == pytest.approx(1 - small, rel=1e-12)  # in float32: 1
    assert found.frobenius == pytest.approx(1 - small, rel=1e-12)
