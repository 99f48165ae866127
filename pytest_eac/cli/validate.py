"""``pytest-eac validate``: specs are checked without running them."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_eac.errors import EacError
from pytest_eac.spec.schema.at_equal import WEAKER
from pytest_eac.spec.spec import Spec
from pytest_eac.untrusted_text import say


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="SPEC", help="files or folders")


def run(chosen: argparse.Namespace) -> int:
    """Report all problems of all specs, and their warnings, which do not fail."""
    from pytest_eac.spec.detect import find_specs

    failed = False
    for path in chosen.paths:
        found = find_specs(path)
        if not found:
            failed = True
            say(f"{path}: no spec here; a spec is a YAML file with 'eac: 1'", sys.stderr)
        for file in found:
            try:
                spec: Spec = chosen.read_spec(file, under=path)
            except EacError as error:
                failed = True
                say(str(error), sys.stderr)
            else:
                chains = len(spec.methods) * len(spec.seeds) * spec.samples
                sets = f"{spec.samples} sets of " if spec.samples > 1 else ""
                counts = f"{sets}{_count(len(spec.edits), 'edit')}, {_count(chains, 'chain')}"
                if more := _at_other_strengths(spec):
                    counts += f" and up to {more} more at other strengths (at_equal)"
                for each in spec.warnings:
                    say(each.as_warning, sys.stderr)
                if spec.warnings:
                    counts += f", {_count(len(spec.warnings), 'warning')}"
                say(f"{file}: ok, {counts}")
                for line in _forecasts(spec):
                    say(f"  {line}")
    return int(failed)


def _at_other_strengths(spec: Spec) -> int:
    """Return how many further chains comparisons at equal shares run, at most."""
    found: dict[tuple[str, str], int] = {}
    for each in spec.checks.compare:
        if each.at_equal is not None:
            count = len(each.at_equal.values or WEAKER)
            for method in (each.subject, each.than):
                key = method, each.at_equal.by
                found[key] = max(found.get(key, 0), count)
    return sum(found.values()) * len(spec.seeds)


def _forecasts(spec: Spec) -> Iterator[str]:
    """Yield what checks of a bound on a loss can show; scipy is imported for these alone."""
    if any(each.loses_at_most is not None for each in spec.checks.abilities.values()):
        from pytest_eac.judging.loss_forecasts import loss_forecasts

        yield from loss_forecasts(spec)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
