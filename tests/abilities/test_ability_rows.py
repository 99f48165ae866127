"""Data sets of the abilities as users bring them: formats, and what is wrong with a broken one."""

from __future__ import annotations

import json
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow
import pytest
from pyarrow import parquet

from pytest_eac.abilities import items
from pytest_eac.abilities.items import Row, digest, label, load_rows, text, texts
from pytest_eac.data import parquet as reader
from pytest_eac.errors import DataError, UnavailableError
from tests.abilities.ability_files import read

if TYPE_CHECKING:
    from pathlib import Path

NLI = {"entailment": 0, "not_entailment": 1}


def _load(folder: Path, name: str, content: bytes | str) -> list[Row]:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_rows(str(file), task="nli")


def _row(**fields: Any) -> Row:
    return Row(fields=fields, origin="f.jsonl:3")


@pytest.mark.parametrize("task", ["nli", "qa", "reading", "choice", "instructions", "neutral"])
def test_the_packages_own_sets_are_read_whole(task: str) -> None:
    assert [dict(row.fields) for row in load_rows(None, task=task)] == read(task)


def test_an_unknown_set_of_the_package_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no data set 'nlii'.*did you mean 'nli'"):
        load_rows(None, task="nlii")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_tsv_is_read_with_literal_quotes_any_line_end_and_byte_order_mark(
    tmp_path: Path, end: str, mark: str
) -> None:
    lines = ["index\tsentence1\tlabel", '0\t"Half a quote\tentailment', "", "1\tTwo\t1", ""]
    rows = _load(tmp_path, "a.tsv", mark + end.join(lines))
    assert [text(row, "sentence1") for row in rows] == ['"Half a quote', "Two"]
    assert [label(row, NLI) for row in rows] == [0, 1]
    assert [row.origin for row in rows] == [f"{tmp_path / 'a.tsv'}:{line}" for line in (2, 4)]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.json"])
def test_a_file_in_another_unicode_encoding_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes("a\tb\n1\t2\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"found UTF-16, expected UTF-8; save the file as UTF-8"):
        load_rows(str(path), task="nli")


def test_a_csv_is_read_with_its_quotes_and_counts_lines_of_the_file(tmp_path: Path) -> None:
    rows = _load(tmp_path, "a.csv", 'a,b\n"x, ""y""\nz",1\nw,2\n')
    assert [row.fields["a"] for row in rows] == ['x, "y"\nz', "w"]
    assert [row.origin.rpartition(":")[2] for row in rows] == ["2", "4"]


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.json", '[{"a": "x"},\n {"a": "y"}]', ["1", "2"]),
        ("a.json", '{"v": [1],\n "data": [{"a": "x"},\n{"a": "y"}], "w": 0}', ["2", "3"]),
        ("a.jsonl", '{"a": "x"}\n\n{"a": "y"}', ["1", "3"]),
    ],
)
def test_json_is_read_as_a_list_under_data_or_by_lines(
    tmp_path: Path, name: str, content: str, lines: list[str]
) -> None:
    rows = _load(tmp_path, name, content)
    assert [row.fields["a"] for row in rows] == ["x", "y"]
    assert [row.origin.rpartition(":")[2] for row in rows] == lines


def test_parquet_is_read_by_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"q": ["x", "y"], "a": [["1"], ["2", "3"]]}), file)
    rows = load_rows(str(file), task="qa")
    assert [texts(row, "a") for row in rows] == [("1",), ("2", "3")]
    assert rows[1].origin == f"{file}:2"


