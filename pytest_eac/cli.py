"""The ``pytest-eac`` helper: what pytest itself has no command for."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac import __version__
from pytest_eac.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the helper; returns the exit code: 0 fine, 1 problems found, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="pytest-eac", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pytest-eac {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    validate = commands.add_parser("validate", help="check specs without running them")
    validate.add_argument("paths", nargs="+", type=Path, metavar="SPEC", help="files or folders")
    commands.add_parser("schema", help="print the JSON Schema of a spec, for editors")
    chosen = parser.parse_args(arguments)
    if chosen.command == "schema":
        return _schema()
    return _validate(chosen.paths)


def _schema() -> int:
    from pytest_eac.spec.schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return 0


def _validate(paths: Sequence[Path]) -> int:
    from pytest_eac.spec.detect import find_specs
    from pytest_eac.spec.load import load_spec

    failed = False
    for path in paths:
        found = find_specs(path)
        if not found:
            failed = True
            sys.stderr.write(f"{path}: no spec here; a spec is a YAML file with 'eac: 1'\n")
        for file in found:
            try:
                spec = load_spec(file)
            except SpecError as error:
                failed = True
                sys.stderr.write(f"{error}\n")
            else:
                chains = len(spec.methods) * len(spec.seeds)
                sys.stdout.write(f"{file}: ok, {len(spec.edits)} edits, {chains} chains\n")
    return int(failed)
