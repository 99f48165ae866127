"""How often alarms of growth are right, and how often its intervals hold the truth.

    python -m benchmarks.simulations.growth [--runs N] [--edits T ...]

Chains are random walks: steps in directions that hardly know of one another (cosine 0 with a
standard deviation of 0.01, as in a matrix of 10,000 entries), whose sizes have a coefficient of
variation of 0.4 and a correlation of rho with their neighbours. "Before" is what this project did
at first: a Mann-Kendall test and a permutation test on the increments of the deviation, and
intervals that took these to be independent. What is printed are rows of docs/verdicts.md.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from benchmarks.simulations.growth_before import old_interval, old_onset, old_slope, old_trend
from pytest_eac.judging.growth_checks import COLLAPSE_FACTOR
from pytest_eac.stats.growth import fit, fits
from pytest_eac.stats.series import Series
from pytest_eac.stats.slopes import theil_sen
from pytest_eac.stats.trends import onset, trend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_eac.stats.series import Floats

VARIATION = 0.4
LEVEL = 0.05
_ENTRIES = 10_000


def sizes(means: Floats, rho: float, generator: np.random.Generator) -> Floats:
    """Draw step sizes: gamma, with these means, correlated with their neighbours by a copula."""
    normal = generator.normal(size=len(means))
    for k in range(1, len(means)):
        normal[k] = rho * normal[k - 1] + math.sqrt(1 - rho**2) * normal[k]
    shape = 1 / VARIATION**2
    scores = scipy.special.ndtr(normal)
    return np.asarray(means * scipy.stats.gamma.ppf(scores, shape, scale=1 / shape))


def walked(steps: Floats, generator: np.random.Generator, *, cosine: float = 0.0) -> Floats:
    """Return the deviation after each step; ``cosine`` is the mean one with all steps before."""
    squares, found = 0.0, []
    for size in steps.tolist():
        along = cosine + math.sqrt((1 - cosine**2) / _ENTRIES) * generator.normal()
        squares += size**2 + 2 * along * size * math.sqrt(squares)
        found.append(math.sqrt(squares))
    return np.array(found)


def power_sizes(n: int, exponent: float) -> Floats:
    """Return mean sizes with which unrelated steps deviate as ``t^b``."""
    return np.sqrt(np.diff(np.arange(n + 1.0) ** (2 * exponent)))


def series_of(deviations: Floats, order: int) -> Series:
    """Return deviations after each edit as a series."""
    at = tuple(range(1, len(deviations) + 1))
    return Series(at=at, total=tuple(deviations.tolist()), order=order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the steps of a chain do.

    Attributes:
        name: in words.
        means: of the sizes of n steps.
        exponent: of the deviation; NaN where it follows no power law.
        cosine: of each step with the sum of those before.
    """

    name: str
    means: Callable[[int], Floats]
    exponent: float = math.nan
    cosine: float = 0.0


