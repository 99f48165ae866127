from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from pytest_eac import judge, load_spec, run_chain
from pytest_eac.errors import NonFiniteError, SettingsError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.weights import apply_delta, fingerprint, restored
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.record import Record, from_json, to_json

if TYPE_CHECKING:
    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.load import Spec

WORLD = Path(__file__).parents[2] / "fixtures" / "world.jsonl"

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
    assert [len(checkpoint.retention.scores) for checkpoint in chain.checkpoints] == [1, 2, 4]
    deviations = [checkpoint.deviation.l1 for checkpoint in chain.checkpoints]
    assert deviations[0] > 0
    assert len(chain.per_edit) == 4
    assert chain.contexts[0] == "{}"
    assert len(chain.contexts) == 3


def test_efficacy_is_what_each_edit_scored_right_after_it_was_made(
    tiny: LoadedModel, spec: Spec
) -> None:
    chain = run_chain(tiny, spec, spec.methods[0])
    scores = tuple(cost.score for cost in chain.per_edit)
    for checkpoint in chain.checkpoints:
        assert checkpoint.efficacy.scores == scores[: checkpoint.at]
    # At the first checkpoint the only edit is also the last: the two are one measurement.
    first = chain.checkpoints[0]
    assert first.efficacy.value == first.retention.value


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
