"""Charts as SVG: scales, marks, and the line plots of the HTML page.

A plot of the page takes its colours from the page's style sheet; there are no scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING

from pytest_eac.untrusted_text import markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEIGHT = 280
WIDE, NARROW = 480, 380
"""Widths of a plot that stands alone, and of one of several side by side."""
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 44
MOST_POINTS = 200
MARKED = 24
"""Lines with more points than this are drawn without markers."""


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


def line_plot(lines: Iterable[Line], *, title: str, x: str, y: str, width: int = NARROW) -> str:
    """Draw lines with their intervals as an SVG element; empty text if there is no point.

    Args:
        lines: what to draw.
        title: says to those who do not see it what the plot shows.
        x: the horizontal axis.
        y: the vertical axis.
        width: one of the two above.
    """
    drawn = [line for line in lines if line.points]
    points = [point for line in drawn for point in line.points]
    if not points:
        return ""
    ys = [each for p in points for each in (p.y, p.low, p.high) if each is not None]
    frame = Frame(
        xs=ticks(min(0.0, *(p.x for p in points)), max(p.x for p in points)),
        ys=ticks(min(0.0, *ys), max(ys)),
        left=LEFT,
        right=width - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
    )
    return element(
        "svg",
        element("title", markup(title)),
        _axes(frame, x, y),
        *(_line(line, frame) for line in drawn),
        viewBox=f"0 0 {width} {HEIGHT}",
        role="img",
        aria_label=title,
    )


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

    def level(self, number: float, **attributes: object) -> str:
        """Draw a line across at a number of the vertical axis."""
        y = self.y(number)
        return line(self.left, y, self.right, y, **attributes)

    def names(self, x: str, y: str, *, bottom: float, left: float, **attributes: object) -> str:
        """Write below and beside the axes what they are of."""
        middle = (self.top + self.bottom) / 2
        turned = f"rotate(-90 {left} {middle})"
        return text((self.left + self.right) / 2, bottom, x, **attributes) + text(
            left, middle, y, transform=turned, **attributes
        )

    def path(self, places: Iterable[tuple[float, float]]) -> str:
        """Return the points of a line or an area."""
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in places)


def element(name: str, *content: str, **attributes: object) -> str:
    """Return an element of SVG.

    Args:
        name: of the element.
        content: what is in it, as markup.
        attributes: any text; ``class_`` is ``class``, ``font_size`` is ``font-size``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{markup(str(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(content)}</{name}>" if content else f"<{name}{written}/>"


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    """Draw a straight line."""
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, **attributes)


def text(x: float, y: float, content: str, **attributes: object) -> str:
    """Write any text at a place."""
    return element("text", markup(content), x=x, y=y, **attributes)


def _axes(frame: Frame, x: str, y: str) -> str:
    """Draw a grid, its numbers, and what the axes are."""
    parts = []
    for each in frame.ys:
        parts.append(frame.level(each))
        parts.append(text(frame.left - 6, frame.y(each) + 4, f"{each:g}", class_="end"))
    parts += [text(frame.x(each), frame.bottom + 16, f"{each:g}") for each in frame.xs]
    parts.append(frame.names(x, y, bottom=HEIGHT - 6, left=14))
    return element("g", *parts, class_="axes")


def _line(drawn: Line, frame: Frame) -> str:
    points = thinned(drawn.points)
    parts = [element("title", markup(drawn.name))]
    for point in points:
        if point.low is not None and point.high is not None:
            # Beside the intervals of other lines.
            x = round(frame.x(point.x) + 3 * (drawn.style % 4 - 1.5), 1)
            parts.append(line(x, frame.y(point.low), x, frame.y(point.high), class_="interval"))
    if drawn.joined and len(points) > 1:
        parts.append(element("polyline", points=frame.path((each.x, each.y) for each in points)))
    if not drawn.fitted and (len(points) <= MARKED or not drawn.joined):
        parts += [
            element("circle", cx=frame.x(each.x), cy=frame.y(each.y), r=3.5) for each in points
        ]
    kind = "fitted" if drawn.fitted else "measured"
    return element("g", *parts, class_=f"{kind} s{drawn.style}")