EQUAL = Situation(name="equal steps", means=np.ones, exponent=0.5)
DOUBLED = Situation(
    name="steps doubled from the middle on",
    means=lambda n: np.repeat([1.0, 2.0], [n // 2, n - n // 2]),
)
JUMP = Situation(
    name="steps four times as large after 70% of the edits",
    means=lambda n: np.where(np.arange(n) < 0.7 * n, 1.0, 4.0),
)
SLOW = Situation(
    name="steps that grow as t^0.25", means=lambda n: power_sizes(n, 0.75), exponent=0.75
)
ALIGNED = Situation(
    name="equal steps that all point the same way", means=np.ones, exponent=1.0, cosine=1.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Means over simulated chains, before and after."""

    before: Floats
    after: Floats


def alarms(situation: Situation, n: int, rho: float, runs: int, seed: int = 0) -> Rates:
    """Return how often acceleration and collapse are reported: (2,) each."""
    generator = np.random.default_rng((seed, n, round(100 * rho)))
    counts = np.zeros((2, 2))
    for _ in range(runs):
        steps = sizes(situation.means(n), rho, generator)
        increments = series_of(walked(steps, generator, cosine=situation.cosine), 1).steps
        late, new = old_onset(increments, generator), onset(steps.tolist())
        rise = trend(steps.tolist())
        counts[0] += [
            old_trend(increments) <= LEVEL,
            late.p <= LEVEL and late.factor >= COLLAPSE_FACTOR,
        ]
        counts[1] += [
            rise is not None and rise.p <= LEVEL,
            new is not None and new.p <= LEVEL and new.factor >= COLLAPSE_FACTOR,
        ]
    return Rates(before=counts[0] / runs, after=counts[1] / runs)


def exponents(situation: Situation, n: int, rho: float, runs: int, seed: int = 0) -> Rates:
    """Return how often the exponent's 95% interval holds the truth, and its mean width: (2,) each.

    Of the Frobenius norm; squares are fitted where steps are unrelated.
    """
    generator = np.random.default_rng((seed, n, round(100 * rho)))
    found: list[list[tuple[float, float]]] = [[], []]
    order = 1 if situation.cosine else 2
    for _ in range(runs):
        steps = sizes(situation.means(n), rho, generator)
        deviations = walked(steps, generator, cosine=situation.cosine)
        now, before = (fit(series_of(deviations, each), "power") for each in (order, 1))
        if before is None or now is None:
            continue
        found[0].append(_held(*old_interval(series_of(deviations, 1), before), situation.exponent))
        found[1].append(_held(now.low, now.high, situation.exponent))
    return Rates(before=np.mean(found[0], axis=0), after=np.mean(found[1], axis=0))


def slopes(situation: Situation, n: int, rho: float, runs: int, seed: int = 0) -> Rates:
    """Return how often the slope's 95% interval holds the truth, and its mean width."""
    generator = np.random.default_rng((seed, n, round(100 * rho)))
    truth, order = true_slope(situation, n), 1 if situation.cosine else 2
    found: list[list[tuple[float, float]]] = [[], []]
    for _ in range(runs):
        steps = sizes(situation.means(n), rho, generator)
        deviations = walked(steps, generator, cosine=situation.cosine)
        series = series_of(deviations, order)
        before = old_slope(series_of(deviations, 1))
        after = theil_sen(series, fits(series)[0])
        found[0].append(_held(before.low, before.high, truth))
        found[1].append(_held(after.low, after.high, truth))
    return Rates(before=np.mean(found[0], axis=0), after=np.mean(found[1], axis=0))


def true_slope(situation: Situation, n: int) -> float:
    """Return the Theil-Sen slope of the root of the mean squared deviation."""
    means = situation.means(n)
    squares = (means**2 * (1 + VARIATION**2)).cumsum()
    if situation.cosine == 1:
        squares = means.cumsum() ** 2
    return float(scipy.stats.theilslopes([0.0, *np.sqrt(squares)], range(n + 1)).slope)


def _held(low: float | None, high: float | None, truth: float) -> tuple[float, float]:
    low = 0.0 if low is None else low
    high = 8.0 if high is None else high
    return float(low <= truth <= high), high - low


def rows(edits: Sequence[int], runs: int) -> Iterator[str]:
    """Yield rows of a Markdown table: line, situation, before, after; a value per chain length."""
    for situation in (EQUAL, DOUBLED, JUMP, SLOW):
        for rho in (0.0, 0.5):
            found = [alarms(situation, n, rho, runs) for n in edits]
            for k, check in enumerate(("acceleration", "collapse")):
                before, after = (
                    " / ".join(f"{each[k]:.2f}" for each in side)
                    for side in zip(*((one.before, one.after) for one in found), strict=True)
                )
                where = f"{situation.name}, rho {rho:g}"
                yield f"| A1 | `{check}` alarms: {where} | {before} | {after} |"
    for what, measure in (("exponent", exponents), ("slope", slopes)):
        for situation in (EQUAL, SLOW, ALIGNED):
            for rho in (0.0, 0.5):
                found = [measure(situation, n, rho, runs) for n in edits]
                before, after = (
                    " / ".join(f"{held:.3f} ({width:.2g})" for held, width in side)
                    for side in zip(*((one.before, one.after) for one in found), strict=True)
                )
                where = f"{situation.name}, rho {rho:g}"
                yield f"| A1 | {what}'s interval holds (width): {where} | {before} | {after} |"


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="chains per situation")
    parser.add_argument("--edits", type=int, nargs="*", default=[20, 40, 100])
    arguments = parser.parse_args()
    lengths = " / ".join(map(str, arguments.edits))
    print(f"| line | situation ({lengths} edits) | before | after |\n|---|---|---|---|")
    for row in rows(arguments.edits, arguments.runs):
        print(row, flush=True)


if __name__ == "__main__":
    main()
