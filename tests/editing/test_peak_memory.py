"""What an edit of the real model takes at its peak, beside the model itself."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_eac.cache.entries import Cache
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.interface import Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.prompts import make_contexts
from pytest_eac.editing.sequence import edit_in_sequence
from pytest_eac.lm.devices import resident_bytes
from pytest_eac.lm.weights import restored
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.schema.settings import ContextSettings
from tests.conftest import QUICKSTART

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel

ROOM = 400 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the counter and malloc_trim are Linux's")
@pytest.mark.parametrize(("method", "count"), [("rome-eac", 1), ("memit-eac", 9)])
def test_an_edit_takes_little_more_memory_than_its_model(
    real_model: LoadedModel, method: str, count: int, tmp_path: Path
) -> None:
    given = {
        "base": method,
        "covariance": {"tokens": 2000, "ridge": 1.0},
        "value": {"steps": 2, "stop_loss": 0.0},
        "anchors": {"steps": 1},
    }
    settings = resolve_settings(MethodChoice.model_validate(given), real_model.shape)
    modules = edited_modules(real_model, settings)
    assert settings.covariance is not None
    work = Work(
        contexts=make_contexts(real_model, ContextSettings(lengths=((5, 5), (10, 5))), seed=0),
        edits=load_spec(QUICKSTART).edits[:count],
        moments=second_moments(real_model, modules, settings.covariance, cache=Cache(tmp_path)),
    )
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests have left free would hide what is taken
    with restored(real_model.model, modules):
        before = resident_bytes()
        (step,) = edit_in_sequence(real_model, settings, work, batch=count)
    assert before is not None
    assert step.cost.peak_bytes is not None
    assert 2**20 < step.cost.peak_bytes - before < ROOM
