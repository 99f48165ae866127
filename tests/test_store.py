from __future__ import annotations

import errno
import math
import os
import resource
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from pytest_eac.atomic_write import acquire_lock
from pytest_eac.cache.folders import cached_folder, cached_text
from pytest_eac.errors import RecordError
from pytest_eac.records.json_files import to_json
from pytest_eac.records.run import Record
from pytest_eac.store import (
    append_text,
    default_cache_dir,
    locked,
    read_record,
    read_tensors,
    require_writable,
    write_record,
    write_tensors,
    write_text,
)

OLD = Record(environment={"torch": "1"}, chains=())
NEW = Record(environment={"torch": "2", "platform": "Ōsaka"}, chains=())


def fill(folder: Path) -> None:
    (folder / "weights").write_text("whole", encoding="utf-8")


def names(folder: Path) -> set[str]:
    """What is in a folder, lock files aside."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


# Results files


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "results.json"
    write_record(file, NEW)
    assert read_record(file) == NEW
    assert file.read_text(encoding="utf-8") == to_json(NEW)
    assert names(file.parent) == {"results.json"}


def test_writing_again_replaces_the_file(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_record(file, OLD)
    write_record(file, NEW)
    assert read_record(file) == NEW
    assert names(tmp_path) == {"results.json"}


def full_disk(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = tmp_path / "results.json"
    write_record(file, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, step, full_disk)
        with pytest.raises(RecordError) as raised:
            write_record(file, NEW)
    assert str(raised.value) == f"{file}: cannot be written: No space left on device"
    assert read_record(file) == OLD
    assert names(tmp_path) == {"results.json"}


def test_a_write_that_breaks_off_half_way_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    write_record(file, OLD)

    def half(path: Path, text: str, **_: object) -> int:
        path.write_bytes(text[: len(text) // 2].encode())
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(RecordError):
            write_record(file, NEW)
    assert read_record(file) == OLD
    assert names(tmp_path) == {"results.json"}


def test_a_record_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_record(file, OLD)
    with pytest.raises(ValueError):
        write_record(file, Record(environment={"x": math.nan}, chains=()))  # type: ignore[dict-item]
    assert read_record(file) == OLD
    assert names(tmp_path) == {"results.json"}


def test_a_folder_in_the_way_is_a_record_error(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    with pytest.raises(RecordError, match="cannot be written"):
        write_record(tmp_path / "results.json", NEW)
    assert names(tmp_path) == {"results.json"}


def test_a_file_where_a_folder_should_be_is_a_record_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RecordError, match="cannot be written"):
        write_record(tmp_path / "file" / "results.json", NEW)


def test_a_missing_results_file_is_a_record_error(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    with pytest.raises(RecordError) as raised:
        read_record(file)
    assert str(raised.value) == f"{file}: cannot be read: No such file or directory"


def test_a_results_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_record(file, NEW)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_record(file) == NEW


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"schema": 1}'.encode("utf-16"), "found UTF-16, expected UTF-8; save the file as UTF-8"),
        (b"", "Expecting value"),
        (b'{"schema": 1', "Expecting"),
        (b'{"schema": 1}', "found schema 1, expected 2 to "),
        (b"[]", "found schema None, expected 2"),
        (b'{"schema": 2}', "environment"),
        (b'{"schema": 1, "x": "\xff"}', "not UTF-8 (byte 20)"),
        (b"[" * 100_000, "nested deeper than 32"),
    ],
)
def test_what_is_no_results_file_is_a_record_error(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(content)
    with pytest.raises(RecordError) as raised:
        read_record(file)
    assert str(raised.value).startswith(f"{file}: not a results file of pytest-eac: ")
    assert said in str(raised.value)


# Cached folders


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        fill(folder)

    first = cached_folder(tmp_path / "cache", "model", build)
    second = cached_folder(tmp_path / "cache", "model", build)
    assert first == second == tmp_path / "cache" / "model"
    assert len(built) == 1
    assert (first / "weights").read_text(encoding="utf-8") == "whole"
    assert names(first.parent) == {"model"}


def test_folders_of_different_names_are_built_apart(tmp_path: Path) -> None:
    cached_folder(tmp_path, "a", fill)
    cached_folder(tmp_path, "deeper/b", fill)
    assert (tmp_path / "a" / "weights").is_file()
    assert (tmp_path / "deeper" / "b" / "weights").is_file()


def test_the_name_is_taken_only_once_the_folder_is_whole(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        assert folder.is_dir()
        assert list(folder.iterdir()) == []
        assert not (tmp_path / "model").exists()
        fill(folder)
        assert not (tmp_path / "model").exists()

    assert cached_folder(tmp_path, "model", build).is_dir()


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt(), ValueError("content")])
def test_a_build_that_fails_leaves_nothing_and_may_be_tried_again(
    tmp_path: Path, error: BaseException
) -> None:
    def build(folder: Path) -> None:
        fill(folder)
        raise error

    with pytest.raises(type(error)):
        cached_folder(tmp_path, "model", build)
    assert names(tmp_path) == set()
    assert (cached_folder(tmp_path, "model", fill) / "weights").is_file()


def test_what_a_killed_run_left_is_removed_and_not_taken_for_finished(tmp_path: Path) -> None:
    left: list[Path] = []

    def killed(folder: Path) -> None:
        left.append(folder)
        fill(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_folder(tmp_path, "model", killed)
    left[0].mkdir()  # as if the process had not lived to tidy up
    fill(left[0])
    other = tmp_path / "model-2"
    other.mkdir()
    cached_folder(tmp_path, "model", fill)
    assert names(tmp_path) == {"model", "model-2"}


class Asked:
    """Counts who asks for a lock, so that the one who has it can wait for the others to ask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._changed = threading.Condition()
        self._count = 0

        def acquire(*given: Any, **how: Any) -> Any:
            with self._changed:
                self._count += 1
                self._changed.notify_all()
            return acquire_lock(*given, **how)

        monkeypatch.setattr("pytest_eac.store.acquire_lock", acquire)

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._count >= count, timeout=60)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_builders_at_the_same_time_build_once(tmp_path: Path, asked: Asked) -> None:
    count = 4
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        asked.wait_for(count)
        fill(folder)

    def run(_: int) -> tuple[Path, str]:
        folder = cached_folder(tmp_path, "model", build)
        return folder, (folder / "weights").read_text(encoding="utf-8")

    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(run, range(count)))
    assert len(built) == 1
    assert found == [(tmp_path / "model", "whole")] * count


