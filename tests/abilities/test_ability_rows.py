"""Data sets of the abilities as users bring them: formats, and what is wrong with a broken one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow
import pytest
from pyarrow import parquet

from pytest_eac.abilities import data_items
from pytest_eac.abilities.data_items import Row, digest, label, load_rows, text, texts
from pytest_eac.errors import DataError
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


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", "", ": no records in it"),
        ("a.json", "", ":1: found nothing, expected a JSON list"),
        ("a.json", "[]", ": no records in it"),
        ("a.tsv", "a\tb\n", ": no records in it"),
        ("a.jsonl", '{"paragraphs": [{"qas": [{}]}]}', ":1: found a nested record"),
        ("a.xls", "no", ": found a .xls file, expected one of .tsv"),
    ],
)
def test_data_without_records_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    with pytest.raises(DataError, match=f"{name}{said}"):
        _load(tmp_path, name, content)


def test_a_row_knows_where_it_comes_from(tmp_path: Path) -> None:
    rows = _load(tmp_path, "a.tsv", "sentence1\tlabel\nOne\tentailment\n\nTwo\t1\n")
    assert [label(row, NLI) for row in rows] == [0, 1]
    assert [row.origin for row in rows] == [f"{tmp_path / 'a.tsv'}:{line}" for line in (2, 4)]


def test_a_hub_set_is_read_at_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    def read_hub(name: str, **how: object) -> Any:
        asked.append((name, how))
        return iter([(1, {"a": "x"})])

    monkeypatch.setattr(data_items, "read_hub", read_hub)
    (row,) = load_rows("hub:me/set@test", task="qa", revision="abc", offline=True)
    assert (row.origin, row.fields) == ("hub:me/set@test:1", {"a": "x"})
    assert asked == [("me/set@test", {"revision": "abc", "offline": True})]


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
    monkeypatch.setattr(data_items, "CONTEXTS", 1_000)
    asked = [{"question": "Who?", "answers": [{"text": "Ann"}]}]
    record = {"paragraphs": [{"context": "x" * 100, "qas": asked * 10}]}
    assert len(_load(tmp_path, "a.jsonl", json.dumps(record))) == 10
    record = {"paragraphs": [{"context": "x" * 100, "qas": asked * 11}]}
    with pytest.raises(DataError, match=r":1: found contexts of more than 1,000 characters, each"):
        _load(tmp_path, "a.jsonl", json.dumps(record))


def test_nan_in_parquet_is_refused_with_its_row(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"x": [1.0, float("nan")]}), file)
    with pytest.raises(DataError, match=":2: found NaN"):
        load_rows(str(file), task="nli")


def test_a_cell_of_parquet_that_is_no_text_is_not_taken_for_one(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": [b"x"], "b": pyarrow.array([1], "date32")}), file)
    (row,) = load_rows(str(file), task="qa")
    for name in "ab":
        for read_as in (text, texts):
            with pytest.raises(DataError, match=r":1: . *.*: found .*; expected a"):
                read_as(row, name)


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
    assert label(_row(label=value), NLI) == 1


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
