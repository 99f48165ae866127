"""Texts to measure statistics on: the built-in corpus, a file, or a data set of the hub."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pytest_eac.data.files import columns, file_sha256, opened
from pytest_eac.data.hub_datasets import fetch_data_set, read_data_set
from pytest_eac.data.tables import TEXT_COLUMN, Rows, reader_of, require_text
from pytest_eac.errors import DataError

TEXT_BYTES = 64_000_000
"""How large a text may be, with the other columns of its row: a book is a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Texts, with a digest that identifies them.

    ``require_unchanged`` raises a ``DataError`` if what is read is no longer what ``digest`` is of.
    """

    name: str
    digest: str
    texts: Callable[[], Iterator[str]]
    require_unchanged: Callable[[], None] = lambda: None


def open_corpus(source: str, column: str, *, offline: bool = False) -> Corpus:
    """Find a corpus; what is wrong with its rows is reported when its texts are read.

    Args:
        source: ``built-in``, a file that :func:`pytest_eac.data.tables.read_file` reads, or
            ``hub:NAME[:CONFIG]``.
        column: the column of a table that holds the text.
        offline: fetch nothing.

    Raises:
        UnavailableError: a hub data set is not on this machine and cannot be fetched.
        DataError: a file is missing, empty, or of another kind.
    """
    if source == "built-in":
        text = (resources.files("pytest_eac.data") / "corpus.txt").read_text(encoding="utf-8")
        paragraphs = text.split("\n\n")
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Corpus(name="built-in", digest=digest, texts=lambda: iter(paragraphs))
    if source.startswith("hub:"):
        return _open_hub(source.removeprefix("hub:"), column, offline=offline)
    return _open_file(Path(source), column)


def _open_file(path: Path, column: str) -> Corpus:
    read = reader_of(path)
    digest = _digest(path)
    if path.suffix.lower() == ".txt":
        column = TEXT_COLUMN

    def require_unchanged() -> None:
        if _digest(path) != digest:
            raise DataError(f"{path}: was changed while it was read; run again")

    return Corpus(
        name=str(path),
        digest=f"{digest}:{column}",
        texts=lambda: _column(read(path, TEXT_BYTES), column, str(path)),
        require_unchanged=require_unchanged,
    )


def _digest(path: Path) -> str:
    with opened(path) as file:
        if not file.read(1):  # files of /proc appear to be empty
            raise DataError(f"{path}: is empty; expected text")
        return file_sha256(path)


def _open_hub(name: str, column: str, *, offline: bool) -> Corpus:
    """Open ``OWNER/NAME`` or ``OWNER/NAME:CONFIG``; the whole train split is fetched."""
    identity, _, config = name.partition(":")
    folder = fetch_data_set(identity, offline=offline)

    def texts() -> Iterator[str]:
        rows = read_data_set(folder, name, config=config, split="train", limit=TEXT_BYTES)
        return _column(rows, column, f"hub:{name}")

    return Corpus(name=f"hub:{name}", digest=f"{Path(folder).name}:{config}:{column}", texts=texts)


def _column(rows: Rows, column: str, where: str) -> Iterator[str]:
    """Yield the texts of a column; rows that lack it, or have nothing in it, are left out."""
    is_there, others = False, ""
    for number, row in rows:
        is_there |= column in row
        others = others or columns(row)
        if row.get(column) is not None:
            yield require_text(row[column], f"{where}:{number}: {column}")
    if others and not is_there:
        raise DataError(f"{where}: found the columns {others}, expected {column!r}")
