"""Forecasts of the time that a long task still takes."""

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from time import monotonic

StepProgress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
LEAST, RECENT = 3, 12
"""How many steps a forecast needs, and how many of the most recent ones it uses: steps that came
from the cache soon drop out of it."""


class Pace:
    """Forecasts the time that is left from the duration of recent steps.

    Args:
        clock: the time in seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._ended: deque[tuple[float, int]] = deque(maxlen=RECENT)

    def left(self, done: int, total: int) -> str:
        """Return ``", about 5 min left"``, or nothing while too few steps are known.

        Args:
            done: how much is done: edits, tokens, ...; less than before starts a new task.
            total: how much there is.
        """
        last = self._ended[-1][1] if self._ended else -1
        if done < last:
            self._ended.clear()
        if done != last:
            self._ended.append((self._clock(), done))
        paces = [
            (later - sooner) / (more - less)
            for (sooner, less), (later, more) in pairwise(self._ended)
        ]
        if len(paces) < LEAST or done >= total:
            return ""
        seconds = median(paces) * (total - done)
        if seconds < 60:
            return ", less than a minute left"
        minutes = round(seconds / 60)
        hours = f"{minutes // 60} h " if minutes >= 60 else ""
        return f", about {hours}{minutes % 60} min left"
