"""Which YAML files are specs; imports nothing heavy, since every pytest run asks it."""

import os
import re
from pathlib import Path

from pytest_eac.data.files import open_regular

PREFIX_BYTES = 2**20
"""How much of a YAML file is read to see whether it is a spec."""

_SUFFIXES = (".yaml", ".yml")
_OWN = (".eac.yaml", ".eac.yml")
_KEY = rb"""["']?eac["']?[ \t]*:(?:\s|\Z)"""
_MARK = rb"(?:\xef\xbb\xbf)?"
_OWN_LINE = re.compile(rb"(?:\A" + _MARK + rb"|[\r\n])(?:---[ \t]+)?" + _KEY)
# The possessive repeats (*+) keep the match linear in files that begin with many empty lines.
_IN_BRACES = re.compile(_MARK + rb"(?:\s|#.*\n)*+(?:---\s)?\s*+\{\s*+" + _KEY)


def is_yaml(path: Path) -> bool:
    """Return whether a path has the name of a YAML file."""
    return path.name.lower().endswith(_SUFFIXES)


def is_spec(path: Path) -> bool:
    """Return whether a YAML file is a spec: by its name, or by a top-level ``eac`` key.

    A file named ``*.eac.yaml`` is meant as a spec, whatever is in it: if it cannot be read as one,
    that is an error. In any other, the key is looked for in the first ``PREFIX_BYTES``: at the
    start of a line, or first in a mapping in braces. What is no regular file is left alone.
    """
    if path.name.lower().endswith(_OWN) and not path.name.startswith("."):
        return not path.is_dir()
    try:
        with open_regular(path) as file:
            start = file.read(PREFIX_BYTES)
    except (OSError, ValueError):
        return False
    return b"eac" in start and bool(_OWN_LINE.search(start) or _IN_BRACES.match(start))


def find_specs(path: Path) -> list[Path]:
    """Return ``path`` itself if it is a YAML file, else the specs in the folder and below it."""
    if not path.is_dir():
        return [path] if path.exists() and is_yaml(path) else []
    return sorted(file for file in path.rglob("*") if is_yaml(file) and is_spec(file))


def has_spec(path: Path) -> bool:
    """Say whether ``path`` is a spec, or a folder with one in it; stops at the first."""
    if path.is_file():
        return is_yaml(path) and is_spec(path)
    for folder, inner, files in os.walk(path):
        inner[:] = [name for name in inner if not name.startswith(".")]
        if any(is_yaml(file) and is_spec(file) for file in (Path(folder, name) for name in files)):
            return True
    return False
