"""``pytest-eac validate``: specs are checked without running them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError

if TYPE_CHECKING:
    import argparse

    from pytest_eac.spec.ready import Spec


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
            sys.stderr.write(f"{path}: no spec here; a spec is a YAML file with 'eac: 1'\n")
        for file in found:
            try:
                spec: Spec = chosen.read_spec(file, under=path)
            except EacError as error:
                failed = True
                sys.stderr.write(f"{error}\n")
            else:
                chains = len(spec.methods) * len(spec.seeds)
                counts = f"{_count(len(spec.edits), 'edit')}, {_count(chains, 'chain')}"
                for each in spec.warnings:
                    sys.stderr.write(f"{each.as_warning}\n")
                if spec.warnings:
                    counts += f", {_count(len(spec.warnings), 'warning')}"
                sys.stdout.write(f"{file}: ok, {counts}\n")
    return int(failed)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
