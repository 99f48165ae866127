"""Metrics of other packages: a callable on the edited model and the edits so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_eac.errors import EacError, NonFiniteError, SettingsError
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.measuring.summary import summarize_scores
from pytest_eac.records.run import Measurement
from pytest_eac.spec.registry import METRICS, find

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.measuring.recall import EditedModel
    from pytest_eac.spec.edits import Edit

# (edited model, edits so far) -> one score per edit, None where there is nothing to measure; or one
# number for the model as a whole.
Metric = Callable[["LoadedModel", "tuple[Edit, ...]"], Any]


def third_party_metrics(names: Iterable[str]) -> dict[str, Callable[[EditedModel], Measurement]]:
    """Return the metrics of these names as functions of the same kind as the built-in ones.

    Raises:
        SettingsError: one is not registered, or is not callable.
    """
    found: dict[str, Callable[[EditedModel], Measurement]] = {}
    for name in names:
        metric = find(METRICS, name)
        if not callable(metric):
            raise SettingsError(
                f"metric {name!r} is a {type(metric).__name__}, expected a callable"
            )
        found[name] = partial(measure_third_party, name, metric)
    return found


def measure_third_party(name: str, metric: Metric, edited: EditedModel) -> Measurement:
    """Call a metric and put its result in the record's form, with an interval.

    Raises:
        SettingsError: it returned neither a number nor one score between 0 and 1 per edit.
        NonFiniteError: a number is NaN or infinite.
        SpoiledModelError: it left something behind.
    """
    loaded, edits = edited.asker.state.loaded, edited.unedited.questions.edits[: edited.count]
    try:
        with preserved_random_state(), unchanged(loaded, "it", whole=True):
            result = metric(loaded, edits)
    except EacError as error:
        raise type(error)(f"metric {name!r}: {error}") from error
    if hasattr(result, "tolist"):  # a tensor or an array
        result = result.tolist()
    if isinstance(result, int | float):
        if not math.isfinite(result):
            raise NonFiniteError(f"metric {name!r} is {result}")
        return Measurement(value=float(result), n=0, low=None, high=None, scores=(), misses=())
    scores = tuple(result) if isinstance(result, Iterable) else None
    if scores is None or len(scores) != len(edits) or not all(map(_is_share, scores)):
        raise SettingsError(
            f"metric {name!r} returned {str(result)[:60]!r}, expected a number, or for each of the "
            f"{len(edits)} edits a score between 0 and 1 or None"
        )
    return summarize_scores(
        [None if score is None else float(score) for score in scores],
        confidence=edited.unedited.confidence,
    )


def _is_share(score: object) -> bool:
    return score is None or (isinstance(score, int | float) and 0 <= score <= 1)
