"""Scores put together to a measurement: the mean over edits, its interval, and the misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.measuring.probes import GROUPS
from pytest_eac.records.run import Measurement, Miss
from pytest_eac.stats.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_eac.measuring.probes import Probe
    from pytest_eac.scoring.asker import Answer


def summarize_answers(
    answered: Iterable[tuple[Probe, Answer]], count: int, *, confidence: float
) -> Measurement:
    """Return the mean over edits of each edit's mean over its probes.

    Args:
        answered: probes of the first ``count`` edits with their answers.
        count: the number of edits; one without an answer here has no score.
        confidence: the level of the interval.
    """
    by_edit: dict[int, list[float]] = {}
    misses = []
    for probe, answer in answered:
        by_edit.setdefault(probe.edit, []).append(answer.score)
        if answer.score < 1:
            unchanged = GROUPS[probe.group].expect == "unchanged"
            misses.append(
                Miss(
                    edit=probe.edit,
                    group=probe.group,
                    index=probe.index,
                    before=probe.question.answer.strip() if unchanged else None,
                    got=answer.got,
                    score=answer.score,
                )
            )
    scores = [by_edit.get(index) for index in range(count)]
    means = [sum(each) / len(each) if each else None for each in scores]
    return summarize_scores(means, misses, confidence=confidence)


def summarize_scores(
    scores: Sequence[float | None], misses: Iterable[Miss] = (), *, confidence: float
) -> Measurement:
    """Return the mean of per-edit scores with Wilson's interval at the level ``confidence``."""
    there = [score for score in scores if score is not None]
    value = sum(there) / len(there) if there else None
    low = high = None
    if value is not None:
        low, high = wilson(value, len(there), confidence=confidence)
    return Measurement(
        value=value, n=len(there), low=low, high=high, scores=tuple(scores), misses=tuple(misses)
    )
