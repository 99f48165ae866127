"""What the page's script shows by hand: every edit of every chain, and what is forgotten when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_eac.safe import visible_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.records.run import Chain, Miss

MISSES_OF_AN_EDIT = 8


def script_data(chains: Sequence[Chain]) -> str:
    """Return the data of the tables as JSON that may stand in a ``<script>`` element."""
    data = {
        "chains": [
            {
                "name": chain.name,
                "spec": chain.spec,
                "model": chain.model.id,
                "at": [point.at for point in chain.checkpoints],
                "heat": [
                    [
                        None if score is None else round(score, 3)
                        for score in point.metrics["retention"].scores
                    ]
                    for point in chain.checkpoints
                ],
                "edits": _edits(chain),
            }
            for chain in chains
        ]
    }
    text = json.dumps(
        visible_data(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    # No text of an edit ends the script element, or begins a comment that hides its end.
    return text.replace("<", "\\u003c")


def _edits(chain: Chain) -> list[dict[str, Any]]:
    last = chain.checkpoints[-1] if chain.checkpoints else None
    misses: dict[int, list[dict[str, Any]]] = {}
    if last is not None:
        for metric in ("retention", "generalization", "locality"):
            for miss in last.metrics[metric].misses:
                misses.setdefault(miss.edit, []).append(_miss(metric, miss))
    rows = []
    for k, edit in enumerate(chain.edits):
        cost = chain.per_edit[k] if k < len(chain.per_edit) else None
        rows.append(
            {
                "prompt": edit.prompt,
                "target": edit.target,
                "before": chain.before[k] if k < len(chain.before) else None,
                "by": edit.superseded_by,
                "excluded": edit.excluded,
                "first": cost.score if cost else None,
                "last": _score(last.metrics["retention"].scores, k) if last else None,
                "near": _score(last.metrics["locality"].scores, k) if last else None,
                "deviation": round(cost.deviation.l1_relative, 6) if cost else None,
                "seconds": round(cost.seconds, 2) if cost else None,
                "misses": misses.get(k, [])[:MISSES_OF_AN_EDIT],
                "more": max(0, len(misses.get(k, [])) - MISSES_OF_AN_EDIT),
            }
        )
    return rows


def _miss(metric: str, miss: Miss) -> dict[str, Any]:
    return {
        "metric": metric,
        "prompt": miss.prompt,
        "expected": miss.expected,
        "got": miss.got,
        "score": round(miss.score, 3),
    }


def _score(scores: Sequence[float | None], k: int) -> float | None:
    value = scores[k] if k < len(scores) else None
    return None if value is None else round(value, 3)
