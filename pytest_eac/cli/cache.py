"""``pytest-eac cache``: what is kept from run to run, shown or removed."""

import argparse
from pathlib import Path

from pytest_eac.cache.kinds import KINDS, cache_lines, clear
from pytest_eac.store import default_cache_dir
from pytest_eac.untrusted_text import say_each


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="say what is kept, and where")
    empty = actions.add_parser("clear", help="remove it; other runs make what they need again")
    empty.add_argument(
        "kinds", nargs="*", type=_kind, metavar="KIND", help=f"{', '.join(KINDS)} (default: all)"
    )
    for action in (info, empty):
        action.add_argument("--cache-dir", type=Path, metavar="DIR", help="the cache folder")


def run(chosen: argparse.Namespace) -> int:
    """Say what is kept, or what was removed."""
    root = chosen.cache_dir or default_cache_dir()
    lines = cache_lines(root)
    if chosen.action == "clear":
        wanted = dict.fromkeys(chosen.kinds or KINDS)
        lines = [f"{root}", *(f"  {kind}: {clear(root, kind)} removed" for kind in wanted)]
    say_each(lines)
    return 0


def _kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {', '.join(KINDS)}")
    return text
