"""Values of an option that were tried on methods, as tables for the terminal and as a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain as joined

from pytest_eac.judging.swept_values import Rule, SweptMethod, SweptValue
from pytest_eac.records.run import Chain
from pytest_eac.reporting import svg
from pytest_eac.reporting.templates import template
from pytest_eac.reporting.terminal import abilities_table, metrics_table
from pytest_eac.reporting.text import fit, wrapped
from pytest_eac.spec.metrics import DEVIATION


def sweep_lines(
    choices: Sequence[SweptMethod], rule: Rule, *, options: str, of: str
) -> Iterator[str]:
    """Yield a table for each method: its values, and which one the rule chooses.

    Args:
        choices: of the methods that ran.
        rule: that they were chosen by.
        options: what was swept.
        of: the spec and the model.
    """
    yield fit(f"{options}: {of}", 80)
    if choices:
        first = choices[0].tried[0].chains[0]
        yield (
            f"  {first.model.dtype} on {first.model.device}, weights "
            f"{first.model.fingerprint[:12]}, match: {first.scoring}"
        )
        yield from wrapped(f"  chosen: {rule}")
    for choice in choices:
        yield ""
        half = " (half of the edits)" if choice.other else ""
        yield f"{choice.method}{half}"
        yield from _table(choice.tried)
        if choice.chosen is None:
            yield f"  none is chosen: no edit has anything to measure {rule.metric} on"
            continue
        yield from wrapped(f"  chosen: {choice.chosen.name}")
        if choice.other:
            yield f"{choice.method} (the other half)"
            yield from _table([choice.other])
            yield from wrapped(f"  {choice.confirmation}")


def _table(values: Sequence[SweptValue]) -> Iterator[str]:
    chains = [chain for value in values for chain in value.chains]
    names = {chain.name: _name(value, chain) for value in values for chain in value.chains}
    settings = values[0].settings
    heading = settings[0].option if len(settings) == 1 else "options"
    yield from metrics_table(chains, heading=heading, name=lambda chain: names[chain.name])
    yield from abilities_table(chains)


def _name(value: SweptValue, chain: Chain) -> str:
    """Name a row by its value; by seed, too, where there are several."""
    settings = value.settings
    shown = " ".join(f"{each.option.rpartition('.')[2]}={each.shown}" for each in settings)
    name = settings[0].shown if len(settings) == 1 else shown
    return name if len(value.chains) == 1 else f"{name} seed {chain.seed}"


# The picture, in the units of its viewBox.
_WIDTH, _LEFT, _RIGHT, _TOP, _PLOT = 760, 76, 736, 76, 320
_COLOURS = ("#0072b2", "#b85600", "#00785a", "#a5487f", "#2a7fae", "#7d6b00", "#444444", "#8a3ffc")
_DASHES = ("", "9 3", "5 3", "10 3 2 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """A method's values: how far each moved the weights, and what it kept.

    Attributes:
        name: the method's.
        colour: of the line and its points.
        dash: of the line.
        points: (value, point, whether it was chosen) from the least deviation to the largest.
        other: the chosen value on the other half of the edits.
    """

    name: str
    colour: str
    dash: str
    points: tuple[tuple[str, svg.Point, bool], ...]
    other: svg.Point | None


def sweep_svg(choices: Sequence[SweptMethod], rule: Rule, *, options: str, of: str) -> str | None:
    """Return what each value keeps (upwards) at which deviation (rightwards), a curve per method.

    ``None`` where nothing was measured. Vertical lines are intervals; a ring is the chosen value,
    a square is the same on the other half of the edits. The arguments are those of the tables.
    """
    curves = [_curve(choice, rule, index) for index, choice in enumerate(choices)]
    curves = [curve for curve in curves if curve.points]
    points = [point for curve in curves for _, point, _ in curve.points]
    points += [curve.other for curve in curves if curve.other]
    if not points:
        return None
    lows = joined.from_iterable((each.y, each.low, each.high) for each in points)
    frame = svg.Frame(
        xs=svg.ticks(0.0, max(each.x for each in points)),
        ys=svg.ticks(min(each for each in lows if each is not None), 1.0),
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_TOP + _PLOT,
    )
    picture = template("reporting/sweep.svg.j2").render(
        title=f"Sweep of {options}",
        of=of,
        fit=fit,
        curves=curves,
        frame=frame,
        metric=rule.metric,
        height=_TOP + _PLOT + 62 + 22 * len(curves),
        width=_WIDTH,
        split=any(curve.other for curve in curves),
        digits={"x": _digits(frame.xs), "y": _digits(frame.ys)},
    )
    return f"{picture}\n"


def _digits(ticks: Sequence[float]) -> int:
    """Return how many decimal places show all ticks apart."""
    return next(k for k in range(13) if all(round(each, k) == each for each in ticks))


def _curve(choice: SweptMethod, rule: Rule, index: int) -> _Curve:
    found = [
        (" ".join(each.shown for each in value.settings), point, value is choice.chosen)
        for value in choice.tried
        if (point := _point(value, rule)) is not None
    ]
    return _Curve(
        name=choice.method,
        colour=_COLOURS[index % len(_COLOURS)],
        dash=_DASHES[index % len(_DASHES)],
        points=tuple(sorted(found, key=lambda each: each[1].x)),
        other=_point(choice.other, rule) if choice.other else None,
    )


def _point(value: SweptValue, rule: Rule) -> svg.Point | None:
    """Place a value; it has an interval if it has a single seed."""
    moved, share = value.number(DEVIATION), value.number(rule.metric)
    if moved is None or share is None:
        return None
    measured = value.chains[0].measured(rule.metric)
    if measured is None or len(value.chains) > 1:
        return svg.Point(x=moved, y=share)
    return svg.Point(x=moved, y=share, low=measured.low, high=measured.high)
