"""How often the interval of a partial correlation holds, of methods that ran beside their controls.

    python -m benchmarks.simulations.pairs [--runs N]

A control moves as far as its method, and loses partly the same. "Before" took methods and controls
as independent of one another. What is printed are rows of docs/verdicts.md.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from pytest_eac.stats.partial_correlation import over_groups, partial_rank_correlation

TIMES = 5
SHARED = 0.7
"""Correlation of what a method and its control lose besides."""


def trajectories(generator: np.random.Generator, pairs: int, together: float) -> tuple[Any, ...]:
    """Draw x, y, time, method and pair of each point; x is the same in a pair."""
    size = (pairs, 2, TIMES)
    far = generator.normal(size=(pairs, 1, 1)) + 0.3 * generator.normal(size=(pairs, 1, TIMES))
    own = np.sqrt(SHARED) * generator.normal(size=(pairs, 1, 1)) + np.sqrt(
        1 - SHARED
    ) * generator.normal(size=(pairs, 2, 1))
    lost = together * far + own + 0.3 * generator.normal(size=size)
    method = np.broadcast_to(np.arange(2 * pairs).reshape(pairs, 2, 1), size)
    pair = np.broadcast_to(np.arange(pairs).reshape(pairs, 1, 1), size)
    columns = (np.broadcast_to(far, size), lost, np.broadcast_to(np.arange(TIMES), size))
    return tuple(each.ravel().tolist() for each in (*columns, method, pair))


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    for together in (0.0, -1.0):
        for pairs in (4, 8, 16):
            generator = np.random.default_rng(pairs)
            x, y, time, *_ = trajectories(generator, 20_000, together)
            true = partial_rank_correlation(x, y, time) or 0.0
            ends: list[list[tuple[float, float]]] = [[], []]
            for _ in range(runs):
                x, y, time, method, pair = trajectories(generator, pairs, together)
                for side, groups in enumerate((method, pair)):
                    found = over_groups(partial_rank_correlation, x, y, time, groups)
                    if found and found.low is not None and found.high is not None:
                        ends[side].append((found.low, found.high))
            cells = [
                f"{np.mean([low <= true <= high for low, high in each]):.3f} "
                f"({np.mean([high - low for low, high in each]):.2f})"
                if each
                else "no interval"
                for each in ends
            ]
            print(
                f"| A7 | partial rank correlation of {true:.2f}, {pairs} methods with a control "
                f"each | {' | '.join(cells)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
