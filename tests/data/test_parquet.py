"""Parquet files: what a broken or hostile one ends in."""

from __future__ import annotations

from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow
import pytest
from pyarrow import parquet

from pytest_eac.data import parquet as reader
from pytest_eac.data.tables import read_file
from pytest_eac.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def _written(folder: Path, data: bytes) -> Path:
    file = folder / "a.parquet"
    file.write_bytes(data)
    return file


def bad_text() -> pyarrow.Array:
    return pyarrow.Array.from_buffers(
        pyarrow.string(),
        1,
        [None, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")],
    )


def twice_named() -> pyarrow.Array:
    one = pyarrow.array([1])
    return pyarrow.StructArray.from_arrays([one, one], ["a", "a"])


@pytest.mark.parametrize(
    "cell",
    [
        bad_text(),
        twice_named(),
        pyarrow.array([2**30], pyarrow.date32()),
        pyarrow.array([2**62], pyarrow.duration("s")),
        pyarrow.array([0], pyarrow.timestamp("s", tz="No/Where")),
    ],
    ids=["text", "struct", "date", "duration", "zone"],
)
def test_a_cell_that_python_cannot_hold_is_reported_with_its_row(
    cell: pyarrow.Array, tmp_path: Path
) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": cell}), file)
    with pytest.raises(DataError, match=r"a\.parquet:1: a cell cannot be read: \S"):
        list(read_file(file))


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    one = pyarrow.array(["x"])
    parquet.write_table(pyarrow.Table.from_arrays([one, one], ["a", "a"]), file)
    with pytest.raises(DataError, match=r"found the columns a, a; expected a different name"):
        list(read_file(file))


def test_a_parquet_file_with_a_changed_byte_is_rows_or_an_error(tmp_path: Path) -> None:
    file = BytesIO()
    parquet.write_table(pyarrow.table({"a": ["x"]}), file)
    data = bytearray(file.getvalue())
    data[4] ^= 0xFF  # in the header of the first page
    with pytest.raises(DataError, match=r"a\.parquet: not a parquet file that can be read: \S"):
        list(read_file(_written(tmp_path, bytes(data))))
    with pytest.raises(DataError, match=r"a\.parquet: not a parquet file: it is empty"):
        list(read_file(_written(tmp_path, b"")))


@pytest.mark.parametrize("is_list", [False, True])
def test_a_small_parquet_file_that_takes_much_memory_to_decode_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_list: bool
) -> None:
    monkeypatch.setattr(reader, "MEMORY_BYTES", 2**28)
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 64, "int32"), ["A" * 10**7])
    if is_list:  # all in one row
        column = pyarrow.ListArray.from_arrays([0, 64], column)
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": column}), file, compression="zstd", store_schema=False)
    assert file.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"takes more than 0\.25 GiB of memory to decode"):
        list(read_file(file))


def test_the_records_of_a_parquet_file_are_not_many_times_larger_than_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SMALL", 1_000_000)
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": ["same"] * 100_000}), file)
    with pytest.raises(DataError, match=r":\d+: found records of more than 1,000,000 bytes in a"):
        next(islice(read_file(file), 4_000, None))
