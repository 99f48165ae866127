"""Which YAML files are specs; imports nothing, since every pytest run asks it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_SUFFIXES = (".yaml", ".yml")
_KEY = r"""["']?eac["']?[ \t]*:(?:\s|$)"""
_SPEC = re.compile(
    rf"^\ufeff?(?:---[ \t]+)?{_KEY}"  # a line of its own, not indented
    rf"|\A\ufeff?(?:\s|#.*\n)*(?:---\s)?\s*\{{\s*{_KEY}",  # the first key of a mapping in braces
    re.MULTILINE,
)


def is_spec(path: Path) -> bool:
    """Say whether a YAML file has a top-level ``eac`` key; other files are left alone."""
    try:
        return _SPEC.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def find_specs(path: Path) -> list[Path]:
    """Return ``path`` itself if it is a YAML file, else the specs in the folder and below it."""
    if not path.is_dir():
        return [path] if path.exists() and path.suffix in _SUFFIXES else []
    files = (*path.rglob("*.yaml"), *path.rglob("*.yml"))
    return sorted(file for file in files if is_spec(file))


def has_spec(path: Path) -> bool:
    """Say whether ``path`` is a spec, or a folder with one in it; stops at the first."""
    if path.is_file():
        return path.suffix in _SUFFIXES and is_spec(path)
    for folder, inner, files in os.walk(path):
        inner[:] = [name for name in inner if not name.startswith(".")]
        yaml = (Path(folder, name) for name in files if name.endswith(_SUFFIXES))
        if any(is_spec(file) for file in yaml):
            return True
    return False
