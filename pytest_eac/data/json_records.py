"""Records of JSON lists and of JSON Lines as text, each with the line that it starts on.

A list is in memory whole, but as text alone: its records are found one at a time, and one that is
larger than any record is refused before it is built.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_eac.data.files import RECORD_BYTES, decoded, lines, opened, require_size
from pytest_eac.errors import DataError
from pytest_eac.strict_json import finite_number, unique_keys

NumberedText = tuple[int, str]


def json_lines(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[NumberedText]:
    """Yield the records of JSON Lines; empty lines are left out.

    Raises:
        DataError: as :func:`pytest_eac.data.files.lines`.
    """
    return ((number, line) for number, line in lines(path, limit=limit) if line.strip())


def json_list(
    path: Path, *, most: int, under: str | None = None, limit: int = RECORD_BYTES
) -> Iterator[NumberedText]:
    """Yield the records of a JSON list.

    Args:
        path: a file with a list, or with ``under`` also an object with the list under that key.
        most: how many bytes the file may have.
        under: the key.
        limit: how many bytes a record may have.

    Raises:
        DataError: the file cannot be read, is larger, is not UTF-8, or is no such list.
    """
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DataError(
            f"{path}: found a JSON list of more than {most:,} bytes, which is read whole; write "
            "one record a line, as JSON Lines (.jsonl)"
        )
    return elements(path, decoded(path, data), under=under, limit=limit)


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Return the fields of a record.

    Raises:
        DataError: it is no JSON object, has a key twice, or a number that is not finite.
    """
    try:
        found = json.loads(
            text,
            object_pairs_hook=unique_keys,
            parse_constant=finite_number,
            parse_float=finite_number,
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON as expected: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{where}: found {json_kind(text.lstrip())}; expected a JSON object")
    return found


def elements(
    path: Path, text: str, *, under: str | None = None, limit: int = RECORD_BYTES
) -> Iterator[NumberedText]:
    """Yield the elements of a JSON list as text, each with the line it starts on.

    Args:
        path: the file, for messages.
        text: its content: a list, or with ``under`` also an object with the list under that key.
        under: the key.
        limit: how many characters an element may have.

    Raises:
        DataError: the text is neither, or an element is longer.
    """
    at = _skip_blank(text, 0)
    wrapped = under is not None and text[at : at + 1] == "{"
    if under is not None and wrapped:
        at = _value_under(path, text, at, under)
    if text[at : at + 1] != "[":
        found = json_kind(text[at : at + 1])
        raise DataError(f"{path}:1: found {found}, expected a JSON list of records")
    at = _skip_blank(text, at + 1)
    line, counted = 1, 0
    ends = _Ends(text, limit)
    while text[at : at + 1] not in {"]", ""}:
        line, counted = line + text.count("\n", counted, at), at
        try:
            end = ends.end(at)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{getattr(error, 'lineno', line)}: not JSON: {error}") from None
        require_size(end - at, f"{path}:{line}", "record", limit=limit)
        yield line, text[at:end]
        at = _skip_blank(text, end)
        if text[at : at + 1] == ",":
            at = _skip_blank(text, at + 1)
        elif text[at : at + 1] != "]":
            break
    if not wrapped:
        _check_end(path, text, at)


class _Ends:
    """Finds where elements of a JSON list end, and builds no more of one than twice the limit."""

    def __init__(self, text: str, limit: int) -> None:
        self._text = text
        self._limit = limit
        self._decoder = json.JSONDecoder()
        self._start, self._part = 0, ""  # what is decoded from, and where it begins

    def end(self, at: int) -> int:
        """Return where the element that starts at ``at`` ends; where it is too long, before that.

        Raises:
            ValueError: it is not JSON.
            RecursionError: it is nested too deeply.
        """
        if self._start + len(self._part) < min(at + self._limit + 1, len(self._text)):
            self._start, self._part = at, self._text[at : at + 2 * self._limit]
        try:
            return self._start + self._decoder.raw_decode(self._part, at - self._start)[1]
        except json.JSONDecodeError as error:
            stop = self._start + len(self._part)
            is_cut_off = (
                error.pos > len(self._part) - _LONGEST_ESCAPE or "Unterminated" in error.msg
            )
            if is_cut_off and stop < len(self._text):
                return stop
            raise json.JSONDecodeError(error.msg, self._text, self._start + error.pos) from None


_LONGEST_ESCAPE = len(r"\ud83d\ude00")


def json_kind(text: str) -> str:
    """Name what a text begins with; its content is not shown: the file may be no data at all."""
    kinds = {"": "nothing", "{": "an object", "[": "a list", '"': "a text"}
    first = text[:1]
    return kinds.get(first, "a number" if first.isdecimal() else "something else")


def _value_under(path: Path, text: str, at: int, key: str) -> int:
    """Return where the value under a key begins; the whole text is checked to be JSON."""
    decoder = json.JSONDecoder()
    try:
        if key not in json.loads(text):
            raise DataError(f"{path}:1: found an object without {key!r}, expected a list under it")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:{getattr(error, 'lineno', 1)}: not JSON: {error}") from None
    name = None
    while name != key:
        name, at = decoder.raw_decode(text, _skip_blank(text, at + 1))
        at = _skip_blank(text, _skip_blank(text, at) + 1)
        if name != key:
            at = _skip_blank(text, decoder.raw_decode(text, at)[1])
    return at


def _check_end(path: Path, text: str, at: int) -> None:
    at_end = _skip_blank(text, at + 1)
    if text[at : at + 1] not in {"]", ""}:
        here = text.count("\n", 0, at) + 1
        raise DataError(f"{path}:{here}: not JSON: expected ',' or ']' after a record")
    if text[at_end:]:
        here = text.count("\n", 0, at_end) + 1
        raise DataError(f"{path}:{here}: found more text after the list, expected its end")
    if text[at : at + 1] != "]":
        last = text.count("\n") + 1
        raise DataError(f"{path}:{last}: the list of records is not closed; is the file cut off?")


_BLANK = re.compile(r"[ \t\r\n]*+")


def _skip_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at
