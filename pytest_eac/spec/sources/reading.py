"""The edits that a spec takes from a file, by the format of the file (one a module of this folder).

Everything wrong with a record is one ``DataError`` that names the file, the line, the record and
the field.
"""

import json
import random
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_eac.data.files import require_size
from pytest_eac.errors import DataError
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.registry import SOURCES, find
from pytest_eac.spec.schema.edits import EditSource, InlineEdit, from_inline
from pytest_eac.spec.sources.source_format import SourceFormat
from pytest_eac.strict_json import shown
from pytest_eac.text.spacing import Space

_Numbered = tuple[int, tuple[int, str]]  # of a record: its number, its line and its text


def _format(name: str) -> SourceFormat:
    """Return a format; that of another package may be a callable that yields a mapping per edit."""
    found: Any = find(SOURCES, name)
    if isinstance(found, SourceFormat):
        return found

    def read(path: Path) -> Iterator[tuple[int, str]]:
        try:
            for number, record in enumerate(found(path), start=1):
                text = json.dumps(record)
                require_size(len(text), f"{path}:{number}", "record")
                yield number, text
        except (OSError, TypeError, ValueError) as error:
            raise DataError(f"{path}: source {name!r}: {error}") from error

    return SourceFormat(read=read, convert=InlineEdit.model_validate_json)


def read_source(source: EditSource, path: Path, *, space: Space = "auto") -> tuple[Edit, ...]:
    """Read the edits that ``source`` names.

    Args:
        source: format, how many edits to take, and the seed of the draw.
        path: the file, already resolved.
        space: that of edits that say nothing about it.

    Raises:
        DataError: the file is missing or unreadable, a record that is used is malformed, or there
            are fewer records than ``take`` asks for.
    """
    form = _format(source.format)
    return tuple(
        _convert(form, path, number, line, record, space=space)
        for number, (line, record) in _taken(source, form, path)
    )


def _taken(source: EditSource, form: SourceFormat, path: Path) -> Iterable[_Numbered]:
    """Return the records that are used, numbered from 1; no others are held in memory.

    Without a draw, none behind the last one is read. A draw reads twice: to count the records, and
    to take those of the chosen numbers.
    """
    if source.seed is None:
        found = list(islice(enumerate(form.read(path), start=1), source.take))
        _require(source, path, len(found))
        return found
    count = sum(1 for _ in form.read(path))
    _require(source, path, count)
    order = array("L", range(1, count + 1))
    random.Random(source.seed).shuffle(order)  # noqa: S311 - a reproducible draw
    chosen = order[: source.take]
    wanted = set(chosen)
    numbered = enumerate(form.read(path), start=1)
    drawn = {number: (number, each) for number, each in numbered if number in wanted}
    if len(drawn) < len(chosen):
        raise DataError(f"{path}: has changed while it was read; run again")
    return [drawn[number] for number in chosen]


def _require(source: EditSource, path: Path, count: int) -> None:
    if not count:
        raise DataError(f"{path}: no records in it; expected at least one")
    if source.take is not None and source.take > count:
        raise DataError(f"{path}: found {count} records, expected take: {source.take}")


def _convert(
    form: SourceFormat, path: Path, number: int, line: int, record: str, *, space: Space
) -> Edit:
    try:
        return from_inline(form.convert(record), f"{path}:{line}", space=space)
    except ValidationError as error:
        names = form.names if error.title == InlineEdit.__name__ else {}
        found = "; ".join(
            _field_problem(detail, names) for detail in error.errors(include_url=False)
        )
        raise DataError(f"{path}:{line}: record {number}: {found}") from None


def _field_problem(detail: Any, names: Mapping[str, str]) -> str:
    field = ".".join(str(names.get(part, part)) for part in detail["loc"]) or "the record"
    if detail["type"] == "missing":
        return f"field {field} is missing"
    if detail["type"] == "extra_forbidden":
        return f"field {field} is unknown; known are {', '.join(InlineEdit.model_fields)}"
    if not detail["loc"]:  # no more of it is shown: the file may be no data at all
        return f"{field} is no JSON object: {detail['msg']}"
    return f"field {field}: found {shown(detail['input'])}: {detail['msg']}"
