"""Which YAML files are specs; imports nothing, since every pytest run asks it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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
    """Return ``path`` itself if it is a file, else the specs in the folder and below it."""
    if not path.is_dir():
        return [path] if path.exists() else []
    files = (*path.rglob("*.yaml"), *path.rglob("*.yml"))
    return sorted(file for file in files if is_spec(file))