def test_the_original_files_of_squad_and_arc_become_flat(tmp_path: Path) -> None:
    asked = [{"question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}]}]
    asked.append({"question": "When?", "answers": []})
    squad = {"data": [{"title": "t", "paragraphs": [{"context": "Ann came.", "qas": asked}]}]}
    (row,) = _load(tmp_path, "squad.json", json.dumps(squad))
    assert (text(row, "question"), texts(row, "answers")) == ("Who?", ("Ann",))
    question = {"stem": "Why?", "choices": [{"text": "x", "label": "A"}]}
    arc = {"id": "1", "question": question, "answerKey": "A"}
    (row,) = _load(tmp_path, "arc.jsonl", json.dumps(arc))
    assert (text(row, "question"), texts(row, "choices")) == ("Why?", ("x",))


def test_a_context_is_not_repeated_for_any_number_of_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "CONTEXTS", 1_000)
    asked = [{"question": "Who?", "answers": [{"text": "Ann"}]}]
    record = {"paragraphs": [{"context": "x" * 100, "qas": asked * 10}]}
    assert len(_load(tmp_path, "a.jsonl", json.dumps(record))) == 10
    record = {"paragraphs": [{"context": "x" * 100, "qas": asked * 11}]}
    with pytest.raises(DataError, match=r":1: found contexts of more than 1,000 characters, each"):
        _load(tmp_path, "a.jsonl", json.dumps(record))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", "", ": no records in it"),
        ("a.json", "", ": no records in it"),
        ("a.tsv", "a\tb\n", ": no records in it"),
        ("a.tsv", "a\ta\n", ":1: found the header"),
        ("a.tsv", "a\tb\nx\n", r":2: found 1 cells; expected 2.*\(a, b\)"),
        ("a.csv", 'a,b\n"x,1\n', ":2: not CSV"),
        ("a.tsv", b"a\tb\nx\t\xff\n", r":2: not UTF-8 \(byte 6\)"),
        ("a.json", b'[{"a": "\xff"}]', r": not UTF-8 \(byte 8\)"),
        ("a.jsonl", '{"a": 1}\n[1]', ":2: found a list; expected a JSON object"),
        ("a.jsonl", '{"a": 1}\n{"a":', ":2: not JSON"),
        ("a.jsonl", '{"a": NaN}', ":1: .*found NaN; expected a finite"),
        ("a.jsonl", '{"a": 1e999}', ":1: .*found 1e999; expected a finite"),
        ("a.jsonl", '{"a": 1, "a": 2}', ":1: .*key 'a' twice"),
        ("a.json", '{"dta": []}', ":1: .*without 'data'"),
        ("a.json", '{"data": 3}', ":1: found a number, expected a JSON list"),
        ("a.jsonl", '{"paragraphs": [{"qas": [{}]}]}', ":1: found a nested record"),
        ("a.parquet", "no", ": not a parquet file"),
        ("a.xls", "no", ": found a .xls file, expected one of .tsv"),
    ],
)
def test_broken_data_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes | str, said: str
) -> None:
    with pytest.raises(DataError, match=f"{name}{said}"):
        _load(tmp_path, name, content)


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.json"])
def test_a_record_of_ten_megabytes_is_refused(tmp_path: Path, name: str) -> None:
    long = '[{"a": "' + "x" * 10_000_000 + '"}]'
    with pytest.raises(DataError, match=r":1: found a (line|record) of more than 1 MB"):
        _load(tmp_path, name, long)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.tsv: there is no such file"):
        load_rows(str(tmp_path / "gone.tsv"), task="nli")


def test_nan_in_parquet_is_refused_with_its_row(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"x": [1.0, float("nan")]}), file)
    with pytest.raises(DataError, match=":2: found NaN"):
        load_rows(str(file), task="nli")


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
def test_a_cell_that_python_cannot_hold_is_reported_with_its_row(cell: pyarrow.Array) -> None:
    file = BytesIO()
    parquet.write_table(pyarrow.table({"a": cell}), file)
    with pytest.raises(DataError, match=r"^1: a cell cannot be read: \S"):
        list(reader._rows(parquet.ParquetFile(file)))


