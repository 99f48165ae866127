"""The reference pages by file name, as the code has them now."""

from __future__ import annotations

from pathlib import Path

from documentation.commands import commands_page
from documentation.keys import keys_page
from documentation.methods import methods_page
from documentation.options import options_page
from documentation.results import results_page

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def pages() -> dict[str, str]:
    """Return the text of every page of docs/reference."""
    return {
        "keys.md": keys_page(),
        "options.md": options_page(),
        "commands.md": commands_page(),
        "methods.md": methods_page(),
        "results.md": results_page(),
    }
