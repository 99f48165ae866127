"""``pytest-eac compare``: results files compared with the first, or the chains of one."""

import argparse
from pathlib import Path

from pytest_eac.untrusted_text import say


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument("first", metavar="FILE", help="what --eac-results has written")
    parser.add_argument(
        "others",
        nargs="*",
        metavar="FILE",
        help="later ones; none: its own seeds and methods are compared",
    )
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    parser.add_argument("--metric", action="append", default=[], help="only this one (repeatable)")


def run(chosen: argparse.Namespace) -> int:
    """Print what has changed from run to run."""
    from pytest_eac.judging.run_comparison import NamedRun, compare_runs
    from pytest_eac.judging.stored_texts import with_texts
    from pytest_eac.reporting import run_diff
    from pytest_eac.store import read_record

    files = (chosen.first, *chosen.others)
    records = [with_texts(read_record(Path(file)), Path(file)) for file in files]
    runs = [NamedRun(file=name, record=each) for name, each in zip(files, records, strict=True)]
    show = {
        "table": run_diff.comparison_text,
        "markdown": run_diff.comparison_markdown,
        "json": run_diff.comparison_json,
    }
    say(show[chosen.format](compare_runs(runs, metrics=chosen.metric)))
    return 0
