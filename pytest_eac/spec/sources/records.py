"""Records of data files as other people publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict

from pytest_eac.data import json_records
from pytest_eac.spec.types import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST_BYTES = 512 * 2**20
"""How large a JSON list may be: it is in memory whole, as its text."""


class SourceRecord(Strict):
    """A record of somebody else's format: fields that are not used here are ignored."""

    model_config = ConfigDict(extra="ignore")


def json_list(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the records of a JSON list, each with the line that it starts on.

    Raises:
        DataError: the file cannot be read, is too large, or is no JSON list.
    """
    return json_records.json_list(path, most=LIST_BYTES)
