"""Metrics of other packages: a callable on the edited model and the edits so far."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError, NonFiniteError, SettingsError
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.measuring.summary import summarize_scores
from pytest_eac.records.run import Measurement

if TYPE_CHECKING:
    from pytest_eac.measuring.recall import EditedModel
    from pytest_eac.spec.registry_entries import Metric


def measure_third_party(metric: Metric, edited: EditedModel) -> Measurement:
    """Call a metric and put its result in the record's form, with an interval.

    Raises:
        SettingsError: it returned neither a number nor one score between 0 and 1 per edit, or not
            what its entry says.
        NonFiniteError: a number is NaN or infinite.
        SpoiledModelError: it left something behind.
    """
    loaded, edits = edited.asker.state.loaded, edited.unedited.questions.edits[: edited.count]
    name = metric.name
    try:
        with preserved_random_state(), unchanged(loaded, "it", whole=True):
            result = metric.resolve()(loaded, edits)
    except EacError as error:
        raise type(error)(f"metric {name!r}: {error}") from error
    if hasattr(result, "tolist"):  # a tensor or an array
        result = result.tolist()
    is_number = isinstance(result, int | float)
    if metric.kind not in {None, "number" if is_number else "share"}:
        raise SettingsError(
            f"metric {name!r} returned {str(result)[:60]!r}, but its kind is {metric.kind!r}"
        )
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
