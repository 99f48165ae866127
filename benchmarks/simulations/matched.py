"""How often a comparison at equal retention passes, and how often its interval holds the truth.

    python -m benchmarks.simulations.matched [--runs N]

Methods are simulated (tests/stats/writing.py), nothing is edited. docs/verdicts.md has the rows.
"""

from __future__ import annotations

import argparse
from statistics import fmean

import numpy as np

from pytest_eac.stats.matched import matched, overlap
from tests.stats.writing import Situation, draw

COUNTS = (10, 20, 50, 200)
SITUATIONS = {
    "retention rises from 0.2 to 0.9": Situation(),
    "steep": Situation(steep=3.0),
    "flat": Situation(steep=0.7, base=1.0),
    "0.7 to 1.0": Situation(base=4.0),
    "answers of two tokens": Situation(tokens=2),
    "15% of the edits never hold": Situation(never=0.15),
    "strong edits harm others": Situation(harm=2.0),
}
CASES = {
    "writes 0.6 times as much, same curve": (0.6, 1.0),
    "writes 1.6 times as much, same curve": (1.6, 1.0),
    "0.7 of the deviation at equal retention": (1.0, 0.7),
}


def row(situation: Situation, weaker: float, less: float, runs: int) -> str:
    """Return what came of each number of edits, as cells of a table."""
    before, passed, held, widths = [], [], [], []
    for count in COUNTS:
        rng = np.random.default_rng(count)
        wins, covers, spans, steps = 0, [], [], 0
        for _ in range(runs):
            one, two = draw(rng, count, situation, weaker=weaker, less=less)
            steps += int(two.amounts[-1] < one.amounts[-1])
            found = matched(one, two)
            if overlap(one, two) is None or found.ratio is None:
                continue  # undecided
            wins += found.p <= 0.05
            low, high = found.low or 0.0, found.high or 0.0
            covers.append(low <= less <= high)
            spans.append(high - low)
        before.append(f"{steps / runs:.2f}")
        passed.append(f"{wins / runs:.2f}")
        held.append(f"{fmean(covers):.3f}" if covers else "-")
        widths.append(f"{np.median(spans):.2f}" if spans else "-")
    intervals = ", ".join(f"{a} ({b})" for a, b in zip(held, widths, strict=True))
    return f"passes {before[0]} | passes {', '.join(passed)}; interval holds {intervals}"


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    for case, (weaker, less) in CASES.items():
        for name, situation in SITUATIONS.items():
            print(f"| {case} | {name} | {row(situation, weaker, less, runs)} |", flush=True)


if __name__ == "__main__":
    main()
