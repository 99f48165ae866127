"""The ``pytest-eac`` helper: what pytest itself has no command for."""

import argparse
import io
import sys
from collections.abc import Sequence
from importlib import import_module

from pytest_eac import __version__
from pytest_eac.cli.conftests import spec_reader
from pytest_eac.errors import EacError
from pytest_eac.untrusted_text import safe_warnings, say

# Each command is a module of its own, imported only when it is asked for.
COMMANDS = {
    "init": "write a first spec, with comments, that runs as it is",
    "validate": "check specs without running them",
    "schema": "print the JSON Schema of a spec, for editors",
    "ask": "ask the unedited model a spec's prompts: which of the facts does it know?",
    "explain": "explain a check: what it means, what it is measured on, and its results",
    "doctor": "check this machine: what works, what is missing, and the command that installs it",
    "locate": "find the layers where a model keeps a spec's facts (causal tracing; docs/locate.md)",
    "sweep": "try several values of an option, and choose one (docs/sweep.md)",
    "compare": "compare results files with the first of them (docs/baselines.md)",
    "export": "edit a model as a spec says, and write it out (docs/export.md)",
    "apply": "add an export's deltas to its base, or take them away again (docs/export.md)",
    "stats": "measure the statistics of a model that methods use",
    "cache": "show or clear what is kept from run to run (docs/cache.md)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the helper; returns the exit code: 0 fine, 1 problems found, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # specs hold what not every encoding can show
            stream.reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="pytest-eac", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pytest-eac {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in given:
            module = import_module(f"{__name__}.{name}")
            module.add(command)
            command.set_defaults(run=module.run)
    chosen = parser.parse_args(given)
    try:
        with safe_warnings(), spec_reader() as chosen.read_spec:
            code = int(chosen.run(chosen))
        if sys.stdout is not None:
            sys.stdout.flush()
    except EacError as error:
        say(str(error), sys.stderr)
        return 1
    except OSError as error:
        if error.filename is not None:  # nothing else has no name here than what is printed to
            raise
        sys.stdout = None  # Python would try again at its end
        if not isinstance(error, BrokenPipeError):
            say(f"standard output: cannot be written: {error.strerror}", sys.stderr)
        return 1
    return code
