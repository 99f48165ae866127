"""The reference pages by file name, as the code has them now."""

from __future__ import annotations

from pathlib import Path

from reference_pages.commands import commands_page
from reference_pages.keys import keys_page
from reference_pages.methods import methods_page
from reference_pages.metrics import metrics_page
from reference_pages.options import options_page
from reference_pages.results import results_page

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def pages() -> dict[str, str]:
    """Return the text of every page of docs/reference."""
    return {
        "keys.md": keys_page(),
        "options.md": options_page(),
        "commands.md": commands_page(),
        "methods.md": methods_page(),
        "metrics.md": metrics_page(),
        "results.md": results_page(),
    }
