"""How often verdicts over several sets of edits are wrong, and how often their intervals hold.

    python -m benchmarks.simulations.samples [--runs N]

Sets of edits (samples) differ: the edits of one chain are more alike than edits of two. "Before" is
what this project did at first: a comparison of deviations over the seeds of one set, and Wilson's
interval of one chain's edits as if they were independent. What is printed are rows of
docs/verdicts.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_eac.stats.differences import difference
from pytest_eac.stats.intervals import student, wilson
from pytest_eac.stats.samples import mean_of_samples, p_over_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_eac.stats.series import Floats

    Draw = Callable[[np.random.Generator, int], Floats]

LEVEL = 0.05
SEEDS = 5


def normal(generator: np.random.Generator, samples: int) -> Floats:
    """Draw differences of sets whose mean is 0 and whose standard deviation is 1."""
    return generator.normal(size=samples)


def of_sizes(generator: np.random.Generator, samples: int) -> Floats:
    """Draw the same, of two methods whose deviations are alike (log-normal, sigma 0.5)."""
    return np.asarray((_sizes(generator, samples) - _sizes(generator, samples)) / np.sqrt(2))


def skewed(generator: np.random.Generator, samples: int) -> Floats:
    """Draw the same, where the one method hardly varies and the other sometimes moves far."""
    return -_sizes(generator, samples)


def _sizes(generator: np.random.Generator, samples: int) -> Floats:
    drawn = np.exp(0.5 * generator.normal(size=samples))
    mean, variance = np.exp(0.125), (np.exp(0.25) - 1) * np.exp(0.25)
    return np.asarray((drawn - mean) / np.sqrt(variance))


def seeds_of_one_set(generator: np.random.Generator, noise: float, draw: Draw) -> bool:
    """Say whether five seeds of one set of edits show a difference that other sets do not have.

    Args:
        generator: of the draw.
        noise: standard deviation of seeds, in that of sets.
        draw: of the sets' differences.
    """
    gaps = draw(generator, 1)[0] + noise * generator.normal(size=SEEDS)
    found = difference(gaps.tolist(), [0.0] * SEEDS, shares=False)
    return bool(gaps.mean() > 0 and found.p <= LEVEL)


def sets_of_edits(
    generator: np.random.Generator, samples: int, noise: float, draw: Draw, shift: float = 0.0
) -> bool:
    """Say whether sets with two seeds each show a difference, whose true value is ``shift``."""
    gaps = shift + draw(generator, samples) + noise * generator.normal(size=samples) / np.sqrt(2)
    p = p_over_samples(gaps.tolist(), 0.0)
    return p is not None and p <= LEVEL


def shares_of_sets(
    generator: np.random.Generator, samples: int, edits: int, share: float, correlation: float
) -> list[float]:
    """Draw the share of right edits of each set: beta-binomial, with a correlation within sets."""
    shares = np.full(samples, share)
    if correlation:
        scale = (1 - correlation) / correlation
        shares = generator.beta(share * scale, (1 - share) * scale, size=samples)
    return [float(each) for each in generator.binomial(edits, shares) / edits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How often intervals held the truth, and their mean width."""

    share: float
    width: float

    def __str__(self) -> str:
        return f"{self.share:.3f} (width {self.width:.3f})"


def held(truth: float, intervals: list[tuple[float, float]]) -> Held:
    """Count the intervals that hold the truth."""
    return Held(
        share=float(np.mean([low <= truth <= high for low, high in intervals])),
        width=float(np.mean([high - low for low, high in intervals])),
    )


def ends(means: list[float], edits: int) -> tuple[float, float]:
    """Return the interval over sets."""
    found = mean_of_samples(means, counts=[edits] * len(means))
    return found.low or 0.0, found.high or 1.0


def student_alone(means: list[float]) -> tuple[float, float]:
    """Return Student's t interval, as it is without the exact one."""
    low, high = student(means) or (0.0, 1.0)
    return max(0.0, low), min(1.0, high)


def comparisons(runs: int) -> Iterator[str]:
    """Yield how often a deviation comparison passes with no true difference, and with one."""
    generator = np.random.default_rng(1)
    for noise in (0.1, 1.0):
        passed = np.mean([seeds_of_one_set(generator, noise, normal) for _ in range(runs)])
        about = f"no difference over sets, seeds {noise} x as varied"
        yield f"{about}, 5 seeds of one set: {passed:.3f}"
        for samples in (3, 5, 10, 20):
            passed = np.mean(
                [sets_of_edits(generator, samples, noise, normal) for _ in range(runs)]
            )
            yield f"{about}, {samples} sets: {passed:.3f}"
    for draw in (normal, of_sizes, skewed):
        for samples in (3, 5, 10, 20):
            none, one = (
                np.mean([sets_of_edits(generator, samples, 0.1, draw, shift) for _ in range(runs)])
                for shift in (0.0, 1.0)
            )
            yield (
                f"{samples} sets, {draw.__name__}: passes {none:.3f} with no difference, {one:.3f} "
                "with one of a standard deviation of the sets"
            )


def intervals(runs: int) -> Iterator[str]:
    """Yield how often intervals of shares hold the truth."""
    generator = np.random.default_rng(2)
    for share, correlation, edits in (
        (0.9, 0.03, 100),
        (0.7, 0.03, 100),
        (0.97, 0.03, 100),
        (0.99, 0.03, 100),
        (0.9, 0.0, 100),
        (0.99, 0.0, 20),
        (0.9, 0.1, 20),
    ):
        about = f"share {share}, correlation {correlation}, {edits} edits"
        drawn = [shares_of_sets(generator, 1, edits, share, correlation)[0] for _ in range(runs)]
        yield f"{about}, one chain, Wilson: {held(share, [wilson(x, edits) for x in drawn])}"
        for samples in (3, 5, 10, 20):
            sets = [
                shares_of_sets(generator, samples, edits, share, correlation) for _ in range(runs)
            ]
            joined = held(share, [ends(each, edits) for each in sets])
            alone = held(share, [student_alone(each) for each in sets])
            yield f"{about}, {samples} sets: {joined}; Student's t alone {alone}"


def limits(runs: int) -> Iterator[str]:
    """Yield how often a limit passes that the true share is at, or above by 0.05."""
    generator = np.random.default_rng(3)
    for samples in (3, 5, 10, 20):
        passed = []
        for limit in (0.9, 0.85):
            sets = [shares_of_sets(generator, samples, 100, 0.9, 0.03) for _ in range(runs)]
            values = [p_over_samples(each, limit, counts=[100] * samples) for each in sets]
            passed.append(np.mean([p is not None and p <= LEVEL for p in values]))
        yield (
            f"share 0.9, correlation 0.03, {samples} sets of 100: min 0.9 passes {passed[0]:.3f}, "
            f"min 0.85 {passed[1]:.3f}"
        )


def rare(runs: int) -> Iterator[str]:
    """Yield what no interval over few sets can know of: one set in ten loses half of its edits."""
    generator = np.random.default_rng(4)
    for samples in (5, 10, 20, 40):
        sets = [
            [0.5 if bad else 1.0 for bad in generator.random(samples) < 0.1] for _ in range(runs)
        ]
        yield f"one set in ten at 0.5, {samples} sets: {held(0.95, [ends(e, 100) for e in sets])}"


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    for part in (comparisons, intervals, limits, rare):
        for line in part(runs):
            print(line, flush=True)


if __name__ == "__main__":
    main()
