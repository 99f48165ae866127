"""Files that tests write and change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(path: Path, text: str) -> Path:
    """Write a file, and its folder if that is not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_all(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files, by name, into a new folder."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def set_keys(path: Path, **values: object) -> None:
    """Set keys of a JSON object; a file that is not there is an empty one."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(found | values), encoding="utf-8")
