"""Items of the abilities' data sets: where they come from, and how their fields are read."""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pytest_eac.data.files import columns
from pytest_eac.data.hub_datasets import read_hub
from pytest_eac.data.tables import read_file, require_text
from pytest_eac.errors import DataError
from pytest_eac.spec.nearest_name import closest, nearest
from pytest_eac.spec.schema.abilities import AbilityBounds
from pytest_eac.strict_json import shown

Item = TypeVar("Item")

CONTEXTS = 64_000_000
"""How long the contexts of a nested record may be, repeated for each question."""

_HUB = "hub:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A record of a data set.

    Attributes:
        fields: its fields by name.
        origin: ``file:line``, for parquet and hub data sets the row; counted from 1.
    """

    fields: Mapping[str, Any]
    origin: str


def load_rows(
    source: str | None, *, task: str, revision: str | None = None, offline: bool = False
) -> list[Row]:
    """Read a data set.

    The original files of SQuAD and ARC, which nest, are given the flat form that they have on the
    hub: one row for each question that has an answer.

    Args:
        source: ``None`` for the set of the task that the package brings, a ``.tsv``, ``.csv``,
            ``.json``, ``.jsonl`` or ``.parquet`` file, or ``hub:ID[/CONFIG][@SPLIT]``.
        task: name of the package's own set.
        revision: of a hub data set; branch, tag or commit.
        offline: take hub data sets from the local cache only.

    Raises:
        DataError: the data is missing or broken; names the place.
        UnavailableError: a hub data set is not on this machine; names the command that brings it.
    """
    if source is None:
        with resources.as_file(_own(task)) as path:
            return _rows(str(path), read_file(path))
    if source.startswith(_HUB):
        name = source.removeprefix(_HUB)
        return _rows(source, read_hub(name, revision=revision, offline=offline))
    return _rows(source, read_file(Path(source)))


def take_items(
    items: Sequence[Item], bounds: AbilityBounds, where: str, within: str = ""
) -> Sequence[Item]:
    """Return the items that a spec's ``take`` and ``seed`` choose; all by default.

    Raises:
        DataError: there are fewer than that, in ``where``; ``within`` says which items are meant.
    """
    if bounds.take is None:
        return items
    if bounds.take > len(items):
        raise DataError(f"{where}: found {len(items)} items{within}, expected take: {bounds.take}")
    if bounds.seed is None:
        return items[: bounds.take]
    return random.Random(bounds.seed).sample(items, bounds.take)  # noqa: S311 - a reproducible draw


def digest(rows: Iterable[Row]) -> str:
    """Return the SHA-256 of the rows' content, wherever they come from."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(json.dumps(dict(row.fields), sort_keys=True, default=str).encode() + b"\n")
    return sha.hexdigest()


def text(row: Row, *names: str) -> str:
    """Return a text: the field with the first of the names that is there.

    Raises:
        DataError: there is none, or it is no text, or empty.
    """
    name, found = _field(row, names)
    return _text(found, f"{row.origin}: {name}")


def texts(row: Row, *names: str) -> tuple[str, ...]:
    """Return a list of texts, from a list, one text, or SQuAD's ``{"text": [...]}``.

    Raises:
        DataError: there is none, or it holds something else than texts, or an empty one.
    """
    name, found = _field(row, names)
    where = f"{row.origin}: {name}"
    if isinstance(found, Mapping) and "text" in found:
        found, where = found["text"], f"{where}.text"
    if isinstance(found, str):
        return (_text(found, where),)
    if not isinstance(found, list) or not found:
        raise DataError(f"{where}: found {shown(found)}; expected a text or a list of texts")
    return tuple(_text(each, f"{where}[{at}]") for at, each in enumerate(found))


def label(row: Row, known: Mapping[str, int]) -> int:
    """Return the field ``label``, written as its number or its name.

    Args:
        row: the row.
        known: the number of each name, in lower case.

    Raises:
        DataError: there is none, or it is not known.
    """
    name, found = _field(row, ("label",))
    written = found.strip().lower() if isinstance(found, str) else found
    spelled = {**{str(number): number for number in known.values()}, **known}
    if isinstance(written, str) and written in spelled:
        return spelled[written]
    if isinstance(written, int) and not isinstance(written, bool) and written in known.values():
        return written
    raise DataError(
        f"{row.origin}: {name}: found the label {shown(found)}; expected one of "
        f"{', '.join(f'{each} ({number})' for each, number in known.items())}"
        f"{nearest(str(written), known)}"
    )


def _own(task: str) -> Any:
    folder = resources.files("pytest_eac.abilities") / "data"
    there = sorted(
        file.name.removesuffix(".jsonl")
        for file in folder.iterdir()
        if file.name.endswith(".jsonl")
    )
    if task not in there:
        raise DataError(f"found no data set {task!r} in the package{closest(task, there)}")
    return folder / f"{task}.jsonl"


def _rows(source: str, records: Iterable[tuple[int, dict[str, Any]]]) -> list[Row]:
    rows = [
        Row(fields=flat, origin=f"{source}:{number}")
        for number, fields in records
        for flat in _flat(_finite(fields, f"{source}:{number}"), f"{source}:{number}")
    ]
    if not rows:
        raise DataError(f"{source}: no records in it; expected at least one")
    return rows


def _finite(fields: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a record, which may come from a table that can hold any number."""
    try:
        json.dumps(fields, allow_nan=False, default=str)
    except ValueError:
        raise DataError(f"{where}: found NaN or an infinity; expected finite numbers") from None
    return fields


def _flat(fields: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """Bring a record of SQuAD's or ARC's original files into the form of the hub's."""
    try:
        if "paragraphs" in fields:
            size = 0
            for paragraph in fields["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = [answer["text"] for answer in asked["answers"]]
                    if answers:
                        size += len(paragraph["context"])
                        if size > CONTEXTS:
                            raise DataError(
                                f"{where}: found contexts of more than {CONTEXTS:,} characters, "
                                "each counted once for each of its questions; ask fewer questions "
                                "about one context"
                            )
                        yield {
                            "context": paragraph["context"],
                            "question": asked["question"],
                            "answers": {"text": answers},
                        }
        elif isinstance(fields.get("question"), dict):
            question = fields["question"]
            choices = {
                key: [choice[key] for choice in question["choices"]] for key in ("text", "label")
            }
            yield {**fields, "question": question["stem"], "choices": choices}
        else:
            yield fields
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{where}: found a nested record; expected the format of SQuAD (paragraphs, qas, "
            f"answers) or ARC (question with stem and choices): {error!r}"
        ) from None


def _field(row: Row, names: Sequence[str]) -> tuple[str, Any]:
    for name in names:
        if row.fields.get(name) is not None:
            return name, row.fields[name]
    wanted = " or ".join(map(repr, names))
    for name in names:
        if name in row.fields:
            raise DataError(f"{row.origin}: {name}: found nothing in it; expected a value")
    near = next(filter(None, (nearest(name, row.fields) for name in names)), "")
    raise DataError(
        f"{row.origin}: found the columns {columns(row.fields)}; expected {wanted}{near}"
    )


def _text(found: object, where: str) -> str:
    if not require_text(found, where).strip():
        raise DataError(f"{where}: found an empty text; expected some words")
    return str(found)
