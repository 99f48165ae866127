"""The built-in metrics, from their register."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.spec.metrics import BUILT_IN, NEEDS
from reference_pages.tables import code, table

if TYPE_CHECKING:
    from pytest_eac.spec.registry_entries import Metric

_INTRO = """# Metrics

The built-in metrics. [What each number means](../metrics.md) explains them;
[your own](../extend.md#a-metric) are added by a `conftest.py` or a package.
"""
_ASKED = {
    "unedited": "of the unedited model",
    "edit": "right after each edit",
    "checkpoint": "at each checkpoint",
}
_KINDS = {"share": "share over edits", "weights": "size of the weights' change"}


def metrics_page() -> str:
    """Return the page."""
    head = ("name", "heading", "asks", "measured", "needs", "kind", "better", "leaves out")
    return f"{_INTRO}\n{table(head, map(_row, BUILT_IN.values()))}"


def _row(metric: Metric) -> tuple[str, ...]:
    return (
        code(metric.name),
        code(metric.heading),
        metric.asks,
        _ASKED[metric.asked],
        NEEDS.get(metric.needs, ""),
        _KINDS[metric.kind or ""],
        metric.better or "higher",
        ", ".join(metric.leaves_out),
    )
