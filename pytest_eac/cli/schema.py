"""``pytest-eac schema``: the JSON Schema of a spec, for editors."""

import argparse
import json

from pytest_eac.untrusted_text import say


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments: there are none."""


def run(_: argparse.Namespace) -> int:
    """Print the schema."""
    from pytest_eac.spec.schema.spec_file import json_schema

    say(json.dumps(json_schema(), indent=2))
    return 0
