"""Rows of a parquet file, decoded in a child process that has a bound on memory.

A file of a few kilobytes can ask for any amount: by a text that compresses well, and by an entry of
a dictionary that every row names, or every element of a list in one row. No part of the file says
beforehand how much. Nor can a broken file bring down more than the child.
"""

import json
import os
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from pytest_eac.child_processes import answer, limit_memory, started
from pytest_eac.data.files import columns, opened, require_size
from pytest_eac.errors import DataError, first_line

MEMORY_BYTES = 2**30
"""How much memory decoding may take, where the system can limit that."""
GROWTH = 50
"""How many times as large as the file its rows may be together, as JSON."""
SMALL = 64_000_000
"""How large they may be in any case, in bytes."""

_ROW_BYTES = 256  # of a record, whatever is in it
_BATCH = 64


def read_parquet(path: Path, limit: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file with their numbers, from 1.

    Cells that JSON does not have (dates, bytes, decimals) become ``[[type, text]]``, which no
    field takes for a text.

    Args:
        path: the file.
        limit: how many bytes a row may have, as JSON.

    Raises:
        DataError: the file is missing or broken, a row is larger, all of them are larger than the
            file lets expect, or decoding takes more memory than the bound.
    """
    with opened(path) as file:
        if isinstance(file, BytesIO):
            raise DataError(f"{path}: not a parquet file: it is empty")
        most = max(SMALL, GROWTH * os.fstat(file.fileno()).st_size)
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # reserves nothing
        child = started(__name__, MEMORY_BYTES, limit, stdin=file, env=environment)
        try:
            size = 0
            for number, line in enumerate(child.stdout or (), start=1):
                found = json.loads(line)
                if "error" in found:
                    raise DataError(f"{path}:{found['error']}")
                if not found:
                    return
                size += len(line) + _ROW_BYTES
                if size > most:
                    raise DataError(
                        f"{path}:{number}: found records of more than {most:,} bytes in a file of "
                        "this size; write them as .jsonl"
                    )
                yield number, found["row"]
        finally:
            child.kill()
            child.communicate()
    raise DataError(
        f"{path}: takes more than {MEMORY_BYTES / 2**30:g} GiB of memory to decode, or is broken; "
        "write it with smaller row groups, or as .jsonl"
    )


def serve(memory: int, limit: int) -> None:
    """Write the rows of the file at standard input; the child's side.

    Args:
        memory: how many bytes more than now may be taken.
        limit: how many bytes a row may have.
    """
    from pyarrow import parquet

    limit_memory(memory)
    try:
        for fields in _rows(parquet.ParquetFile(sys.stdin.buffer), limit):
            answer({"row": fields})
    except MemoryError:
        return
    except DataError as error:
        answer({"error": str(error)})
    except Exception as error:  # whatever a broken file can bring about
        answer({"error": f" not a parquet file that can be read: {first_line(error)}"})
    else:
        answer({})


def _rows(file: Any, limit: int) -> Iterator[dict[str, Any]]:
    """Yield the rows as JSON can hold them."""
    names = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise DataError(
            f" found the columns {columns(names)}; expected a different name for each column"
        )
    row = 0
    for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
        for at in range(len(batch)):
            row += 1
            text = json.dumps(_values(batch.slice(at, 1), row), ensure_ascii=False, default=_plain)
            require_size(len(text), str(row), "record", limit=limit)
            yield json.loads(text)


def _values(batch: Any, row: int) -> dict[str, Any]:
    """Return the values of the only row of a batch."""
    try:
        (fields,) = batch.to_pylist()
    except MemoryError:
        raise
    except Exception as error:  # texts that are none, dates beyond Python's, unknown time zones
        raise DataError(f"{row}: a cell cannot be read: {first_line(error)}") from None
    return dict(fields)


def _plain(value: object) -> list[list[str]]:
    return [[type(value).__name__, str(value)]]
