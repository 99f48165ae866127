"""What is drawn on a chart, and where it lies; templates write it as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import floor, log10

HEIGHT = 280
WIDE, NARROW = 480, 380
"""Widths of a plot that stands alone, and of one of several side by side."""
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 44
MOST_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point, with the ends of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a plot.

    Attributes:
        name: what it is of, shown by its tooltip.
        style: which of the style sheet's colours and dashes.
        points: from left to right.
        fitted: whether it is a fitted curve, drawn thin and without markers.
        joined: whether the points are joined.
    """

    name: str
    style: int
    points: tuple[Point, ...]
    fitted: bool = False
    joined: bool = True


def ticks(low: float, high: float, steps: Sequence[float] = (1, 2, 2.5, 5, 10)) -> list[float]:
    """Return about five round numbers that hold ``low`` and ``high`` between them.

    Args:
        low: the smallest number to draw.
        high: the largest.
        steps: how far apart they may be, each times a power of ten.
    """
    rough = (high - low or abs(high) or 1.0) / 5
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * each for each in steps if unit * each >= rough * 0.999)
    first, last = floor(low / step + 1e-9), -floor(-high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, max(last, first + 1) + 1)]


def thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return at most ``MOST_POINTS`` of them, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    last = len(points) - 1
    return tuple(points[round(k * last / (MOST_POINTS - 1))] for k in range(MOST_POINTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where numbers lie on a drawing.

    Attributes:
        xs: numbers of the horizontal axis; the first is at the left edge, the last at the right.
        ys: those of the vertical axis, from the bottom to the top.
        left: an edge, in the drawing's units, as are the other three.
        right: see above.
        top: see above.
        bottom: see above.
    """

    xs: Sequence[float]
    ys: Sequence[float]
    left: float
    right: float
    top: float
    bottom: float

    def x(self, number: float) -> float:
        """Return how far to the right a number lies."""
        share = (number - self.xs[0]) / (self.xs[-1] - self.xs[0])
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, number: float) -> float:
        """Return how far down a number lies."""
        share = (number - self.ys[0]) / (self.ys[-1] - self.ys[0])
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def path(self, points: Iterable[Point]) -> str:
        """Return the points of a line or an area."""
        return " ".join(f"{self.x(each.x)},{self.y(each.y)}" for each in points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Lines with their intervals.

    Attributes:
        title: says what the plot shows to those who do not see it.
        x: what the horizontal axis is.
        y: what the vertical axis is.
        lines: what is drawn, with no more points than a plot can show.
        frame: where numbers lie.
        width: of the drawing; one of the two above.
    """

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    frame: Frame
    width: int
    height: int = HEIGHT


def line_plot(
    lines: Iterable[Line], *, title: str, x: str, y: str, width: int = NARROW
) -> Plot | None:
    """Return a plot of lines, each thinned; nothing if there is no point."""
    drawn = tuple(replace(each, points=thinned(each.points)) for each in lines if each.points)
    points = [point for line in drawn for point in line.points]
    if not points:
        return None
    ys = [each for p in points for each in (p.y, p.low, p.high) if each is not None]
    frame = Frame(
        xs=ticks(min(0.0, *(p.x for p in points)), max(p.x for p in points)),
        ys=ticks(min(0.0, *ys), max(ys)),
        left=LEFT,
        right=width - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
    )
    return Plot(title=title, x=x, y=y, lines=drawn, frame=frame, width=width)
