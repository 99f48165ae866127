"""Tables of all kinds: TSV, CSV, JSON, JSON Lines, parquet, plain text; each row with its place.

Text is read a line at a time, so that a file of another kind is refused before it fills the memory.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_eac.data.files import RECORD_BYTES, columns, lines, require_size
from pytest_eac.data.json_records import json_lines, json_list, parse_object
from pytest_eac.data.parquet import read_parquet
from pytest_eac.errors import DataError
from pytest_eac.strict_json import shown

Rows = Iterator[tuple[int, dict[str, Any]]]

JSON_BYTES = 64_000_000
"""How large a ``.json`` file may be, which is read whole."""
TEXT_COLUMN = "text"
"""The column of a ``.txt`` file, whose rows are its paragraphs."""


def read_file(path: Path, *, limit: int = RECORD_BYTES) -> Rows:
    """Yield the rows of a file, each with its number: of a line, in parquet of a row, from 1.

    Args:
        path: a ``.tsv`` file (quotes are ordinary characters, as GLUE has them), ``.csv`` (quotes
            as in RFC 4180), ``.json`` (a list of objects, or ``{"data": [...]}``), ``.jsonl``,
            ``.parquet`` or ``.txt`` file (paragraphs, between empty lines). Tables have a header.
        limit: how many bytes a row may have.

    Raises:
        DataError: the file is missing, of another kind, or broken; names the place.
    """
    return reader_of(path)(path, limit)


def reader_of(path: Path) -> Callable[[Path, int], Rows]:
    """Return what reads files of this kind; its arguments are those of :func:`read_file`.

    Raises:
        DataError: there is no reader of such files.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: found a {path.suffix or 'nameless'} file, expected one of "
            f"{', '.join(_READERS)}"
        )
    return reader


def require_text(found: object, where: str) -> str:
    """Return a cell that is to hold a text.

    Raises:
        DataError: it holds something else, or a text that no encoding can write.
    """
    if not isinstance(found, str):
        raise DataError(f"{where}: found {shown(found)}; expected a text")
    if not found.isascii() and any("\ud800" <= character <= "\udfff" for character in found):
        raise DataError(f"{where}: found half a surrogate pair in {shown(found)}; expected text")
    return found


def _tsv(path: Path, limit: int) -> Rows:
    rows = ((number, line.rstrip("\r\n")) for number, line in lines(path, limit=limit))
    return _table(path, ((number, line.split("\t")) for number, line in rows if line))


def _csv(path: Path, limit: int) -> Rows:
    return _table(path, _csv_rows(path, limit))


def _csv_rows(path: Path, limit: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line for _, line in lines(path, limit=limit)), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{start}: not CSV: {error}; are all quotes closed?") from None


def _table(path: Path, rows: Iterable[tuple[int, list[str]]]) -> Rows:
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


def _jsonl(path: Path, limit: int) -> Rows:
    for number, line in json_lines(path, limit=limit):
        yield number, parse_object(line.rstrip("\r\n"), f"{path}:{number}")


def _json(path: Path, limit: int) -> Rows:
    for number, text in json_list(path, most=JSON_BYTES, under="data", limit=limit):
        yield number, parse_object(text, f"{path}:{number}")


def _paragraphs(path: Path, limit: int) -> Rows:
    """Yield what two line feeds part, and the number of its first line."""
    paragraph, start, size = "", 1, 0
    for number, line in lines(path, limit=limit):
        if paragraph and line in {"\n", "\r\n"}:
            if text := paragraph.removesuffix("\n"):
                yield start, {TEXT_COLUMN: text}
            paragraph, size = "", 0
            continue
        start = start if paragraph else number
        size += len(line)
        require_size(size, f"{path}:{start}", "paragraph", limit=limit)
        paragraph += line.replace("\r\n", "\n")
    if paragraph:
        yield start, {TEXT_COLUMN: paragraph}


_READERS: dict[str, Callable[[Path, int], Rows]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _jsonl,
    ".parquet": read_parquet,
    ".txt": _paragraphs,
}
