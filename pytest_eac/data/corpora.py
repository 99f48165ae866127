"""Texts to measure statistics on: the built-in corpus, a file, or a data set of the hub."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac.data.files import NotUtf8Error, opened, require_utf8_start
from pytest_eac.data.hub import fetch_data_set
from pytest_eac.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


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
    """Find a corpus.

    Args:
        source: ``built-in``, a file, or ``hub:NAME[:CONFIG]``.
        column: the column of a table that holds the text.
        offline: fetch nothing.

    Raises:
        UnavailableError: a hub data set is not on this machine and cannot be fetched.
        DataError: a file is missing, or is none of .txt, .jsonl, .json and .parquet.
    """
    if source == "built-in":
        text = (resources.files("pytest_eac.data") / "corpus.txt").read_text(encoding="utf-8")
        paragraphs = text.split("\n\n")
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Corpus(name="built-in", digest=digest, texts=lambda: iter(paragraphs))
    if source.startswith("hub:"):
        return _open_hub(source.removeprefix("hub:"), column, offline=offline)
    return _open_file(Path(source), column)


_PATTERN = re.compile(r"[*?\[\]{}]|::")
_BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


def _open_file(path: Path, column: str) -> Corpus:
    builder = _builder(path)
    digest = _digest(path)
    if builder != "parquet":
        try:
            with opened(path) as file:
                require_utf8_start(file.read(4))
        except NotUtf8Error as error:
            raise DataError(f"{path}: {error}") from None

    def require_unchanged() -> None:
        if _digest(path) != digest:
            raise DataError(f"{path}: was changed while it was read; run again")

    more = {"sample_by": "paragraph", "encoding": "utf-8-sig"} if builder == "text" else {}
    if builder == "text":
        column = "text"

    def texts() -> Iterator[str]:
        import datasets

        def table() -> Iterable[dict[str, object]]:
            found: Iterable[dict[str, object]] = datasets.load_dataset(
                builder, data_files=str(path), split="train", streaming=True, **more
            )
            return found

        yield from _column(table, column, str(path))

    return Corpus(
        name=str(path),
        digest=f"{digest}:{column}",
        texts=texts,
        require_unchanged=require_unchanged,
    )


def _builder(path: Path) -> str:
    """Return how datasets calls a kind of file, which reads by the same path as we do."""
    builder = _BUILDERS.get(path.suffix.lower())
    if builder is None:
        raise DataError(
            f"{path}: found a {path.suffix or 'nameless'} file, expected one of "
            f"{', '.join(_BUILDERS)}"
        )
    if _PATTERN.search(str(path)):
        raise DataError(
            f"{path}: found one of *?[]{{}}:: in the path, which may name other files; expected "
            "a path without them"
        )
    return builder


def _digest(path: Path) -> str:
    with opened(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not file.tell():  # files of /proc appear to be empty
            raise DataError(f"{path}: is empty; expected text")
    return digest


def _open_hub(name: str, column: str, *, offline: bool) -> Corpus:
    """Open ``OWNER/NAME`` or ``OWNER/NAME:CONFIG``; the whole train split is fetched."""
    import datasets

    identity, _, config = name.partition(":")
    folder = fetch_data_set(identity, offline=offline)
    try:
        table = datasets.load_dataset(folder, config or None, split="train")
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        first = str(error).strip().partition("\n")[0]
        raise DataError(f"data set {name!r}: {first}") from error
    return Corpus(
        name=f"hub:{name}",
        digest=f"{Path(folder).name}:{config}:{column}",
        texts=lambda: _column(lambda: table, column, name),
    )


def _column(
    table: Callable[[], Iterable[dict[str, object]]], column: str, name: str
) -> Iterator[str]:
    """Open a table and yield a column's texts, empty cells left out."""
    import datasets
    import pyarrow

    try:
        for row in table():
            if column not in row:
                found = ", ".join(row)
                raise DataError(f"{name}: found the columns {found}, expected {column!r}")
            if row[column] is not None:
                yield str(row[column])
    except (pyarrow.ArrowException, ValueError, datasets.exceptions.DatasetsError) as error:
        first = str(error).strip().partition("\n")[0]
        raise DataError(f"{name}: cannot be read: {first}") from error
