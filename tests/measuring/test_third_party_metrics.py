"""What a metric of another package may return, and what is made of it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch

from pytest_eac.errors import EditError, NonFiniteError, SettingsError
from pytest_eac.measuring.checkpoint import find_metrics, measure_third_party
from pytest_eac.measuring.recall import EditedModel
from pytest_eac.spec import registry
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.registry_entries import Metric

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.run import Measurement

EDITS = tuple(
    Edit(
        subject=f"s{index}",
        prompt=f"s{index} is",
        target="x",
        truth=None,
        paraphrases=(),
        neighborhood=(),
        origin="here",
    )
    for index in range(4)
)
MODEL = cast("LoadedModel", object())


def after(count: int) -> EditedModel:
    """A model of which nothing is asked but what it is, and which edits it has."""
    unedited = SimpleNamespace(questions=SimpleNamespace(edits=EDITS), confidence=0.95)
    asker = SimpleNamespace(state=SimpleNamespace(loaded=MODEL))
    return EditedModel(unedited=cast("Any", unedited), asker=cast("Any", asker), count=count)


@pytest.fixture(autouse=True)
def _without_a_model(_own_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without a model: tests/plugin/test_isolation.py has metrics that change one."""
    monkeypatch.setattr("pytest_eac.measuring.checkpoint.unchanged", lambda *_, **__: nullcontext())


def measured(result: Any) -> Measurement:
    return measure_third_party(Metric(name="mine", measure=lambda *_: result), after(4))


@pytest.mark.parametrize("number", [3, 3.0, np.float32(3), np.float64(3), torch.tensor(3.0)])
def test_one_number_is_for_the_model_as_a_whole(number: Any) -> None:
    found = measured(number)
    assert found.value == 3.0
    assert type(found.value) is float
    assert (found.n, found.low, found.high, found.scores, found.misses) == (0, None, None, (), ())


@pytest.mark.parametrize(
    "scores",
    [
        [1, 0, 0.5, 1],
        (True, False, 0.5, True),
        np.array([1, 0, 0.5, 1]),
        torch.tensor([1, 0, 0.5, 1]),
    ],
)
def test_scores_are_averaged_over_edits(scores: Any) -> None:
    found = measured(scores)
    assert found.value == 0.625
    assert found.n == 4
    assert found.scores == (1.0, 0.0, 0.5, 1.0)
    assert all(type(score) is float for score in found.scores)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.625 < found.high < 1
    json.dumps(found.scores)


def test_scores_may_come_one_by_one_and_lack_where_there_is_nothing_to_measure() -> None:
    found = measured(score for score in (None, 1.0, None, 0.0))
    assert found.scores == (None, 1.0, None, 0.0)
    assert (found.value, found.n) == (0.5, 2)


def test_nothing_to_measure_at_all_is_no_value() -> None:
    found = measured([None] * 4)
    assert (found.value, found.n, found.low, found.high) == (None, 0, None, None)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (None, "None"),
        ("good", "good"),
        ([1.0, 1.0], "[1.0, 1.0]"),
        ([1.0, 1.0, 1.0, 1.5], "[1.0, 1.0, 1.0, 1.5]"),
        ([1.0, 1.0, 1.0, float("nan")], "[1.0, 1.0, 1.0, nan]"),
        (["1", "1", "1", "1"], "['1', '1', '1', '1']"),
        ({"a": 1}, "{'a': 1}"),
        (torch.ones(4, 2), "[[1.0, 1.0]"),
    ],
)
def test_anything_else_is_told(result: Any, shown: str) -> None:
    with pytest.raises(SettingsError) as caught:
        measured(result)
    said = str(caught.value)
    assert said.startswith("metric 'mine' returned ")
    assert shown in said
    assert said.endswith(
        "expected a number, or for each of the 4 edits a score between 0 and 1 or None"
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), torch.tensor(float("nan"))])
def test_a_number_that_is_not_finite_is_an_error_of_its_own(number: Any) -> None:
    with pytest.raises(NonFiniteError, match=r"metric 'mine' is (nan|inf)"):
        measured(number)


def test_an_error_in_a_metric_names_it_and_keeps_its_kind() -> None:
    def broken(*_: object) -> None:
        raise EditError("the subject is lost")

    with pytest.raises(EditError, match=r"^metric 'mine': the subject is lost$"):
        measure_third_party(Metric(name="mine", measure=broken), after(4))


def test_a_metric_is_given_the_model_and_the_edits_so_far() -> None:
    given: list[Any] = []
    metric = Metric(name="mine", measure=lambda *arguments: given.append(arguments) or 1.0)  # type: ignore[func-returns-value]
    measure_third_party(metric, after(2))
    assert given == [(MODEL, EDITS[:2])]


def test_metrics_are_found_by_name_in_the_order_asked_for() -> None:
    registry.register(registry.METRICS, "one", len)
    registry.register(registry.METRICS, "two", max)
    found = find_metrics(["two", "one"])
    assert [(each.name, each.resolve()) for each in found] == [("two", max), ("one", len)]


def test_a_metric_that_cannot_be_called_is_told() -> None:
    registry.register(registry.METRICS, "one", 3)
    with pytest.raises(SettingsError, match="metric 'one' is a int, expected a callable"):
        find_metrics(["one"])
