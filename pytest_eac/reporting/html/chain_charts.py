"""What is drawn of the chains of one model: a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_eac.judging.paired_edits import final_number, metrics_of
from pytest_eac.reporting.svg import WIDE, Line, Point, line_plot, thinned
from pytest_eac.spec.metrics import DEVIATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.judging.growth import Growth
    from pytest_eac.records.run import Chain

STYLES = 12
"""How many the style sheet has: eight colours, and four of them dashed."""
EDITS = "edits"


def style(chain: Chain, chains: Sequence[Chain]) -> int:
    """Return which style a chain has wherever it is drawn."""
    return [each.name for each in chains].index(chain.name) % STYLES


def deviation_plot(chains: Sequence[Chain], grown: Sequence[Growth]) -> str:
    """Draw the deviation after each edit, and the likeliest shape that was fitted to it."""
    lines = []
    for chain, growth in zip(chains, grown, strict=True):
        at, total = growth.series.at, growth.series.total
        points = thinned([Point(x=x, y=float(y)) for x, y in zip(at, total, strict=True)])
        lines.append(Line(name=chain.name, style=style(chain, chains), points=points))
        if growth.fits:
            best = growth.fits[0]
            steps = best.expected(np.array([0.0, *at]))
            curve, height = [Point(x=0, y=0)], 0.0
            for x, step in zip(at, steps.tolist(), strict=True):
                height += step
                curve.append(Point(x=x, y=height))
            lines.append(
                Line(
                    name=f"{chain.name}: {best.shape} fitted",
                    style=style(chain, chains),
                    points=thinned(curve),
                    fitted=True,
                )
            )
    return line_plot(
        lines,
        title="Relative deviation of the edited matrices after each edit, and what was fitted",
        x=EDITS,
        y="deviation / original (L1)",
        width=WIDE,
    )


def ability_plots(chains: Sequence[Chain]) -> list[tuple[str, str]]:
    """Draw the share of each ability that is kept at each checkpoint; name and drawing."""
    return [(name, drawn) for name in ability_names(chains) if (drawn := _ability(name, chains))]


def ability_names(chains: Sequence[Chain]) -> list[str]:
    """Return the abilities that some chain has at a checkpoint, in the order of the spec."""
    measured = [name for chain in chains for point in chain.checkpoints for name in point.abilities]
    asked = [name for chain in chains for name in chain.abilities]
    return [name for name in dict.fromkeys((*asked, *measured)) if name in measured]


def _ability(name: str, chains: Sequence[Chain]) -> str:
    lines = []
    for chain in chains:
        points = [Point(x=0, y=1)]
        for point in chain.checkpoints:
            found = point.abilities.get(name)
            if found is not None and found.signal and found.kept is not None:
                points.append(
                    Point(x=point.at, y=found.kept, low=found.kept_low, high=found.kept_high)
                )
        if len(points) > 1:
            lines.append(Line(name=chain.name, style=style(chain, chains), points=tuple(points)))
    return line_plot(lines, title=f"Share of {name} kept", x=EDITS, y="kept")


def metric_plots(chains: Sequence[Chain]) -> list[tuple[str, str]]:
    """Draw each metric at each checkpoint, where there is more than one; name and drawing."""
    if not any(len(chain.checkpoints) > 1 for chain in chains):
        return []
    names = [each.name for each in metrics_of(chains)]
    return [(name, drawn) for name in names if (drawn := _metric(name, chains))]


def _metric(name: str, chains: Sequence[Chain]) -> str:
    lines = []
    for chain in chains:
        points = []
        for point in chain.checkpoints:
            found = point.metrics.get(name)
            if found is not None and found.value is not None:
                points.append(Point(x=point.at, y=found.value, low=found.low, high=found.high))
        lines.append(Line(name=chain.name, style=style(chain, chains), points=tuple(points)))
    return line_plot(lines, title=f"{name.title()} at each checkpoint", x=EDITS, y=name)


def cost_plot(chains: Sequence[Chain]) -> str:
    """Draw how long each edit took."""
    lines = [
        Line(
            name=chain.name,
            style=style(chain, chains),
            points=thinned(
                [Point(x=k, y=cost.seconds) for k, cost in enumerate(chain.per_edit, start=1)]
            ),
        )
        for chain in chains
    ]
    return line_plot(lines, title="Seconds that each edit took", x="edit", y="seconds", width=WIDE)


def order_plots(chains: Sequence[Chain]) -> list[tuple[str, str]]:
    """Draw what came of the edits in other orders, the written one at 0; name and drawing."""
    tried = [chain for chain in chains if chain.orders and chain.checkpoints]
    names = [each.name for each in metrics_of(tried) if each.asked != "unedited"]
    return [(name, drawn) for name in names if (drawn := _orders(name, tried, chains))]


def _orders(name: str, tried: Sequence[Chain], chains: Sequence[Chain]) -> str:
    lines = []
    for chain in tried:
        others = (
            run.deviation if name == DEVIATION else run.metrics.get(name) for run in chain.orders
        )
        found = [final_number(chain, name), *others]
        points = [Point(x=k, y=value) for k, value in enumerate(found) if value is not None]
        lines.append(
            Line(name=chain.name, style=style(chain, chains), points=tuple(points), joined=False)
        )
    return line_plot(lines, title=f"{name.title()} by order of the edits", x="order", y=name)