def test_a_builder_that_waited_for_a_failing_one_builds_itself(
    tmp_path: Path, asked: Asked
) -> None:
    attempts = []

    def fail(folder: Path) -> None:
        attempts.append("failed")
        asked.wait_for(2)
        raise OSError("disk")

    def succeed(folder: Path) -> None:
        attempts.append("built")
        fill(folder)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cached_folder, tmp_path, "model", fail)
        asked.wait_for(1)
        second = pool.submit(cached_folder, tmp_path, "model", succeed)
        with pytest.raises(OSError, match="disk"):
            first.result(timeout=30)
        assert (second.result(timeout=30) / "weights").is_file()
    assert attempts == ["failed", "built"]


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_EAC_CACHE", str(tmp_path / "mine"))
    assert default_cache_dir() == tmp_path / "mine"
    monkeypatch.setenv("PYTEST_EAC_CACHE", "")
    assert default_cache_dir().name == "pytest-eac"
    monkeypatch.delenv("PYTEST_EAC_CACHE")
    assert default_cache_dir().name == "pytest-eac"
    assert default_cache_dir().is_absolute()


# Cached texts, and files that are asked for


def test_a_text_is_made_once(tmp_path: Path) -> None:
    made = iter(["first", "second"])
    assert cached_text(tmp_path, "deep/name", lambda: next(made)) == "first"
    assert cached_text(tmp_path, "deep/name", lambda: next(made)) == "first"
    assert next(made) == "second"


def test_a_text_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached_text(tmp_path, "name", fail)
    assert names(tmp_path) == set()
    assert cached_text(tmp_path, "name", lambda: "text") == "text"


def test_a_cached_text_that_is_gone_is_reported_with_what_to_remove(tmp_path: Path) -> None:
    cached_text(tmp_path, "name", lambda: "text")
    (tmp_path / "name" / "text").unlink()
    with pytest.raises(RecordError, match="cannot be read; remove the folder"):
        cached_text(tmp_path, "name", lambda: "text")


