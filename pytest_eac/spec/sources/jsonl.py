"""Inline edits, one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.data.files import lines
from pytest_eac.spec.entries import SourceFormat
from pytest_eac.spec.schema.edits import InlineEdit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, each with its number."""
    return ((number, line) for number, line in lines(path) if line.strip())


FORMAT = SourceFormat(
    about="one edit per line, with the keys of an inline edit",
    read=read,
    convert=InlineEdit.model_validate_json,
)
