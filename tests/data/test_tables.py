"""Tables of all kinds: their rows with their places, and what is wrong with a broken one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow
import pytest
from pyarrow import parquet

from pytest_eac.data.tables import read_file
from pytest_eac.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def _read(folder: Path, name: str, content: bytes | str) -> list[tuple[int, dict[str, Any]]]:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_file(file))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_tsv_is_read_with_literal_quotes_any_line_end_and_byte_order_mark(
    tmp_path: Path, end: str, mark: str
) -> None:
    lines = ["index\tsentence1", '0\t"Half a quote', "", "1\tTwo", ""]
    assert _read(tmp_path, "a.tsv", mark + end.join(lines)) == [
        (2, {"index": "0", "sentence1": '"Half a quote'}),
        (4, {"index": "1", "sentence1": "Two"}),
    ]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.json", "a.txt"])
def test_a_file_in_another_unicode_encoding_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"found UTF-16, expected UTF-8; save the file as UTF-8"):
        _read(tmp_path, name, "a\tb\n1\t2\n".encode("utf-16"))


def test_a_csv_is_read_with_its_quotes_and_counts_lines_of_the_file(tmp_path: Path) -> None:
    rows = _read(tmp_path, "a.csv", 'a,b\n"x, ""y""\nz",1\nw,2\n')
    assert [(number, row["a"]) for number, row in rows] == [(2, 'x, "y"\nz'), (4, "w")]


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.json", '[{"a": "x"},\n {"a": "y"}]', [1, 2]),
        ("a.json", '{"v": [1],\n "data": [{"a": "x"},\n{"a": "y"}], "w": 0}', [2, 3]),
        ("a.jsonl", '{"a": "x"}\n\n{"a": "y"}', [1, 3]),
    ],
)
def test_json_is_read_as_a_list_under_data_or_by_lines(
    tmp_path: Path, name: str, content: str, lines: list[int]
) -> None:
    rows = _read(tmp_path, name, content)
    assert rows == [(line, {"a": text}) for line, text in zip(lines, "xy", strict=True)]


def test_parquet_is_read_by_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"q": ["x", "y"], "a": [["1"], ["2", "3"]]}), file)
    assert list(read_file(file)) == [(1, {"q": "x", "a": ["1"]}), (2, {"q": "y", "a": ["2", "3"]})]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("text", ["", "a", "a\n", "a\nb\n\nc\n", "\n\na\n\n\nb\n\n\n\n\nc"])
def test_the_rows_of_a_text_are_what_two_line_feeds_part(
    tmp_path: Path, text: str, end: str
) -> None:
    rows = _read(tmp_path, "a.txt", text.replace("\n", end))
    assert [row["text"] for _, row in rows] == [each for each in text.split("\n\n") if each]
    lines = text.split("\n")
    assert all(row["text"].startswith(lines[number - 1]) for number, row in rows)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", "a\ta\n", ":1: found the header"),
        ("a.tsv", "a\tb\nx\n", r":2: found 1 cells; expected 2.*\(a, b\)"),
        ("a.csv", 'a,b\n"x,1\n', ":2: not CSV"),
        ("a.tsv", b"a\tb\nx\t\xff\n", r":2: not UTF-8 \(byte 6\)"),
        ("a.txt", b"a\n\nb\n\xff\n", r":4: not UTF-8 \(byte 5\)"),
        ("a.json", b'[{"a": "\xff"}]', r": not UTF-8 \(byte 8\)"),
        ("a.json", '[{"a": "x"}', ":1: the list of records is not closed"),
        ("a.jsonl", '{"a": 1}\n[1]', ":2: found a list; expected a JSON object"),
        ("a.jsonl", '{"a": 1}\n{"a":', ":2: not JSON"),
        ("a.jsonl", '{"a": NaN}', ":1: .*found NaN, expected a finite"),
        ("a.jsonl", '{"a": 1e999}', ":1: .*found 1e999, expected a finite"),
        ("a.jsonl", '{"a": 1, "a": 2}', ":1: .*key 'a' twice"),
        ("a.json", '{"dta": []}', ":1: .*without 'data'"),
        ("a.json", '{"data": 3}', ":1: found a number, expected a JSON list"),
        ("a.parquet", "no", ": not a parquet file"),
        ("a.xls", "no", ": found a .xls file, expected one of .tsv"),
        ("a", "no", ": found a nameless file, expected one of .tsv"),
    ],
)
def test_a_broken_table_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes | str, said: str
) -> None:
    with pytest.raises(DataError, match=f"{name}{said}"):
        _read(tmp_path, name, content)


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.json", "a.txt"])
def test_a_row_of_ten_megabytes_is_refused(tmp_path: Path, name: str) -> None:
    long = '[{"a": "' + "x" * 10_000_000 + '"}]'
    with pytest.raises(DataError, match=r":1: found a (line|record) of more than 1 MB"):
        _read(tmp_path, name, long)


def test_a_paragraph_of_many_lines_has_the_same_limit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":3: found a paragraph of more than 1 MB"):
        _read(tmp_path, "a.txt", "a\n\n" + "line\n" * 200_001)


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".json", ".txt", ".parquet"])
def test_a_row_may_be_as_large_as_the_caller_says(tmp_path: Path, suffix: str) -> None:
    text, file = "x" * 1_000_001, tmp_path / f"a{suffix}"
    written = {
        ".tsv": f"text\n{text}",
        ".jsonl": json.dumps({"text": text}),
        ".json": json.dumps([{"text": text}]),
        ".txt": text,
    }
    if suffix == ".parquet":
        parquet.write_table(pyarrow.table({"text": [text]}), file)
    else:
        file.write_text(written[suffix], encoding="utf-8")
    ((_, row),) = read_file(file, limit=2_000_000)
    assert row == {"text": text}
    with pytest.raises(DataError, match=r":[12]: found a (line|record) of more than 1 MB"):
        list(read_file(file))


def test_a_json_file_that_is_too_large_to_be_read_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_eac.data.tables.JSON_BYTES", 10)
    assert _read(tmp_path, "a.json", '[{"a": 1}]') == [(1, {"a": 1})]
    with pytest.raises(DataError, match=r"a\.json: found a JSON list of more than 10 bytes"):
        _read(tmp_path, "a.json", '[{"a": 1} ]')


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.tsv: there is no such file"):
        list(read_file(tmp_path / "gone.tsv"))
