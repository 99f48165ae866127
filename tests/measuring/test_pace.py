"""Forecasts of the time that is left."""

from __future__ import annotations

import pytest

from pytest_eac.measuring.time_left import LEAST, RECENT, Pace


def last(steps: list[tuple[float, int]], total: int) -> str:
    """What is said after the last of several steps, each a time and how much was done then."""
    now = 0.0
    pace = Pace(clock=lambda: now)
    said = ""
    for now, done in steps:  # noqa: B007
        said = pace.left(done, total)
    return said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1.0, ", less than a minute left"),
        (60.0, ", about 16 min left"),
        (600.0, ", about 2 h 40 min left"),
    ],
)
def test_the_rest_takes_as_long_as_the_last_steps(seconds: float, said: str) -> None:
    assert last([(seconds * k, k * 1000) for k in range(1, 5)], 20_000) == said


def test_too_few_steps_and_the_end_say_nothing() -> None:
    steps = [(60.0 * k, k) for k in range(20)]
    assert last(steps[:LEAST], 20) == ""
    assert last(steps[: LEAST + 1], 20) != ""
    assert last(steps, 19) == ""


def test_quick_steps_at_the_beginning_are_forgotten() -> None:
    cached = [(0.01 * k, k) for k in range(20)]
    slow = [(60.0 * k, 19 + k) for k in range(1, RECENT + 1)]
    assert last(cached + slow, 19 + RECENT + 10) == ", about 10 min left"


def test_a_task_that_begins_again_is_timed_again() -> None:
    steps = [(60.0 * k, k) for k in range(5)]
    assert last([*steps, (300.0, 0), (301.0, 1), (302.0, 2)], 10) == ""
