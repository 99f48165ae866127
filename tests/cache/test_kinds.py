from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from pytest_eac.cache.entries import Cache, Entry
from pytest_eac.cache.folders import take_folder
from pytest_eac.cache.kinds import EDITS, ENTRIES, KINDS, MEASUREMENTS, PARTIAL, clear, kept
from pytest_eac.cache.table import cache_lines
from pytest_eac.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "tiny-0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache folder with one of each kind, made the way runs make them."""
    root = tmp_path / "cache"
    take_folder(root, MODEL, lambda folder: write(folder / "config.json", "{}"))
    for kind in ENTRIES:
        Cache(root).write(kind, {"n": 1}, Entry(data=kind))
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def counts(root: Path) -> dict[str, int]:
    return {kind: len(kept(root, kind)) for kind in KINDS}


def test_each_kind_is_counted_and_cleared_by_itself(root: Path) -> None:
    for kind in KINDS:
        before = counts(root)
        assert before[kind] == 1
        assert clear(root, kind) == 1
        assert counts(root) == {**before, kind: 0}


def test_sizes_are_of_everything_inside(root: Path) -> None:
    (model,), (covariance,) = kept(root, "models"), kept(root, "covariance")
    files = [each for each in model.path.rglob("*") if each.is_file()]
    assert model.size == sum(each.stat().st_size for each in files) > 2
    assert covariance.size == covariance.path.stat().st_size


def test_what_was_cleared_is_made_again(root: Path) -> None:
    clear(root, "models")
    folder = take_folder(root, MODEL, lambda folder: write(folder / "config.json", "[]"))
    assert (folder / "config.json").read_text() == "[]"
    cache = Cache(root)
    clear(root, EDITS)
    assert cache.read(EDITS, {"n": 1}) is None
    cache.write(EDITS, {"n": 1}, Entry(data=2))
    assert cache.read(EDITS, {"n": 1}) is not None


def test_files_of_others_stay(root: Path) -> None:
    foreign = [
        root / "notes.txt",
        root / "models" / "notes.txt",
        root / "models" / "mine" / "config.json",
        root / "models" / "file-0123456789abcdef",
        root / "covariance" / "old.safetensors",
        root / "covariance" / f"{'a' * 32}.safetensors",
        root / EDITS / "ab" / "notes.txt",
        root / EDITS / "ab" / f"{'c' * 64}.json",
        root / EDITS / f"{'c' * 64}.safetensors",
        root / MEASUREMENTS / "abc" / f"{'c' * 64}.safetensors",
    ]
    for path in foreign:
        write(path, "mine")
    for kind in KINDS:
        clear(root, kind)
    assert all(path.read_text() == "mine" for path in foreign)


def test_links_are_neither_followed_nor_removed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    name = f"{'d' * 64}.safetensors"
    write(outside / "ab" / name, "mine")
    write(outside / "config.json", "mine")
    links = {
        root / EDITS / "cd": outside / "ab",
        root / MEASUREMENTS / "ab" / name: outside / "ab" / name,
        root / "models" / "linked-0123456789abcdef": outside,
    }
    for link, to in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(to)
    for kind in KINDS:
        clear(root, kind)
    assert all(link.is_symlink() for link in links)
    assert (outside / "ab" / name).read_text() == "mine"
    assert (outside / "config.json").read_text() == "mine"


def test_a_kind_whose_folder_is_a_link_is_left_alone(root: Path, tmp_path: Path) -> None:
    (root / EDITS).rename(tmp_path / "elsewhere")
    (root / EDITS).symlink_to(tmp_path / "elsewhere")
    assert clear(root, EDITS) == 0
    assert len(list((tmp_path / "elsewhere").rglob("*.safetensors"))) == 1


def test_a_link_inside_a_model_is_removed_but_not_what_it_points_to(
    root: Path, tmp_path: Path
) -> None:
    write(tmp_path / "outside" / "weights", "mine")
    (root / "models" / MODEL / "blobs").symlink_to(tmp_path / "outside")
    assert clear(root, "models") == 1
    assert (tmp_path / "outside" / "weights").read_text() == "mine"


def leftovers(root: Path) -> list[Path]:
    """Make what a run that was killed while it wrote leaves, of each kind."""
    parts = []
    for kind in ENTRIES:
        (entry,) = kept(root, kind)
        for kind_of_file in ("part", "lock", "lock.soft"):
            parts.append(entry.path.with_name(f".{entry.path.name}.{kind_of_file}"))
            parts[-1].write_text("cut off")
    write(root / "models" / f".{MODEL}.part-123" / "model.safetensors", "cut off")
    return [*parts, root / "models" / f".{MODEL}.part-123"]


def test_leftovers_of_killed_runs_go_with_the_next_write(root: Path) -> None:
    parts = leftovers(root)
    Cache(root).write(EDITS, {"n": 2}, Entry(data=2))
    assert not any(part.exists() for part in parts)
    assert counts(root) == {**dict.fromkeys(KINDS, 1), EDITS: 2}


@pytest.mark.parametrize(("days", "stays"), [(6, True), (8, False)])
def test_the_sums_of_an_interrupted_measurement_wait_a_week(
    root: Path, days: int, stays: bool
) -> None:
    (sums,), (covariance,) = kept(root, PARTIAL), kept(root, "covariance")
    then = time.time() - days * 24 * 3600
    for each in (sums, covariance):
        os.utime(each.path, (then, then))
    Cache(root).write(EDITS, {"n": 2}, Entry(data=2))
    assert sums.path.exists() == stays
    assert covariance.path.exists()


def test_leftovers_of_killed_runs_go_when_a_kind_is_cleared(root: Path) -> None:
    parts = leftovers(root)
    clear(root, MEASUREMENTS)
    assert not any(part.exists() for part in parts)


def test_a_folder_that_another_run_is_building_stays(root: Path) -> None:
    *_, part = leftovers(root)
    with FileLock(root / "models" / f".{MODEL}.lock"):
        Cache(root).write(EDITS, {"n": 2}, Entry(data=2))
        assert part.exists()


def test_a_folder_that_is_not_there_holds_nothing_and_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert [clear(missing, kind) for kind in KINDS] == [0] * len(KINDS)
    assert "edits                0     0.0 MiB" in "\n".join(cache_lines(missing))
    assert not missing.exists()


def test_what_cannot_be_removed_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(RecordError, match="cannot be removed: Permission denied"):
        clear(root, "covariance")


def test_the_table_tells_count_size_and_times_of_each_kind(root: Path) -> None:
    (first,) = kept(root, "covariance")
    write(second := first.path.with_name(f"{'e' * 64}.safetensors"), "x" * 3 * 2**20)
    for path, seconds in ((first.path, 1e9), (second, 1.1e9)):
        os.utime(path, (seconds, seconds))
    lines = cache_lines(root)
    assert lines[0] == str(root)
    assert [line.split()[0] for line in lines[2:]] == list(KINDS)
    told = next(line for line in lines if "covariance" in line).split()
    assert told[1:4] == ["2", "3.0", "MiB"]
    assert (told[4], told[6]) == ("2001-09-09", "2004-11-09")
    assert max(map(len, lines[1:])) <= 80
