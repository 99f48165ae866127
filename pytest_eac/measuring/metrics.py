"""What is measured at a checkpoint: the metrics of the register."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError, NonFiniteError, SettingsError
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.records.run import Measurement
from pytest_eac.spec.metrics import BUILT_IN, RECALLED, Metric, find_metric
from pytest_eac.stats.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.measuring.recall import Recall
    from pytest_eac.records.run import Miss
    from pytest_eac.spec.edits import Edit


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a sequence of edits is measured.

    Attributes:
        recall: the questions that the edits are asked by, for the model as it is now.
        done: the number of edits so far.
        scores: of each edit right after it was made; ``None`` where nobody was there: a released
            model's efficacy is what it has retained.
        misses: the answers right after the edits that were not as asked for.
    """

    recall: Recall
    done: int
    scores: Sequence[float | None] | None = None
    misses: Sequence[Miss] = ()

    def measure(
        self, metrics: Iterable[Metric], loaded: LoadedModel, *, confidence: float
    ) -> dict[str, Measurement]:
        """Return the built-in metrics, and these others.

        Raises:
            As :func:`measure`.
        """
        edits = self.recall.edits[: self.done]
        built_in = {name: BUILT_IN[name].resolve()(self) for name in RECALLED}
        return built_in | {
            each.name: measure(each, loaded, edits, confidence=confidence) for each in metrics
        }

    def efficacy(self) -> Measurement:
        """Return the mean of the scores right after each edit."""
        if self.scores is None:
            return self.retention()
        return self.recall.right_after(self.scores, self.misses)

    def generalization(self) -> Measurement:
        """Ask for the edits by their paraphrases."""
        return self.recall.generalization(self.done)

    def locality(self) -> Measurement:
        """Ask about the neighbours of the edits."""
        return self.recall.locality(self.done)

    def retention(self) -> Measurement:
        """Ask for all edits, as the model is now."""
        return self._retention

    @cached_property
    def _retention(self) -> Measurement:
        return self.recall.retention(self.done)


def find_metrics(names: Iterable[str]) -> tuple[Metric, ...]:
    """Return the metrics of these names.

    Raises:
        SettingsError: one is not registered, or is not callable.
    """
    found = tuple(find_metric(name) for name in names)
    for each in found:
        each.resolve()
    return found


def measure(
    metric: Metric, loaded: LoadedModel, edits: tuple[Edit, ...], *, confidence: float = 0.95
) -> Measurement:
    """Call a metric and put its result in the record's form, with an interval at ``confidence``.

    Raises:
        SettingsError: it returned neither a number nor one score between 0 and 1 per edit, or not
            what its entry says.
        NonFiniteError: a number is NaN or infinite.
        SpoiledModelError: it left something behind.
    """
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
    scores = tuple(None if score is None else float(score) for score in scores)
    there = [score for score in scores if score is not None]
    value = sum(there) / len(there) if there else None
    low = high = None
    if value is not None:
        low, high = wilson(value, len(there), confidence=confidence)
    return Measurement(value=value, n=len(there), low=low, high=high, scores=scores, misses=())


def _is_share(score: object) -> bool:
    return score is None or (isinstance(score, int | float) and 0 <= score <= 1)