def test_a_text_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new" / "picture.svg"
    require_writable(file)
    write_text(file, "<svg/>")
    assert file.read_text(encoding="utf-8") == "<svg/>"
    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(RecordError, match="No space left on device"):
        write_text(file, "other")
    assert file.read_text(encoding="utf-8") == "<svg/>"
    assert names(file.parent) == {"picture.svg"}


def test_a_text_that_does_not_fit_on_the_disk_is_not_added_in_part(tmp_path: Path) -> None:
    file = tmp_path / "sum.md"
    file.write_text("earlier\n" * 100, encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(RecordError, match=r"cannot be written: File too large"):
            append_text(file, "x" * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_text(encoding="utf-8") == "earlier\n" * 100
    append_text(file, "ōne\n")
    assert file.read_text(encoding="utf-8").endswith("earlier\nōne\n")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_record_that_is_no_regular_file_is_refused_rather_than_waited_for(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "base.json"
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(RecordError, match=rf"cannot be read: is a {kind}; expected a regular fi"):
        read_record(file)


def test_a_record_may_come_through_a_pipe_that_the_shell_names(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as file:
        file.write(to_json(Record(environment={}, chains=())))
    assert read_record(Path(f"/dev/fd/{reading}")).chains == ()
    os.close(reading)


def test_a_file_that_cannot_be_written_is_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RecordError, match="cannot be written: it is a folder"):
        require_writable(tmp_path)
    with pytest.raises(RecordError, match="cannot be written: "):
        require_writable(tmp_path / "file" / "picture.svg")
    assert names(tmp_path) == {"file"}


# Tensors


def test_tensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "new" / "moment.safetensors"
    assert read_tensors(file) is None
    for number in (1.0, 2.0):
        write_tensors(file, {"m": torch.full((2, 3), number)}, {"about": "Ōsaka"})
        tensors, about = read_tensors(file) or ({}, {})
        assert torch.equal(tensors["m"], torch.full((2, 3), number))
        assert about == {"about": "Ōsaka"}
        assert names(file.parent) == {"moment.safetensors"}


@pytest.mark.parametrize("place", ["a folder", "below a file", "a long name"])
def test_tensors_that_cannot_be_written_leave_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    paths = {"a folder": "folder", "below a file": "file/moment", "a long name": "n" * 250}
    path = tmp_path / paths[place]
    with pytest.raises(RecordError, match=r"cannot be written: .") as raised:
        write_tensors(path, {"m": torch.ones(2)}, {})
    assert str(raised.value).startswith(f"{path}: ")
    assert names(tmp_path) == {"file", "folder"}
    assert names(tmp_path / "folder") == set()


def test_tensors_that_break_off_half_way_leave_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "moment"
    write_tensors(file, {"m": torch.ones(2)}, {})

    def half(_: object, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise safetensors.SafetensorError("Error while serializing: I/O error: no space left")

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(RecordError, match=r"cannot be written: .* no space left"):
        write_tensors(file, {"m": torch.zeros(2)}, {})
    assert names(tmp_path) == {"moment"}
    assert (read_tensors(file) or ({}, {}))[0]["m"].tolist() == [1, 1]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_tensors_and_built_folders_have_the_rights_that_the_umask_leaves(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        write_tensors(tmp_path / "moment", {"m": torch.ones(2)}, {})
        folder = cached_folder(tmp_path, "model", fill)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "moment").stat().st_mode) == mode
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask


def test_tensors_that_were_read_do_not_change_with_their_file(tmp_path: Path) -> None:
    file = tmp_path / "moment"
    write_tensors(file, {"m": torch.ones(1000)}, {})
    tensors, _ = read_tensors(file) or ({}, {})
    with file.open("r+b") as opened:
        opened.write(b"\0" * file.stat().st_size)
        assert tensors["m"].sum() == 1000
        opened.truncate(0)  # a mapped tensor would end the process here
    assert tensors["m"].sum() == 1000


def test_a_lock_keeps_others_waiting(tmp_path: Path, asked: Asked) -> None:
    inside, most, count = [], [], 4

    def run(number: int) -> None:
        with locked(tmp_path / "new" / "lock"):
            inside.append(number)
            most.append(len(inside))
            asked.wait_for(count)
            inside.remove(number)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))
    assert most == [1] * count


def test_a_lock_that_cannot_be_had_is_a_record_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "lock", tmp_path / "folder"):
        with (
            pytest.raises(RecordError, match=r"cannot be used: .*; give another with"),
            locked(path),
        ):
            pass
