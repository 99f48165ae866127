"""Tests and intervals of scores on data whose truth is known, as they were and as they are.

``python -m benchmarks.simulations.scores`` prints the rows of docs/verdicts.md.
"""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import binom

from pytest_eac.judging.suite import corrections
from pytest_eac.spec.schema.checks import Stats
from pytest_eac.stats.differences import difference
from pytest_eac.stats.means import needed_above, p_above
from pytest_eac.stats.paired import kept, resampled

LEVEL = 0.05
RUNS = 1000
SKEWED = {
    "+.1 (90%), -.9 (10%)": ([0.1, -0.9], [0.9, 0.1]),
    "+.05 (60%), -.75 (4%), else equal": ([0.05, -0.75, 0.0], [0.6, 0.04, 0.36]),
}


def false_differences(points: list[float], chances: list[float], n: int) -> tuple[float, float]:
    """Return how often no true difference is found to be one: by changed signs, and today."""
    rows = np.random.default_rng(n).multinomial(n, chances, RUNS)
    found = Counter[bool]()
    for counts, times in Counter(map(tuple, rows.tolist())).items():
        one = 0.9 + np.repeat(points, counts)
        for noise in (True, False):
            p = difference(one.tolist(), [0.9] * n, noise=noise).p
            found[noise] += times * (p <= LEVEL)
    return found[True] / RUNS, found[False] / RUNS


def coverage(n: int, base: float, lost: float) -> dict[str, tuple[float, float]]:
    """Return how often intervals of the share kept hold, and their mean widths."""
    generator = np.random.default_rng(n)
    held: dict[str, list[tuple[bool, float]]] = {"before": [], "after": []}
    for _ in range(RUNS // 2):
        before = (generator.random(n) < base).astype(float)
        after = np.where(generator.random(n) < lost, 0.0, before)
        if not before.any():
            continue
        if (before == after).all():
            held["before"].append((lost == 0, 0.0))
        else:
            held["before"].append(
                _held(resampled(_ratio, before.tolist(), after.tolist()), 1 - lost)
            )
        held["after"].append(_held(kept(before.tolist(), after.tolist()), 1 - lost))
    return {
        name: (fmean(ok for ok, _ in each), fmean(width for _, width in each))
        for name, each in held.items()
    }


def _ratio(base: Any, edited: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return edited.mean(axis=-1) / base.mean(axis=-1)


def _held(found: Any, true: float) -> tuple[bool, float]:
    if found.low is None:
        return True, 2.0
    return bool(found.low <= true <= found.high), min(2.0, found.high - found.low)


def stated_and_real(true: float, limit: float, n: int) -> tuple[float, float]:
    """Return the chance that "needs about N edits" states, and that of N such edits to pass."""
    said = real = weight = 0.0
    for hits in range(n + 1):
        scores = [1.0] * hits + [0.0] * (n - hits)
        found = needed_above(scores, limit, level=LEVEL)
        if found is None or found.chance is None or p_above(scores, limit) <= LEVEL:
            continue
        likely = float(binom.pmf(hits, n, true))
        least = binom.isf(LEVEL, found.count, limit) + 1
        weight += likely
        said += likely * found.chance
        real += likely * float(binom.sf(least - 1, found.count, true))
    return said / weight, real / weight


def suites(chains: int, checks: int, n: int) -> tuple[float, float]:
    """Return how often some check of a run passes, alone and in a suite, though none should.

    Every true share is 0.9, which is also the limit.
    """
    generator = np.random.default_rng(chains)
    names = [str(each) for each in range(checks)]
    rights = generator.binomial(n, 0.9, (RUNS, chains, checks))
    p_values = binom.sf(rights - 1, n, 0.9)
    found = []
    for suite in (0, chains * checks):
        wrong = 0
        for run in p_values:
            wrong += any(
                each.p <= LEVEL
                for chain in run
                for each in corrections(
                    dict(zip(names, chain.tolist(), strict=True)),
                    Stats(),
                    asked=checks,
                    suite=suite,
                ).values()
            )
        found.append(wrong / RUNS)
    return found[0], found[1]


def losses(n: int, lost: float, gained: float, limit: float) -> float:
    """Return how often a loss is shown to be at most ``limit``."""
    generator = np.random.default_rng(n)
    chances = [lost, gained, 1 - lost - gained]
    runs = RUNS if gained else 20 * RUNS  # without gains, few runs differ
    rows = generator.multinomial(n, chances, runs)
    taken = 0
    for counts, times in Counter(map(tuple, rows.tolist())).items():
        scores = np.repeat([0.0, 1.0, 0.5], counts).tolist()
        taken += times * (p_above(scores, (1 - limit) / 2) <= LEVEL)
    return taken / runs


def main() -> None:
    """Print the rows."""
    for name, (points, chances) in SKEWED.items():
        rates = [false_differences(points, chances, n) for n in (8, 20, 50)]
        before, after = (" / ".join(f"{each[k]:.2f}" for each in rates) for k in (0, 1))
        print(f"| A6 | no true difference: {name}; n = 8 / 20 / 50 | {before} | {after} |")
    for n, base in ((20, 0.6), (20, 0.95), (100, 0.21), (100, 0.6)):
        found = coverage(n, base, 0.05)
        cells = " | ".join(f"{ok:.3f} ({width:.2f})" for ok, width in found.values())
        print(f"| A5 | interval of `kept`, 5% truly lost, n = {n}, {base:.0%} right | {cells} |")
    for true, limit, n in ((0.95, 0.9, 20), (0.95, 0.9, 100), (0.97, 0.9, 40), (0.8, 0.7, 30)):
        said, real = stated_and_real(true, limit, n)
        print(
            f"| A7 | needs about N: true {true}, limit {limit}, n = {n} | "
            f"| states {said:.2f}, is {real:.2f} |"
        )
    alone, together = suites(20, 4, 100)
    print(
        "| A7 | some check passes, 20 chains of 4 checks, all true shares at the limit "
        "(after: `stats: {suite: holm}`) | "
        f"{alone:.2f} | {together:.2f} |"
    )
    for lost, gained, what in (
        (0.03, 0.0, "3% lost: passes"),
        (0.05, 0.02, "5% lost, 2% gained: passes"),
        (0.0, 0.0, "nothing lost: passes"),
        (0.01, 0.01, "1% lost and gained: passes"),
    ):
        cells = " / ".join(f"{losses(n, lost, gained, 0.03):.2f}" for n in (120, 400))
        print(f"| A8 | `loses_at_most: 0.03`, {what}, n = 120 / 400 | | {cells} |")


if __name__ == "__main__":
    main()
