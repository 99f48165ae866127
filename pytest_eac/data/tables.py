"""Records of a data file: TSV, CSV, JSON, JSON Lines or parquet, each with its place in the file.

Text is read a line at a time, so that a file of another kind is refused before it fills the memory.
"""

from __future__ import annotations

import csv
import json
import re
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

from pytest_eac.data.files import decoded, elements, json_kind, lines, opened, require_record_size
from pytest_eac.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

JSON_LIMIT = 64_000_000
_SHOWN = 60
_NAME = re.compile(r"\w[\w .-]{0,39}")
_COLUMNS = 20  # of a table are named in a message

Numbered = tuple[int, dict[str, Any]]


def read_file(path: Path) -> Iterator[Numbered]:
    """Yield the records of a file, each with its number: of a line, in parquet of a row, from 1.

    Args:
        path: a ``.tsv`` file (quotes are ordinary characters, as GLUE has them), ``.csv`` (quotes
            as in RFC 4180), ``.json`` (a list of objects, or ``{"data": [...]}``), ``.jsonl`` or
            ``.parquet`` file. Tables have a header.

    Raises:
        DataError: the file is missing, of another kind, or broken; names the place.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: found a {path.suffix or 'nameless'} file, expected one of "
            f"{', '.join(_READERS)}"
        )
    return reader(path)


def shown(found: object) -> str:
    """Write a value for a message, cut off where it is long."""
    text = repr(found)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def columns(names: Iterable[str]) -> str:
    """Write the names of columns for a message.

    Any file can be named as data: what does not look like a name is not shown.
    """
    told = (name if _NAME.fullmatch(name) else "(no name)" for name in islice(names, _COLUMNS + 1))
    written = list(told)
    return ", ".join([*written[:_COLUMNS], *(["..."] if len(written) > _COLUMNS else [])])


def checked(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a record of a table that was not read as text.

    Raises:
        DataError: it is larger than 1 MB, or a number in it is not finite.
    """
    try:
        size = len(json.dumps(fields, ensure_ascii=False, allow_nan=False, default=str))
    except ValueError:
        raise DataError(f"{where}: found NaN or an infinity; expected finite numbers") from None
    require_record_size(size, where, "record")
    return dict(fields)


def _tsv(path: Path) -> Iterator[Numbered]:
    rows = ((number, line.rstrip("\r\n")) for number, line in lines(path))
    return _table(path, ((number, line.split("\t")) for number, line in rows if line))


def _csv(path: Path) -> Iterator[Numbered]:
    return _table(path, _csv_rows(path))


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line for _, line in lines(path)), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{start}: not CSV: {error}; are all quotes closed?") from None


def _table(path: Path, rows: Iterable[tuple[int, list[str]]]) -> Iterator[Numbered]:
    """Yield a table's rows under its header."""
    header: list[str] = []
    for number, cells in rows:
        if not header:
            header = [cell.strip() for cell in cells]
            if "" in header or len(set(header)) < len(header):
                raise DataError(
                    f"{path}:{number}: found the header {columns(header)}; "
                    "expected a different name for each column"
                )
        elif len(cells) != len(header):
            raise DataError(
                f"{path}:{number}: found {len(cells)} cells; expected {len(header)}, one for each "
                f"column ({columns(header)})"
            )
        else:
            yield number, dict(zip(header, cells, strict=True))


def _json_lines(path: Path) -> Iterator[Numbered]:
    for number, line in lines(path):
        if line.strip():
            yield number, _object(line.rstrip("\r\n"), f"{path}:{number}")


def _json_list(path: Path) -> Iterator[Numbered]:
    with opened(path) as file:
        data = file.read(JSON_LIMIT + 1)
    if len(data) > JSON_LIMIT:
        raise DataError(
            f"{path}: found a file of more than {JSON_LIMIT // 1_000_000} MB, which .json is read "
            "whole from; write one record a line and name it .jsonl"
        )
    text = decoded(path, data)
    if not text.strip():
        return
    for number, element in elements(path, text, under="data"):
        yield number, _object(element, f"{path}:{number}")


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_number, parse_float=_number
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON as expected: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{where}: found {json_kind(text.lstrip())}; expected a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"found the key {name!r} twice; expected it once")
        fields[name] = value
    return fields


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"found {text}; expected a finite number")
    return number


def _parquet(path: Path) -> Iterator[Numbered]:
    from pytest_eac.data.parquet import read_parquet

    return read_parquet(path)


_READERS: dict[str, Callable[[Path], Iterator[Numbered]]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".json": _json_list,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
