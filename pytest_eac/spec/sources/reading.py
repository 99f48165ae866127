"""Edits from data files in the public formats: CounterFact, zsRE (MEND), JSONL.

A reader yields ``(line, record)`` pairs; a converter turns a record into an inline edit. Everything
wrong with a record is one ``DataError`` that names the file, the line, the record and the field.
"""

from __future__ import annotations

import json
import random
from array import array
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, ValidationError

from pytest_eac.data.files import decoded, elements, lines, opened, require_record_size
from pytest_eac.errors import DataError
from pytest_eac.spec.registry import SOURCES, find
from pytest_eac.spec.schema.edits import EditSource, InlineEdit, InlineNeighbor, from_inline
from pytest_eac.spec.schema.settings import Strict
from pytest_eac.spec.schema.types import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pytest_eac.spec.edits import Edit
    from pytest_eac.text.spacing import Space

    _Numbered = tuple[int, tuple[int, str]]  # of a record: its number, its line and its text

LIST_BYTES = 512 * 2**20
"""How large a JSON list may be: it is in memory whole, as its text."""


class _Loose(Strict):
    """A record of somebody else's format: fields that are not used here are let pass."""

    model_config = ConfigDict(extra="ignore")


class _Label(_Loose):
    text: Text = Field(alias="str")


class _Rewrite(_Loose):
    prompt: Text
    subject: Text
    target_new: _Label
    target_true: _Label


class CounterFactRecord(_Loose):
    """A record of CounterFact (Meng et al. 2022). Neighbours share the fact's true object."""

    requested_rewrite: _Rewrite
    paraphrase_prompts: tuple[Text, ...] = ()
    neighborhood_prompts: tuple[Text, ...] = ()

    def to_inline(self) -> InlineEdit:
        """Map the fields."""
        rewrite = self.requested_rewrite
        return InlineEdit(
            subject=rewrite.subject,
            prompt=rewrite.prompt,
            target=rewrite.target_new.text,
            truth=rewrite.target_true.text,
            paraphrases=self.paraphrase_prompts,
            neighborhood=tuple(
                InlineNeighbor(prompt=prompt, answer=rewrite.target_true.text)
                for prompt in self.neighborhood_prompts
            ),
        )


class ZsreRecord(_Loose):
    """A record of zsRE as MEND split it: ``alt`` is written, ``answers[0]`` is the truth."""

    subject: Text
    src: Text
    rephrase: Text
    alt: Text
    answers: tuple[Text, ...] = Field(min_length=1)
    loc: Text
    loc_ans: Text

    def to_inline(self) -> InlineEdit:
        """Map the fields."""
        return InlineEdit(
            subject=self.subject,
            prompt=self.src,
            target=self.alt,
            truth=self.answers[0],
            paraphrases=(self.rephrase,),
            neighborhood=(InlineNeighbor(prompt=self.loc, answer=self.loc_ans),),
        )


def _counterfact(record: str) -> InlineEdit:
    return CounterFactRecord.model_validate_json(record).to_inline()


def _zsre(record: str) -> InlineEdit:
    return ZsreRecord.model_validate_json(record).to_inline()


def _read_json_list(path: Path) -> Iterator[tuple[int, str]]:
    with opened(path) as file:
        data = file.read(LIST_BYTES + 1)
    if len(data) > LIST_BYTES:
        raise DataError(
            f"{path}: found a JSON list of more than {LIST_BYTES:,} bytes, which is read whole; "
            "write one record a line and take format: jsonl"
        )
    return elements(path, decoded(path, data))


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in lines(path) if line.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How a file is split into records, and a record into an edit.

    ``names`` gives the file's own name of an inline edit's field, for messages.
    """

    read: Callable[[Path], Iterator[tuple[int, str]]]
    convert: Callable[[str], InlineEdit]
    names: dict[str, str]


_FORMATS = {
    "counterfact": _Format(read=_read_json_list, convert=_counterfact, names={}),
    "zsre": _Format(
        read=_read_json_list,
        convert=_zsre,
        names={"prompt": "src", "target": "alt", "truth": "answers", "paraphrases": "rephrase"},
    ),
    "jsonl": _Format(read=_read_lines, convert=InlineEdit.model_validate_json, names={}),
}


def _brought(name: str) -> _Format:
    """Return a format of another package: its callable yields mappings, one for each edit."""
    records_of: Any = find(SOURCES, name)

    def read(path: Path) -> Iterator[tuple[int, str]]:
        try:
            for number, record in enumerate(records_of(path), start=1):
                text = json.dumps(record)
                require_record_size(len(text), f"{path}:{number}", "record")
                yield number, text
        except (OSError, TypeError, ValueError) as error:
            raise DataError(f"{path}: source {name!r}: {error}") from error

    return _Format(read=read, convert=InlineEdit.model_validate_json, names={})


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
    form = _FORMATS.get(source.format) or _brought(source.format)
    return tuple(
        _convert(form, path, number, line, record, space=space)
        for number, (line, record) in _taken(source, form, path)
    )


def _taken(source: EditSource, form: _Format, path: Path) -> Iterable[_Numbered]:
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
    form: _Format, path: Path, number: int, line: int, record: str, *, space: Space
) -> Edit:
    try:
        return from_inline(form.convert(record), f"{path}:{line}", space=space)
    except ValidationError as error:
        names = form.names if error.title == InlineEdit.__name__ else {}
        found = "; ".join(
            _field_problem(detail, names) for detail in error.errors(include_url=False)
        )
        raise DataError(f"{path}:{line}: record {number}: {found}") from None


def _field_problem(detail: Any, names: dict[str, str]) -> str:
    field = ".".join(str(names.get(part, part)) for part in detail["loc"]) or "the record"
    if detail["type"] == "missing":
        return f"field {field} is missing"
    if detail["type"] == "extra_forbidden":
        return f"field {field} is unknown; known are {', '.join(InlineEdit.model_fields)}"
    if not detail["loc"]:  # no more of it is shown: the file may be no data at all
        return f"{field} is no JSON object: {detail['msg']}"
    found = repr(detail["input"])
    short = found if len(found) <= 60 else found[:57] + "..."
    return f"field {field}: found {short}: {detail['msg']}"
