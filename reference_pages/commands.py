"""The helper's commands, from the parsers that read its command line."""

from __future__ import annotations

import argparse
from importlib import import_module

from pytest_eac.cli import COMMANDS
from reference_pages.tables import code, table

_INTRO = """# Commands

What `pytest-eac` can do; [the helper](../helper.md) says when. The exit code is 0 if all is well, 1
if problems were found, and 2 for wrong usage.
"""


def commands_page() -> str:
    """Return the page; a section for each command, and for each action of one that has several."""
    parts = [_INTRO]
    for name, text in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"pytest-eac {name}", description=text)
        import_module(f"pytest_eac.cli.{name}").add(parser)
        parts += _sections(parser)
    return "\n".join(parts)


def _sections(parser: argparse.ArgumentParser) -> list[str]:
    actions = [each for each in parser._actions if not isinstance(each, argparse._HelpAction)]
    inner = [each for each in actions if isinstance(each, argparse._SubParsersAction)]
    sections = [f"## {code(parser.prog)}\n", f"{parser.description or ''}\n"]
    rows = [
        (code(_written(each)), each.help or _choices(each)) for each in actions if each not in inner
    ]
    if rows:
        sections.append(table(("argument", "meaning"), rows))
    for each in inner:
        for below in each.choices.values():
            sections += _sections(below)
    return sections


def _choices(action: argparse.Action) -> str:
    return ", ".join(code(each) for each in action.choices or ())


def _written(action: argparse.Action) -> str:
    """Return an argument as one writes it."""
    value = "" if action.nargs == 0 else str(action.metavar or action.dest).upper()
    return f"{', '.join(action.option_strings)} {value}".strip()
