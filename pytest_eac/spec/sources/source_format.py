"""What an entry of the registry says of a format of files with edits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_eac.spec.schema.edits import InlineEdit


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFormat:
    """A format of files with edits.

    Attributes:
        read: splits a file into records: yields the line of each, and its text.
        convert: makes an edit of a record's text; a pydantic ``ValidationError`` is reported with
            the record's place.
        about: what the format is, for the description of the key ``format``.
        names: the file's own names of an inline edit's fields, for messages.
    """

    read: Callable[[Path], Iterator[tuple[int, str]]]
    convert: Callable[[str], InlineEdit]
    about: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
