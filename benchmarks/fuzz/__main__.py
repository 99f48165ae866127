"""Broken and hostile inputs for whatever reads files: specs, data files, results files, models.

    python -m benchmarks.fuzz COUNT [--each] [--kind NAME ...] [--seed N] [--jobs N] [--keep FOLDER]

Each input must end in a value or in an error of this package, within a second of processor time,
and an error must have a text that can be printed. Anything else is counted, and makes the exit
code 1. An input depends on the seed, its kind and its number alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fuzz.run import Plan, run, shares
from benchmarks.fuzz.table import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.fuzz.run import Tally


def main() -> int:
    """Run from the command line; the exit code is 1 if an input was not refused as it should be."""
    chosen = _parser().parse_args()
    start = time.perf_counter()
    wanted = shares(chosen.count, chosen.kind or list(KINDS), each=chosen.each)
    found = run(wanted, Plan(seed=chosen.seed, keep=chosen.keep), jobs=chosen.jobs)
    print("\n".join(table(found)))
    print(f"{sum(wanted.values()):,} inputs in {time.perf_counter() - start:.0f} s")
    return int(any(tally.bad for tally in found.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, metavar="COUNT", help="inputs, spread over the kinds")
    parser.add_argument("--each", action="store_true", help="read COUNT inputs of each kind")
    parser.add_argument("--kind", nargs="+", choices=KINDS, help="by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes; 0: in this one")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for inputs that went wrong")
    return parser


def table(found: Mapping[str, Tally]) -> Iterator[str]:
    """Yield a Markdown table of the kinds, then a line for each outcome that is bad."""
    yield "| kind | inputs | per second | read | refused | crashed or hung |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, tally in found.items():
        total, read, bad = tally.outcomes.total(), tally.outcomes["read"], tally.bad.total()
        speed = total / tally.seconds if tally.seconds else 0.0
        yield (
            f"| {name} | {total:,} | {speed:,.0f} | {read:,} | {total - read - bad:,} | {bad:,} |"
        )
    for name, tally in found.items():
        for outcome, times in tally.bad.most_common():
            yield f"{times:>9,}  {name}: {outcome}"


if __name__ == "__main__":
    sys.exit(main())