def test_a_cell_of_parquet_that_is_no_text_is_not_taken_for_one(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": [b"x"], "b": pyarrow.array([1], "date32")}), file)
    (row,) = load_rows(str(file), task="qa")
    for name in "ab":
        for read_as in (text, texts):
            with pytest.raises(DataError, match=r":1: . *.*: found .*; expected a"):
                read_as(row, name)


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    one = pyarrow.array(["x"])
    parquet.write_table(pyarrow.Table.from_arrays([one, one], ["a", "a"]), file)
    with pytest.raises(DataError, match=r"found the columns a, a; expected a different name"):
        load_rows(str(file), task="qa")


def test_a_parquet_file_with_a_changed_byte_is_rows_or_an_error(tmp_path: Path) -> None:
    file = BytesIO()
    parquet.write_table(pyarrow.table({"a": ["x"]}), file)
    data = bytearray(file.getvalue())
    data[4] ^= 0xFF  # in the header of the first page
    with pytest.raises(DataError, match=r"a\.parquet: not a parquet file that can be read: \S"):
        _load(tmp_path, "a.parquet", bytes(data))
    with pytest.raises(DataError, match=r"a\.parquet: not a parquet file: it is empty"):
        _load(tmp_path, "a.parquet", b"")


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
        load_rows(str(file), task="qa")


def test_the_records_of_a_parquet_file_are_not_many_times_larger_than_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SMALL", 1_000_000)
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": ["same"] * 100_000}), file)
    with pytest.raises(DataError, match=r":\d+: found records of more than 1,000,000 bytes in a"):
        next(islice(reader.read_parquet(file), 4_000, None))


def test_a_missing_column_is_told_with_those_there_and_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        text(_row(sentense="x", label=1), "sentence", "text")
    assert str(caught.value) == (
        "f.jsonl:3: found the columns sentense, label; expected 'sentence' or 'text'"
        "; did you mean 'sentense'?"
    )


@pytest.mark.parametrize("value", [" ", 3, None, "\ud800"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"f\.jsonl:3: a: found"):
        text(_row(a=value), "a")


@pytest.mark.parametrize("value", [[], ["x", ""], 3, {"text": []}, {"x": ["y"]}])
def test_what_is_no_list_of_texts_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"f\.jsonl:3: a"):
        texts(_row(a=value), "a")


def test_the_first_name_that_has_a_value_is_read() -> None:
    assert text(_row(a=None, b="x", c="y"), "a", "b", "c") == "x"
    assert texts(_row(b={"text": ["x", "y"]}), "a", "b") == ("x", "y")


@pytest.mark.parametrize("value", [1, "1", "not_entailment", " Not_Entailment "])
def test_a_label_is_a_number_or_a_name(value: object) -> None:
    assert label(_row(gold=value), NLI, "gold") == 1


@pytest.mark.parametrize("value", [-1, 2, True, 1.0, "entailmnt", "2"])
def test_an_unknown_label_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"found the label .*entailment \(0\)"):
        label(_row(label=value), NLI)


def test_the_digest_is_of_the_content_in_its_order() -> None:
    one, two = _row(a="x", b=1), _row(a="y", b=1)
    moved = Row(fields={"b": 1, "a": "x"}, origin="elsewhere:9")
    assert digest([one, two]) == digest([moved, two])
    assert digest([one, two]) != digest([two, one])
    assert digest([one]) != digest([one, two])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A hub whose data sets all are one folder with two splits; holds what was asked of it."""
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"a": "t"}\n')
    (folder / "test.jsonl").write_text('{"a": "x"}\n{"a": "y"}\n')
    asked: list[dict[str, Any]] = []

    def fetch(identity: str, **how: Any) -> str:
        asked.append({"id": identity, **how})
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    return asked


def test_a_hub_set_is_read_at_its_revision_from_the_split_asked(hub: list[dict[str, Any]]) -> None:
    rows = load_rows("hub:me/set", task="qa", revision="abc", offline=True)
    assert [text(row, "a") for row in rows] == ["x", "y"]
    assert rows[1].origin == "hub:me/set:2"
    assert (hub[0]["id"], hub[0]["revision"], hub[0]["local_files_only"]) == ("me/set", "abc", True)
    assert [text(row, "a") for row in load_rows("hub:me/set@train", task="qa")] == ["t"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hub:me/set@dev", "found the splits .*expected 'dev'"),
        ("hub:me/set/gone", "gone"),
        ("hub:a/b/c/d", "expected OWNER/NAME"),
        ("hub:", "expected OWNER/NAME"),
    ],
)
def test_a_wrong_name_of_a_hub_set_is_told(
    hub: list[dict[str, Any]], source: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        load_rows(source, task="qa")


def test_a_hub_set_that_is_not_here_names_the_command_that_brings_it() -> None:
    with pytest.raises(UnavailableError) as caught:
        load_rows("hub:nobody/nothing", task="qa", revision="abc", offline=True)
    expected = "run: hf download --repo-type dataset nobody/nothing --revision abc"
    assert caught.value.remedy == expected
