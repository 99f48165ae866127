"""The edits that a spec takes from a file, by the format of the file (one a module of this folder).

Everything wrong with a record is one ``DataError`` that names the file, the line, the record and
the field.
"""

import json
import random
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as counting
from itertools import islice
from math import comb
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EditSets:
    """Sets of edits that were drawn from a file, each of ``take`` edits.

    Attributes:
        sets: the edits of each set, in their order.
        records: how many records the file has, where it has too few for sets that share none;
            ``None`` where no record is in two sets.
    """

    sets: tuple[tuple[Edit, ...], ...]
    records: int | None


def read_sets(source: EditSource, path: Path, samples: int, *, space: Space = "auto") -> EditSets:
    """Draw several sets of edits, all different, from the file that ``source`` names.

    Set k has the records from ``k * take`` on, in the order of the file or, with a seed, in a
    shuffled one: the first set is that of :func:`read_source`, and no record is in two sets. Where
    the file has too few records for that, each further set is a random draw from all of them.

    Args:
        source: format, the size of each set (``take``), and the seed.
        path: the file, already resolved.
        samples: how many sets.
        space: that of edits that say nothing about it.

    Raises:
        DataError: as :func:`read_source`, or the file has too few records for different sets.
    """
    form, size = _format(source.format), source.take or 1
    whole = source.model_copy(update={"take": samples * size})
    records: int | None = None
    try:
        found = list(_taken(whole, form, path))
    except _TooFewError as error:
        records = error.count
        _require(source, path, records)
        _require_different(path, records, samples, size)
        found = list(_taken(source.model_copy(update={"take": records}), form, path))
    order = range(len(found))
    chosen: list[Sequence[int]] = [order[k * size : (k + 1) * size] for k in range(samples)]
    if records is not None:
        chosen = _different_sets(order, samples, size, seed=source.seed or 0)
    edits = {
        at: _convert(form, path, found[at][0], *found[at][1], space=space)
        for at in sorted({at for each in chosen for at in each})
    }
    sets = tuple(tuple(edits[at] for at in each) for each in chosen)
    return EditSets(sets=sets, records=records)


def _different_sets(
    order: Sequence[int], samples: int, size: int, *, seed: int
) -> list[Sequence[int]]:
    """Return the first ``size`` places, and random draws until there are enough different sets."""
    generator = random.Random(seed)  # noqa: S311 - a reproducible draw
    found: dict[frozenset[int], Sequence[int]] = {frozenset(order[:size]): order[:size]}
    while len(found) < samples:
        drawn = generator.sample(order, size)
        found.setdefault(frozenset(drawn), drawn)
    return list(found.values())


def _require_different(path: Path, records: int, samples: int, size: int) -> None:
    if _are_enough(records, size, samples):
        return
    least = next(count for count in counting(size) if _are_enough(count, size, samples))
    raise DataError(
        f"{path}: found {records} records, too few for {samples} different sets of {size} edits "
        f"(sequence.samples: {samples}, take: {size}); expected at least {least}, and "
        f"{samples * size} for sets that share no edit: take fewer edits or fewer samples"
    )


def _are_enough(records: int, size: int, samples: int) -> bool:
    """Say whether that many different sets exist; their number may have a million digits."""
    fewer = min(size, records - size)
    return any(comb(records - fewer + k, k) >= samples for k in range(fewer + 1))


class _TooFewError(DataError):
    """A file has fewer records than are to be taken."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


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
        message = f"{path}: found {count} records, expected take: {source.take}"
        raise _TooFewError(message, count)


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
