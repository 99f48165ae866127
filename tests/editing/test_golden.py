"""The ``released`` preset against the numbers that the authors' own code gave on a real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.editing.methods import edited_modules
from pytest_eac.editing.sequence import edit_in_sequence
from pytest_eac.lm.weights import fingerprint, restored
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.methods import resolve_settings
from pytest_eac.spec.schema import MethodChoice

if TYPE_CHECKING:
    from pytest_eac.lm.load import LoadedModel

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "golden-smollm2-135m.json").read_text()
)
EDITS = tuple(
    Edit(
        subject=each["subject"],
        prompt=each["prompt"].replace("{}", each["subject"]),
        target=each["target_new"],
        truth=None,
        paraphrases=(),
        neighborhood=(),
        origin=f"golden case {each['case_id']}",
    )
    for each in GOLDEN["edits"]
)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rome", "rome-eac"])
def test_released_reproduces_the_authors_code(real_model: LoadedModel, method: str) -> None:
    choice = MethodChoice.model_validate(
        {
            "base": method,
            "preset": "released",
            "layers": (GOLDEN["rome_layer"],),
            "contexts": {"texts": tuple(GOLDEN["contexts"])},
        }
    )
    settings = resolve_settings(choice, real_model.shape)
    before = fingerprint(real_model.model)
    with restored(real_model.model, edited_modules(real_model, settings)) as originals:
        steps = edit_in_sequence(real_model, EDITS, settings, tuple(GOLDEN["contexts"]))
        for step, expected in zip(steps, GOLDEN["runs"][method], strict=True):
            _compare_losses(step.solved.value.stages, expected["steps_total_nll_kl_wd"])
            value = step.solved.value
            if method == "rome-eac":
                assert list(value.anchors or ()) == expected["anchors"]
                _close(value.first_delta, expected["phase1_delta"], 1e-2)
            _close(value.delta, expected["delta"], 1e-2)
            _close(value.init, expected["target_init"], 1e-3)
            deviation = measure_deviation(real_model.model, originals)
            golden = expected["weight_deviation"][str(GOLDEN["rome_layer"])]
            assert deviation.l1 == pytest.approx(golden["l1"], rel=1e-2)
            assert deviation.frobenius == pytest.approx(golden["l2"], rel=1e-2)
            assert deviation.l1_relative == pytest.approx(
                golden["l1"] / golden["l1_base"], rel=1e-2
            )
    assert fingerprint(real_model.model) == before


def _compare_losses(stages: tuple[tuple[Any, ...], ...], golden: list[list[float]]) -> None:
    found = [step for stage in stages for step in stage]
    assert len(found) == len(golden)
    for index, (step, (total, nll, kl, decay)) in enumerate(zip(found, golden, strict=True)):
        tolerance = 1e-3 if index < 5 else 1e-2
        assert step.total == pytest.approx(total, rel=tolerance)
        assert step.nll == pytest.approx(nll, rel=tolerance)
        assert step.kl == pytest.approx(kl, rel=tolerance, abs=1e-8)
        assert step.decay == pytest.approx(decay, rel=tolerance)
        assert step.net == 0.0


def _close(found: torch.Tensor, golden: list[float], tolerance: float) -> None:
    expected = torch.tensor(golden)
    assert float((found - expected).norm() / expected.norm()) < tolerance
