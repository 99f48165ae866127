"""``pytest-eac init``: a first spec, with comments, that runs as it is."""

import argparse
from importlib import resources
from pathlib import Path
from shlex import quote

from pytest_eac.errors import SettingsError
from pytest_eac.untrusted_text import say

NAME = "first.eac.yaml"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where to put it (default: here)",
    )


def run(chosen: argparse.Namespace) -> int:
    """Write the spec, and say how to go on.

    Raises:
        SettingsError: there is a file of that name already.
        RecordError: it cannot be written.
    """
    from pytest_eac.store import write_text

    file = chosen.folder / NAME
    if file.exists() or file.is_symlink():
        raise SettingsError(f"{file}: is there already; move it away, or give another folder")
    write_text(file, template())
    say(
        f"written to {file}; next:\n"
        "  pytest-eac doctor                # is everything there that it needs?\n"
        f"  pytest {quote(str(file))}"
    )
    return 0


def template() -> str:
    """Return the text of the spec."""
    return resources.files("pytest_eac.cli").joinpath(NAME).read_text("utf-8")
