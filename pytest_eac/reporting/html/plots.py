"""Line plots as SVG: no scripts, colours and sizes from the page's style sheet."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING

from pytest_eac.safe import markup

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
        name: what it is of, told by its tooltip.
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


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers that hold ``low`` and ``high`` between them."""
    span = high - low or abs(high) or 1.0
    rough = span / count
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * each for each in (1, 2, 2.5, 5, 10) if unit * each >= rough * 0.999)
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
    frame = _Frame(
        xs=ticks(min(0.0, *(p.x for p in points)), max(p.x for p in points)),
        ys=ticks(min(0.0, *ys), max(ys)),
        width=width,
    )
    body = frame.axes(x, y) + "".join(_line(line, frame) for line in drawn)
    return (
        f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{markup(title)}">'
        f"<title>{markup(title)}</title>{body}</svg>"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where numbers lie on the drawing."""

    xs: list[float]
    ys: list[float]
    width: int

    def left(self, x: float) -> float:
        span = self.xs[-1] - self.xs[0]
        return round(LEFT + (x - self.xs[0]) / span * (self.width - LEFT - RIGHT), 1)

    def top(self, y: float) -> float:
        span = self.ys[-1] - self.ys[0]
        return round(HEIGHT - BOTTOM - (y - self.ys[0]) / span * (HEIGHT - TOP - BOTTOM), 1)

    def axes(self, x: str, y: str) -> str:
        """Draw a grid, its numbers, and what the axes are."""
        right, bottom = self.width - RIGHT, HEIGHT - BOTTOM
        parts = ['<g class="axes">']
        for each in self.ys:
            top = self.top(each)
            parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{top}" y2="{top}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{top + 4}" class="end">{each:g}</text>')
        parts += [
            f'<text x="{self.left(each)}" y="{bottom + 16}">{each:g}</text>' for each in self.xs
        ]
        middle = (TOP + bottom) / 2
        parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}">{markup(x)}</text>')
        turned = f'transform="rotate(-90 14 {middle})"'
        parts.append(f'<text x="14" y="{middle}" {turned}>{markup(y)}</text></g>')
        return "".join(parts)


def _line(line: Line, frame: _Frame) -> str:
    points = thinned(line.points)
    places = [(frame.left(point.x), frame.top(point.y)) for point in points]
    kind = "fitted" if line.fitted else "measured"
    parts = [f'<g class="{kind} s{line.style}"><title>{markup(line.name)}</title>']
    for point, (x, _) in zip(points, places, strict=True):
        if point.low is not None and point.high is not None:
            low, high = frame.top(point.low), frame.top(point.high)
            beside = round(x + 3 * (line.style % 4 - 1.5), 1)  # of other lines' intervals
            ends = f'x1="{beside}" x2="{beside}" y1="{low}" y2="{high}"'
            parts.append(f'<line class="interval" {ends}/>')
    if line.joined and len(places) > 1:
        parts.append(f'<polyline points="{" ".join(f"{x},{y}" for x, y in places)}"/>')
    if not line.fitted and (len(places) <= MARKED or not line.joined):
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5"/>' for x, y in places]
    return "".join((*parts, "</g>"))
