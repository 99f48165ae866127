"""Data sets of the hub: which revision, configuration and split is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.data.hub_datasets import read_hub
from pytest_eac.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


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
    rows = list(read_hub("me/set", revision="abc", offline=True))
    assert rows == [(1, {"a": "x"}), (2, {"a": "y"})]
    assert (hub[0]["id"], hub[0]["revision"], hub[0]["local_files_only"]) == ("me/set", "abc", True)
    assert list(read_hub("me/set@train", revision=None, offline=True)) == [(1, {"a": "t"})]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("me/set@dev", "found the splits .*expected 'dev'"),
        ("me/set/gone", "gone"),
        ("a/b/c/d", "expected OWNER/NAME"),
        ("", "expected OWNER/NAME"),
    ],
)
def test_a_wrong_name_of_a_hub_set_is_reported(
    hub: list[dict[str, Any]], source: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        list(read_hub(source, revision=None, offline=True))


def test_a_hub_set_that_is_not_here_names_the_command_that_brings_it() -> None:
    with pytest.raises(UnavailableError) as caught:
        list(read_hub("nobody/nothing", revision="abc", offline=True))
    expected = "run: hf download --repo-type dataset nobody/nothing --revision abc"
    assert caught.value.remedy == expected
