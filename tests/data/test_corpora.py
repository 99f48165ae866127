"""Texts for statistics: from which files and data sets, and what identifies them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow
import pytest
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from pyarrow import parquet

from pytest_eac.data import parquet as parquet_reader
from pytest_eac.data.corpora import Corpus, open_corpus
from pytest_eac.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable


def _open(source: Path | str, column: str = "text", *, offline: bool = False) -> Corpus:
    return open_corpus(str(source), column, offline=offline)


def _txt(path: Path, texts: list[str]) -> None:
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")


def _jsonl(path: Path, texts: list[str]) -> None:
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _json(path: Path, texts: list[str]) -> None:
    path.write_text(json.dumps([{"text": text} for text in texts]), encoding="utf-8")


def _parquet(path: Path, texts: list[str]) -> None:
    datasets.Dataset.from_dict({"text": texts}).to_parquet(path)


def _csv(path: Path, texts: list[str]) -> None:
    rows = [["text"], *([text] for text in texts)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


WRITERS: dict[str, Callable[[Path, list[str]], None]] = {
    ".txt": _txt,
    ".TXT": _txt,
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
}
LINES = ["One line\nand another.", "Zwölf Boxkämpfer.", "The end"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_corpus_can_be_a_file_of_each_kind(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"corpus{suffix}"
    WRITERS[suffix](path, LINES)
    corpus = _open(path)
    assert corpus.name == str(path)
    assert [text.strip() for text in corpus.texts()] == LINES
    assert [text.strip() for text in corpus.texts()] == LINES, "from the beginning again"


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".json"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"corpus{suffix}"
    WRITERS[suffix](path, LINES)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [text.strip() for text in _open(path).texts()] == LINES


def test_another_column_is_another_corpus(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "one", "more": "two"}\n', encoding="utf-8")
    one, two = _open(path), _open(path, column="more")
    assert [list(one.texts()), list(two.texts())] == [["one"], ["two"]]
    assert one.digest != two.digest


def test_other_texts_are_another_corpus_and_the_same_are_not(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.txt" for name in "abc"]
    for path, texts in zip(paths, (LINES, LINES, LINES[:1]), strict=True):
        _txt(path, texts)
    digests = [_open(path).digest for path in paths]
    assert digests[0] == digests[1] != digests[2]


def test_a_missing_column_is_reported_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    _jsonl(path, LINES)
    corpus = _open(path, column="body")
    with pytest.raises(DataError, match=r"found the columns id, text, expected 'body'"):
        list(corpus.texts())


def test_a_missing_file_and_an_unknown_kind_are_reported(tmp_path: Path) -> None:
    missing = tmp_path / "corpus.txt"
    with pytest.raises(DataError, match=r"corpus\.txt: there is no such file"):
        _open(missing)
    with pytest.raises(DataError, match=r"found a \.xls file, expected one of .*\.jsonl.*\.txt"):
        _open(tmp_path / "corpus.xls")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.jsonl", b'{"text": "one"}\n{"text": \n', ":2: not JSON"),
        ("broken.json", b'[{"text": "one"', ":1: not JSON"),
        ("latin.txt", "Zwölf Boxkämpfer".encode("latin-1"), r":1: not UTF-8 \(byte 2\)"),
        ("latin.jsonl", '{"text": "Zwölf"}'.encode("latin-1"), r":1: not UTF-8 \(byte 12\)"),
        ("broken.parquet", b"PAR1 and no more", ": not a parquet file"),
        ("number.jsonl", b'{"text": 1}\n', ":1: text: found 1; expected a text"),
        ("half.jsonl", rb'{"text": "\ud800"}', ":1: text: found half a surrogate pair"),
    ],
)
def test_a_file_that_cannot_be_read_as_its_kind_is_reported_with_its_place(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{name}{said}") as raised:
        list(_open(path).texts())
    assert "\n" not in str(raised.value)


def test_a_small_parquet_file_that_takes_much_memory_to_decode_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_reader, "MEMORY_BYTES", 2**28)
    path = tmp_path / "corpus.parquet"
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 64, "int32"), ["A" * 10**7])
    table = pyarrow.table({"text": texts})
    parquet.write_table(table, path, compression="zstd", store_schema=False)
    with pytest.raises(DataError, match=r"takes more than 0\.25 GiB of memory to decode"):
        list(_open(path).texts())


def test_a_text_may_be_a_book_but_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "corpus.jsonl"
    _jsonl(path, ["x" * 2_000_000])
    assert [len(text) for text in _open(path).texts()] == [2_000_000]
    monkeypatch.setattr("pytest_eac.data.corpora.TEXT_BYTES", 2_000_000)
    with pytest.raises(DataError, match=r"corpus\.jsonl:1: found a line of more than 2 MB"):
        list(_open(path).texts())


@pytest.mark.parametrize("name", ["[ab].txt", "a*.txt", "a?.txt", "zip::a.txt"])
def test_a_path_stands_for_no_other_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text("another", encoding="utf-8")
    (tmp_path / name).write_text("text", encoding="utf-8")
    assert list(_open(tmp_path / name).texts()) == ["text"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")
def test_the_environment_is_no_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").symlink_to("/proc/self/environ")
    with pytest.raises(DataError, match=r"corpus\.txt: is empty; expected text"):
        _open(tmp_path / "corpus.txt")


def test_empty_cells_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    lines = [{"text": "one"}, {"text": None}, {"text": "None"}, {"id": 4}, {"text": "two"}]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert list(_open(path).texts()) == ["one", "None", "two"]


# Data sets of the hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What stands for the hub: one data set of two configurations; notes what is asked of it."""
    folder = tmp_path / "snapshots" / "c0ffee"
    configurations: dict[str, list[str | None]] = {"en": ["one", None, "two"], "de": ["eins"]}
    for name, texts in configurations.items():
        (folder / name).mkdir(parents=True)
        rows = "".join(json.dumps({"body": text}) + "\n" for text in texts)
        (folder / name / "train.jsonl").write_text(rows, encoding="utf-8")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- {config_name: en, data_files: en/*.jsonl}\n"
        "- {config_name: de, data_files: de/*.jsonl}\n---\n",
        encoding="utf-8",
    )
    state: dict[str, Any] = {"asked": []}

    def fetch(identity: str, **how: Any) -> str:
        validate_repo_id(identity)
        state["asked"].append({"id": identity, **how})
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "prepared")
    return state


@pytest.mark.parametrize("offline", [True, False])
def test_a_data_set_of_the_hub_may_name_its_configuration(
    hub: dict[str, Any], *, offline: bool
) -> None:
    corpus = _open("hub:owner/texts:en", column="body", offline=offline)
    assert [(each["id"], each["local_files_only"]) for each in hub["asked"]] == [
        ("owner/texts", offline)
    ]
    assert corpus.name == "hub:owner/texts:en"
    assert list(corpus.texts()) == ["one", "two"]
    assert corpus.digest == "c0ffee:en:body"


@pytest.mark.parametrize("name", ["", ":", "..", ".", "./folder", "/etc", "../x", "a/b/c", "a b"])
def test_a_name_that_no_data_set_of_the_hub_can_have_is_refused(
    hub: dict[str, Any], name: str
) -> None:
    with pytest.raises(DataError, match="found the data set "):
        _open(f"hub:{name}")


@pytest.mark.parametrize("name", ["text", "json", "csv", "parquet", "pandas", "imagefolder"])
def test_a_kind_of_file_is_a_name_like_any_other(hub: dict[str, Any], name: str) -> None:
    assert list(_open(f"hub:{name}:de", column="body").texts()) == ["eins"]
    assert hub["asked"][0]["id"] == name


def test_a_data_set_that_cannot_be_fetched_is_unavailable() -> None:
    with pytest.raises(UnavailableError) as raised:
        _open("hub:nobody/nothing:en", offline=True)
    assert raised.value.remedy == "run: hf download --repo-type dataset nobody/nothing"


@pytest.mark.usefixtures("hub")
def test_a_data_set_that_is_asked_for_wrongly_is_reported() -> None:
    with pytest.raises(DataError, match=r"^data set 'owner/texts:fr': .*'fr'"):
        list(_open("hub:owner/texts:fr").texts())


def test_the_built_in_corpus_is_there_and_its_paragraphs_are_distinct() -> None:
    corpus = open_corpus("built-in", "text")
    texts = list(corpus.texts())
    assert corpus.name == "built-in"
    assert sum(map(len, texts)) > 120_000  # four to five characters a token: 25,000 and more
    assert len(texts) > 200
    assert len({" ".join(text.split()) for text in texts}) == len(texts)
    assert all(len(text.split()) >= 5 for text in texts)
