"""What an entry of the registry says of a format of files with edits, and what formats share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict

from pytest_eac.data import json_records
from pytest_eac.spec.schema.edits import InlineEdit
from pytest_eac.spec.types import Strict

LIST_BYTES = 512 * 2**20
"""How large a JSON list may be: it is in memory whole, as its text."""


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


def json_list(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the records of a JSON list, each with the line that it starts on.

    Raises:
        DataError: the file cannot be read, is too large, or is no JSON list.
    """
    return json_records.json_list(path, most=LIST_BYTES)


class SourceRecord(Strict):
    """A record of somebody else's format: fields that are not used here are ignored."""

    model_config = ConfigDict(extra="ignore")
