"""Which YAML files are specs; imports nothing heavy, since every pytest run asks it."""

from __future__ import annotations

import os
import re
from pathlib import Path

MAX_CHARACTERS = 16 * 2**20
"""How long a spec may be; no more of a file is read to see whether it is one."""

_SUFFIXES = (".yaml", ".yml")
_OWN = (".eac.yaml", ".eac.yml")
_KEY = r"""["']?eac["']?[ \t]*:(?:\s|$)"""
# The possessive repeats (*+) keep the search linear in files that begin with many empty lines.
_SPEC = re.compile(
    rf"^\ufeff?(?:---[ \t]+)?{_KEY}"  # a line of its own, not indented
    # or the first key of a mapping in braces
    rf"|\A\ufeff?(?:\s|#.*\n)*+(?:---\s)?\s*+\{{\s*+{_KEY}",
    re.MULTILINE,
)


def is_yaml(path: Path) -> bool:
    """Return whether a path has the name of a YAML file."""
    return path.name.lower().endswith(_SUFFIXES)


def is_spec(path: Path) -> bool:
    """Return whether a YAML file is a spec: by its name, or by a top-level ``eac`` key.

    A file named ``*.eac.yaml`` is meant as a spec, whatever is in it: if it cannot be read as one,
    that is an error. Any other YAML file without the key is left alone.
    """
    if path.name.lower().endswith(_OWN) and not path.name.startswith("."):
        return not path.is_dir()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _SPEC.search(file.read(MAX_CHARACTERS)) is not None
    except OSError:
        return False


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
