"""What is drawn of the chains of one model: a line each."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pytest_eac.judging.growth import Growth
from pytest_eac.judging.paired_edits import final_number, metrics_of
from pytest_eac.records.run import Chain
from pytest_eac.reporting.svg import WIDE, Line, Plot, Point, line_plot
from pytest_eac.spec.metrics import DEVIATION

STYLES = 12
"""How many the style sheet has: eight colours, and four of them dashed."""
EDITS = "edits"


def style(chain: Chain, chains: Sequence[Chain]) -> int:
    """Return which style a chain has wherever it is drawn."""
    return [each.name for each in chains].index(chain.name) % STYLES


def deviation_plot(chains: Sequence[Chain], grown: Sequence[Growth]) -> Plot | None:
    """Draw the deviation after each edit, and the likeliest shape that was fitted to it."""
    lines = []
    for chain, growth in zip(chains, grown, strict=True):
        at = growth.series.at
        totals = {chain.name: growth.series.total}
        if growth.fits:
            best = growth.fits[0]
            totals[f"{chain.name}: {best.shape} fitted"] = tuple(best.totals(growth.series.edges))
        for name, total in totals.items():
            fitted = name != chain.name
            places = zip((0, *at) if fitted else at, total, strict=True)
            points = tuple(Point(x=x, y=float(y)) for x, y in places)
            lines.append(Line(name=name, style=style(chain, chains), points=points, fitted=fitted))
    return line_plot(
        lines,
        title="Relative deviation of the edited matrices after each edit, and what was fitted",
        x=EDITS,
        y="deviation / original (L1)",
        width=WIDE,
    )


def cost_plot(chains: Sequence[Chain]) -> Plot | None:
    """Draw how long each edit took."""
    lines = []
    for chain in chains:
        seconds = enumerate((cost.seconds for cost in chain.per_edit), start=1)
        lines.append(_line(chain, chains, [Point(x=k, y=y) for k, y in seconds]))
    return line_plot(lines, title="Seconds that each edit took", x="edit", y="seconds", width=WIDE)


def ability_plots(chains: Sequence[Chain]) -> dict[str, Plot]:
    """Draw the share of each ability that is kept at each checkpoint."""
    names = ability_names(chains)
    return _plots(
        chains, {name: partial(_kept, name) for name in names}, "kept at each checkpoint", y="kept"
    )


def ability_names(chains: Sequence[Chain]) -> list[str]:
    """Return the abilities that some chain has at a checkpoint, in the order of the spec."""
    measured = [name for chain in chains for point in chain.checkpoints for name in point.abilities]
    asked = [name for chain in chains for name in chain.abilities]
    return [name for name in dict.fromkeys((*asked, *measured)) if name in measured]


def metric_plots(chains: Sequence[Chain]) -> dict[str, Plot]:
    """Draw each metric at each checkpoint, where there is more than one."""
    if not any(len(chain.checkpoints) > 1 for chain in chains):
        return {}
    names = [each.name for each in metrics_of(chains)]
    return _plots(chains, {name: partial(_measured, name) for name in names}, "at each checkpoint")


def order_plots(chains: Sequence[Chain]) -> dict[str, Plot]:
    """Draw each metric under other orders of the edits, the written one at 0."""
    tried = [chain for chain in chains if chain.orders and chain.checkpoints]
    names = [each.name for each in metrics_of(tried) if each.asked != "unedited"]
    points = {name: partial(_under_orders, name) for name in names}
    return _plots(chains, points, "by order of the edits", x="order", joined=False)


def _plots(
    chains: Sequence[Chain],
    points: Mapping[str, Callable[[Chain], Sequence[Point]]],
    what: str,
    *,
    x: str = EDITS,
    y: str | None = None,
    joined: bool = True,
) -> dict[str, Plot]:
    """Return a plot by name, where there is anything to draw, of what is drawn of a chain."""
    plots = {
        name: line_plot(
            [_line(chain, chains, of(chain), joined=joined) for chain in chains],
            title=f"{name} {what}",
            x=x,
            y=y or name,
        )
        for name, of in points.items()
    }
    return {name: plot for name, plot in plots.items() if plot is not None}


def _kept(name: str, chain: Chain) -> list[Point]:
    found = ((each.at, each.abilities.get(name)) for each in chain.checkpoints)
    points = [
        Point(x=at, y=ability.kept, low=ability.kept_low, high=ability.kept_high)
        for at, ability in found
        if ability is not None and ability.signal and ability.kept is not None
    ]
    return [Point(x=0, y=1), *points] if points else []


def _measured(name: str, chain: Chain) -> list[Point]:
    found = ((each.at, each.metrics.get(name)) for each in chain.checkpoints)
    return [
        Point(x=at, y=metric.value, low=metric.low, high=metric.high)
        for at, metric in found
        if metric is not None and metric.value is not None
    ]


def _under_orders(name: str, chain: Chain) -> list[Point]:
    if not chain.orders:
        return []
    others = (run.deviation if name == DEVIATION else run.metrics.get(name) for run in chain.orders)
    found = enumerate((final_number(chain, name), *others))
    return [Point(x=k, y=value) for k, value in found if value is not None]


def _line(
    chain: Chain, chains: Sequence[Chain], points: Sequence[Point], *, joined: bool = True
) -> Line:
    return Line(name=chain.name, style=style(chain, chains), points=tuple(points), joined=joined)
