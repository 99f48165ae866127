"""How often tests and intervals of scores are wrong, and how wide and how strong they are.

    python -m benchmarks.simulations.exact [PART ...] [--runs N]

The parts are differences, shifts, kept, told_apart, shares, power and losses. What is printed are
rows of docs/verdicts.md (told_apart: of docs/abilities.md). Coverages are of 95 % intervals, with
their mean widths in brackets; tests are at the level 0.05. "Before" is what this project did at
first.
"""

from __future__ import annotations

import argparse
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom

from benchmarks.simulations import exact_before
from pytest_eac.stats.intervals import tang, wilson
from pytest_eac.stats.means import mean_interval, p_above
from pytest_eac.stats.paired import kept
from pytest_eac.stats.power import chance_of_no_more_loss, least_above, needed_above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Ends = tuple[float, float] | None

LEVEL = 0.05
# Differences with a mean of exactly 0: slightly better, rarely collapsed.
SKEWED = {
    "+.1 (90%), -.9 (10%)": ((0.1, -0.9), (0.9, 0.1)),
    "+.05 (60%), -.75 (4%), else 0": ((0.05, -0.75, 0.0), (0.6, 0.04, 0.36)),
}


def held(truth: float, ends: Sequence[Ends]) -> str:
    """Write the share of intervals that hold the truth, and the mean width of those there are."""
    known = [each for each in ends if each is not None]
    if not known:
        return "none"
    inside = sum(low - 1e-9 <= truth <= high + 1e-9 for low, high in known) / len(ends)
    return f"{inside:.3f} ({np.mean([high - low for low, high in known]):.2f})"


def drawn(values: Sequence[float], chances: Sequence[float], n: int, runs: int) -> Any:
    """Draw samples; rows are sorted, so that equal ones can be tested once."""
    return np.sort(np.random.default_rng(n).choice(values, (runs, n), p=chances), axis=1)


def each_once(rows: Any, measure: Callable[[Any], Any]) -> list[Any]:
    """Measure each row, equal ones once."""
    known: dict[bytes, Any] = {}
    return [known.setdefault(row.tobytes(), None) or _keep(known, row, measure) for row in rows]


def _keep(known: dict[bytes, Any], row: Any, measure: Callable[[Any], Any]) -> Any:
    known[row.tobytes()] = found = measure(row)
    return found


