"""How often a comparison at equal retention passes, and how often its interval holds the truth.

    python -m benchmarks.simulations.matched [--runs N]

Methods are simulated (tests/stats/writing.py), nothing is edited. docs/verdicts.md has the rows.
"""

import argparse
from statistics import fmean

import numpy as np

from pytest_eac.stats.matched import LEAST_STRENGTHS, Matched, ShareCurve, matched, overlap
from tests.stats.writing import Situation, draw

COUNTS = (10, 20, 50)
LEVEL = 0.05
SITUATIONS = {
    "retention rises from 0.2 to 0.9": Situation(),
    "steep": Situation(steep=3.0),
    "flat": Situation(steep=0.7, base=1.0),
    "0.7 to 1.0": Situation(base=4.0),
    "answers of two tokens": Situation(tokens=2),
    "15% of the edits never hold": Situation(never=0.15),
    "strong edits harm others": Situation(harm=2.0),
}
# How the second method differs from the first one, and its true ratio.
CASES = {
    "writes 0.6 times as much, same curve": {"weaker": 0.6},
    "writes 1.6 times as much, same curve": {"weaker": 1.6},
    "writes 0.1 times as much, same curve": {"weaker": 0.1},
    "twice as steep, equal where half is kept": {"steeper": 2.0},
    "half as steep, equal where half is kept": {"steeper": 0.5},
    "0.7 of the deviation at equal retention": {"less": 0.7},
}


def row(situation: Situation, case: dict[str, float], runs: int) -> str:
    """Return what came of each number of edits, as cells of a table."""
    before, passed, undecided, held = [], [], [], []
    for count in COUNTS:
        rng = np.random.default_rng(count)
        wins, steps, covers, spans = 0, 0, [], []
        for _ in range(runs):
            one, two = draw(rng, count, situation, **case)
            steps += int(two.amounts[-1] < one.amounts[-1])
            if (found := judged(one, two)) is None:
                continue
            wins += found.p <= LEVEL
            low, high = found.low or 0.0, found.high or 0.0
            covers.append(low <= case.get("less", 1.0) <= high)
            spans.append(high - low)
        before.append(f"{steps / runs:.2f}")
        passed.append(f"{wins / runs:.2f}")
        undecided.append(f"{1 - len(covers) / runs:.2f}")
        enough = len(covers) >= runs / 10
        held.append(f"{fmean(covers):.3f} ({np.median(spans):.2f})" if enough else "-")
    return (
        f"passes {before[0]} | passes {', '.join(passed)}; no ratio {', '.join(undecided)}; "
        f"interval holds {', '.join(held)}"
    )


def judged(one: ShareCurve, two: ShareCurve) -> Matched | None:
    """Return the comparison; ``None`` where the check is undecided without one."""
    if min(len(each.rising.amounts) for each in (one, two)) < LEAST_STRENGTHS:
        return None
    if overlap(one, two) is None:
        return None
    found = matched(one, two)
    return None if found.alike <= LEVEL or found.ratio is None else found


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    for differs, case in CASES.items():
        for name, situation in SITUATIONS.items():
            print(f"| A9 | {differs}; {name} | {row(situation, case, runs)} |", flush=True)


if __name__ == "__main__":
    main()
