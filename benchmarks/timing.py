"""Two ways to do one thing, timed in turns in one run: what comes of it is a ratio."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A line of the table: a measured ratio or amount with its spread, and what is asked of it."""

    name: str
    measured: str
    goal: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.name:<34} {self.measured:<38} {self.goal:<14} {self.about}".rstrip()


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a call takes, and what it returns."""
    start = perf_counter()
    result = work()
    return perf_counter() - start, result


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    return timed(work)[0]


def in_turns(
    slow: Callable[[], object], fast: Callable[[], object], repeats: int
) -> list[tuple[float, float]]:
    """Time two calls in turns, after one of each that does not count."""
    slow(), fast()
    return [(seconds(slow), seconds(fast)) for _ in range(repeats)]


def times_faster(pairs: list[tuple[float, float]]) -> str:
    """Return the ratio of the medians, and the quartiles of the single ratios."""
    ratio = median(slow for slow, _ in pairs) / median(fast for _, fast in pairs)
    return f"{ratio:.2f}x {spread([slow / fast for slow, fast in pairs], 'x')}"


def spread(values: list[float], unit: str) -> str:
    """Return how far values lie apart: the quartiles, or all of them where there are few."""
    if len(values) < 4:
        return f"({', '.join(f'{each:.2f}{unit}' for each in sorted(values))})"
    low, _, high = quantiles(values, n=4)
    return f"({low:.2f} to {high:.2f}{unit}, {len(values)} pairs)"
