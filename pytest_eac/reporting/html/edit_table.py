"""What the page's script shows by hand: every edit of every chain, and what is forgotten when."""

import json
from collections.abc import Sequence
from typing import Any

from pytest_eac.judging.paired_edits import metrics_of
from pytest_eac.records.run import Chain, Checkpoint, EditRecord, Miss
from pytest_eac.untrusted_text import visible_data

MISSES_OF_AN_EDIT = 8


def script_data(chains: Sequence[Chain]) -> str:
    """Return the data of the tables as JSON that may stand in a ``<script>`` element."""
    last = [point for chain in chains for point in chain.checkpoints[-1:]]
    asked = [
        each
        for each in sorted(metrics_of(chains), key=lambda each: not each.forgetting)
        if each.asked == "checkpoint" and any(_scores(point, each.name) for point in last)
    ]
    metrics = [each.name for each in asked]
    data = {
        "metrics": metrics,
        "chains": [
            {
                "name": chain.name,
                "spec": chain.spec,
                "model": chain.model.id,
                "at": [point.at for point in chain.checkpoints],
                "heat": {
                    each.name: [_scores(point, each.name) for point in chain.checkpoints]
                    for each in asked
                    if each.forgetting
                },
                "edits": _edits(chain, metrics),
            }
            for chain in chains
        ],
    }
    text = json.dumps(
        visible_data(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    # No text of an edit ends the script element, or begins a comment that hides its end.
    return text.replace("<", "\\u003c")


def _edits(chain: Chain, metrics: Sequence[str]) -> list[dict[str, Any]]:
    last = chain.checkpoints[-1:]
    ends = [_scores(point, metric) for metric in metrics for point in last]
    misses: dict[int, list[dict[str, Any]]] = {}
    for metric in metrics:
        for point in last:
            for miss in point.metrics[metric].misses if metric in point.metrics else ():
                found = _miss(metric, chain.edits[miss.edit], miss)
                misses.setdefault(miss.edit, []).append(found)
    rows = []
    for k, edit in enumerate(chain.edits):
        cost = chain.per_edit[k] if k < len(chain.per_edit) else None
        rows.append(
            {
                "prompt": edit.texts.prompt,
                "target": edit.texts.target,
                "before": chain.before[k] if k < len(chain.before) else None,
                "by": edit.superseded_by,
                "excluded": edit.excluded,
                "first": cost.score if cost else None,
                "last": [scores[k] if k < len(scores) else None for scores in ends],
                "deviation": round(cost.deviation.l1_relative, 6) if cost else None,
                "seconds": round(cost.seconds, 2) if cost else None,
                "misses": misses.get(k, [])[:MISSES_OF_AN_EDIT],
                "more": max(0, len(misses.get(k, [])) - MISSES_OF_AN_EDIT),
            }
        )
    return rows


def _miss(metric: str, edit: EditRecord, miss: Miss) -> dict[str, Any]:
    prompt, expected = edit.asked(miss)
    return {
        "metric": metric,
        "prompt": prompt,
        "expected": expected,
        "got": miss.got,
        "score": round(miss.score, 3),
    }


def _scores(point: Checkpoint, metric: str) -> list[float | None]:
    """Return a metric's scores of the edits so far; none where it has one number alone."""
    scores = point.metrics[metric].scores if metric in point.metrics else ()
    return [None if score is None else round(score, 3) for score in scores]
