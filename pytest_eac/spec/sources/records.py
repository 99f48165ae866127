"""What formats of edit files share: records of others' formats, and JSON lists of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict

from pytest_eac.data.files import decoded, elements, opened
from pytest_eac.errors import DataError
from pytest_eac.spec.schema.types import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST_BYTES = 512 * 2**20
"""How large a JSON list may be: its text is read whole."""


class Record(Strict):
    """A record of somebody else's format: fields that are not used here are let pass."""

    model_config = ConfigDict(extra="ignore")


def json_list(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the records of a JSON list, each with its line.

    Raises:
        DataError: the file is too large, or no JSON list.
    """
    with opened(path) as file:
        data = file.read(LIST_BYTES + 1)
    if len(data) > LIST_BYTES:
        raise DataError(
            f"{path}: found a JSON list of more than {LIST_BYTES:,} bytes, which is read whole; "
            "write one record a line and take format: jsonl"
        )
    return elements(path, decoded(path, data))