def differences(runs: int) -> Iterator[str]:
    """Yield false alarms and coverage where the mean difference is 0 and few are much worse."""
    for about, (values, chances) in SKEWED.items():
        cells: list[list[str]] = [[], [], [], []]
        for n in (8, 10, 20, 30, 50):
            rows = drawn(values, chances, n, runs)
            signs = each_once(rows, exact_before.flipped)
            tests = each_once(rows, lambda row: p_above(row.tolist(), 0.0, low=-1.0))
            cells[0].append(f"{np.mean(np.array(signs) <= LEVEL):.3f}")
            cells[1].append(f"{np.mean(np.array(tests) <= LEVEL):.3f}")
            few = rows[: runs // 4]
            cells[2].append(held(0.0, each_once(few, exact_before.interval_of_differences)))
            cells[3].append(
                held(0.0, each_once(few, lambda row: mean_interval(row.tolist(), low=-1.0)))
            )
        one, two, three, four = (" / ".join(each) for each in cells)
        where = "n = 8 / 10 / 20 / 30 / 50"
        yield f"| A6 | no difference: {about}; false alarms, {where} | {one} | {two} |"
        yield f"| A6 | its interval | {three} | {four} |"


def shifts(runs: int) -> Iterator[str]:
    """Yield the power of the test of differences that lie evenly around a mean of 0.1."""
    before, after = [], []
    for n in (10, 20, 50, 100, 200):
        rows = np.random.default_rng(n).uniform(-0.4, 0.6, (runs // 8, n))
        before.append(f"{np.mean([exact_before.flipped(row) <= LEVEL for row in rows]):.2f}")
        tests = [p_above(row.tolist(), 0.0, low=-1.0) <= LEVEL for row in rows]
        after.append(f"{np.mean(tests):.2f}")
    cells = " | ".join(" / ".join(each) for each in (before, after))
    about = "power: differences uniform from -.4 to .6, n = 10 / 20 / 50 / 100 / 200"
    yield f"| A6 | {about} | {cells} |"


def _right(generator: np.random.Generator, base: float, lost: float, gained: float, n: int) -> Any:
    before = generator.random(n) < base
    after = np.where(before, generator.random(n) >= lost, generator.random(n) < gained)
    return before.astype(float), after.astype(float)


def _kept(before: Any, after: Any) -> Ends:
    found = kept(before.tolist(), after.tolist())
    return None if found is None else (found.low or 0.0, found.high or 0.0)


def kept_shares(runs: int) -> Iterator[str]:
    """Yield how often the interval of what is kept holds the truth."""
    runs //= 4
    for base, lost, gained in (
        (1.0, 0.05, 0.0),
        (0.9, 0.05, 0.0),
        (0.2, 0.05, 0.0),
        (0.6, 0.2, 0.1),
    ):
        truth = (base * (1 - lost) + (1 - base) * gained) / base
        about = f"right answers: {base:.0%} before, {lost:.0%} lost, {gained:.0%} gained"
        yield _kept_row(about, truth, lambda g, n: _right(g, base, lost, gained, n), runs)  # noqa: B023

    def scores(generator: np.random.Generator, n: int) -> Any:
        base = generator.beta(2, 6, n)
        return base, np.where(generator.random(n) < 0.05, 0.0, base)

    def noisy(generator: np.random.Generator, n: int) -> Any:
        base = generator.beta(2, 6, n)
        return base, np.clip(base * generator.uniform(0.8, 1.1, n), 0, 1)

    yield _kept_row("scores of .25 on average, 5% lost, the others unchanged", 0.95, scores, runs)
    yield _kept_row("scores of .25 on average, all times .8 to 1.1", 0.95, noisy, runs)


def _kept_row(about: str, truth: float, draw: Callable[..., Any], runs: int) -> str:
    cells = []
    for n in (20, 100):
        generator = np.random.default_rng(n)
        pairs = [pair for pair in (draw(generator, n) for _ in range(runs)) if pair[0].any()]
        cells.append(
            (
                held(truth, [exact_before.interval_of_kept(*pair) for pair in pairs]),
                held(truth, [_kept(*pair) for pair in pairs]),
            )
        )
    before, after = (" / ".join(side) for side in zip(*cells, strict=True))
    return f"| A5 | kept of {about}; n = 20 / 100 | {before} | {after} |"


@cache
def _tang(both: int, lost: int, gained: int) -> tuple[float, float]:
    return tang(both, lost, gained)


def told_apart(runs: int) -> Iterator[str]:
    """Yield with which chance .95 kept is told from .85, by base and number of items."""
    counts = (100, 120, 200, 400, 800, 1600)
    for base in (0.2, 0.3, 0.6, 0.8, 1.0):
        chances = []
        for n in counts:
            generator = np.random.default_rng(n)
            before = generator.binomial(n, base, runs)
            gone = generator.binomial(before, 0.05)
            lows = [_tang(int(b - g), int(g), 0)[0] for b, g in zip(before, gone, strict=True) if b]
            chances.append(f"{np.mean(np.array(lows) > 0.85):.2f}")
        yield f"| {base:g} | {' | '.join(chances)} |"


def shares(_: int) -> Iterator[str]:
    """Yield the exact coverage of the interval of a share."""
    for share, n in ((0.99, 16), (0.98, 20), (0.95, 20), (0.9, 30), (0.5, 20)):
        chances = binom.pmf(range(n + 1), n, share)
        cells = []
        for ends in (
            [wilson(hits / n, n) for hits in range(n + 1)],
            [mean_interval([1.0] * hits + [0.0] * (n - hits)) for hits in range(n + 1)],
        ):
            inside = sum(
                c for c, (low, high) in zip(chances, ends, strict=True) if low <= share <= high
            )
            width = sum(c * (high - low) for c, (low, high) in zip(chances, ends, strict=True))
            cells.append(f"{inside:.3f} ({width:.2f})")
        yield f"| A7 | interval of a share of {share:g}, n = {n} (exact) | {' | '.join(cells)} |"


def power(_: int) -> Iterator[str]:
    """Yield the chance that a check passes with as many edits as a pilot says that it needs."""
    for limit, true, n in (
        (0.9, 0.95, 20),
        (0.9, 0.98, 20),
        (0.9, 0.95, 50),
        (0.8, 0.9, 20),
        (0.5, 0.6, 50),
    ):
        cells = []
        estimates: tuple[Callable[[int], int | None], ...] = (
            lambda hits: exact_before.needed_above(hits, n, limit),  # noqa: B023
            lambda hits: needed_above([1.0] * hits + [0.0] * (n - hits), limit, level=LEVEL),  # noqa: B023
        )
        for estimate in estimates:
            told = passed = 0.0
            for hits in range(n + 1):
                if binom.sf(hits - 1, n, limit) <= LEVEL or hits <= n * limit:
                    continue
                count = estimate(hits)
                if count is not None:
                    told += (chance := binom.pmf(hits, n, true))
                    passed += chance * binom.sf(binom.isf(LEVEL, count, limit), count, true)
            cells.append(f"{passed / told:.2f} (says a number in {told:.2f})")
        about = f'"needs about N edits": passes with N, stated 0.8; limit {limit:g}, true {true:g}'
        yield f"| A7 | {about}, pilot of {n} (exact) | {' | '.join(cells)} |"


def losses(_: int) -> Iterator[str]:
    """Yield how often a bound on a loss passes: at the bound, and where less is lost."""
    for most in (0.03, 0.05, 0.1):
        counts = (100, 200, 400)
        cells = []
        for lost in (most, 0.0, 0.01):
            found = [chance_of_no_more_loss(n, most, level=LEVEL, lost=lost) for n in counts]
            cells.append(" / ".join(f"{each:.3f}" for each in found))
        least = least_above(0.0, -most, level=LEVEL, low=-1.0)
        yield (
            f"| A8 | `loses_at_most: {most:g}` at 95%, needs {least} items; n = 100 / 200 / 400 "
            f"(exact) | no such check | false passes {cells[0]}; power, nothing lost: {cells[1]}; "
            f"1% lost: {cells[2]} |"
        )


PARTS = {
    "differences": differences,
    "shifts": shifts,
    "kept": kept_shares,
    "told_apart": told_apart,
    "shares": shares,
    "power": power,
    "losses": losses,
}


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), metavar="PART")
    parser.add_argument("--runs", type=int, default=4000)
    arguments = parser.parse_args()
    for part in arguments.parts or PARTS:
        for line in PARTS[part](arguments.runs):
            print(line, flush=True)


if __name__ == "__main__":
    main()
