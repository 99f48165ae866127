"""Where outputs go: links, pipes and devices; leftovers; who may read them; several at a time."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from filelock import Timeout

from pytest_eac.atomic_write import acquire_lock, is_stream
from pytest_eac.cache.entries import Cache, Entry
from pytest_eac.cache.folders import cached_text
from pytest_eac.errors import RecordError
from pytest_eac.records.run import Record
from pytest_eac.store import (
    append_text,
    new_folder,
    read_record,
    require_writable,
    update_record,
    write_record,
    write_tensors,
    write_text,
)
from tests.judging.hand_made_chains import chain, checkpoint, of_its_edits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")


# Links


def test_a_link_stays_and_the_file_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "target.json"
    target.write_text("old", encoding="utf-8")
    (tmp_path / "second").symlink_to("far/target.json")
    link = tmp_path / "link"
    link.symlink_to("second")
    before = target.stat().st_ino
    require_writable(link)
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    assert target.stat().st_ino != before  # replaced when it was whole, not written over


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new" / "target")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "new" / "target").read_text(encoding="utf-8") == "new"


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("link")
    for write in (require_writable, lambda path: write_text(path, "x")):
        with pytest.raises(RecordError, match="link: cannot be written: Too many levels"):
            write(link)
    assert link.is_symlink()


# Pipes and devices


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def read_all(opened: int) -> str:
    """Read a pipe to its end; to read before anything is written would be its end already."""
    waiting = select.poll()
    waiting.register(opened, select.POLLIN)
    waiting.poll(30_000)
    with os.fdopen(opened, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("write", [write_text, append_text])
def test_a_pipe_is_written_to_and_stays(pipe: Path, write: Callable[[Path, str], None]) -> None:
    long = "Ōsaka\n" * 100_000  # more than a pipe holds at a time
    with ThreadPoolExecutor(1) as pool:
        opened = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(opened, True)
        reader = pool.submit(read_all, opened)
        require_writable(pipe)
        write(pipe, long)
        assert reader.result(timeout=30) == long
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_that_nobody_reads_is_an_error_rather_than_a_hang(pipe: Path) -> None:
    with pytest.raises(RecordError, match="cannot be written: it is a pipe that no process reads"):
        write_text(pipe, "text")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_is_written_to(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        link = tmp_path / "link"
        link.symlink_to(os.ttyname(theirs))
        require_writable(link)
        write_text(link, "text\n")
        assert os.read(ours, 100) == b"text\r\n"
        assert link.is_symlink()
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_leads_to_an_open_file_goes_on_where_that_has_come_to(tmp_path: Path) -> None:
    with (tmp_path / "redirected").open("w", encoding="utf-8") as file:
        file.write("before ")
        file.flush()
        (tmp_path / "stdout").symlink_to(f"/dev/fd/{file.fileno()}")
        write_text(tmp_path / "stdout", "text ")
        file.write("after")
    assert (tmp_path / "redirected").read_text(encoding="utf-8") == "before text after"
    assert (tmp_path / "stdout").is_symlink()


def test_standard_output_and_the_null_device_are_streams(tmp_path: Path) -> None:
    for name in ("/dev/stdout", "/dev/stderr", "/dev/null", "/dev/fd/1"):
        assert is_stream(Path(name))
        require_writable(Path(name))
    assert not is_stream(tmp_path / "new")


def test_a_socket_is_refused_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        for write in (require_writable, lambda path: write_text(path, "x")):
            with pytest.raises(RecordError, match="it is a socket; expected a file, a pipe or a t"):
                write(path)
    assert stat.S_ISSOCK(path.stat().st_mode)


def test_a_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)
    (tmp_path / "disk").touch()
    with pytest.raises(RecordError, match="it is a disk; expected a file, a pipe or a terminal"):
        write_text(tmp_path / "disk", "x")


# Who may read


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_what_is_written_has_the_rights_of_the_umask(tmp_path: Path, mask: int) -> None:
    def build(folder: Path) -> None:
        write_tensors(folder / "model.safetensors", {"m": torch.ones(1)}, {})

    with umask(mask):
        new_folder(tmp_path / "export", build)
        write_text(tmp_path / "text", "")
    assert mode(tmp_path / "export") == 0o777 & ~mask
    assert mode(tmp_path / "export" / "model.safetensors") == 0o666 & ~mask
    assert mode(tmp_path / "text") == 0o666 & ~mask


# Runs that were killed, and several at a time


def killed_while_writing(path: Path, make: str) -> None:
    """Leave behind what a process leaves that is killed while it writes ``path``."""
    code = f"""
        import os, pathlib, signal
        from pytest_eac.atomic_write import replacing
        with replacing(pathlib.Path({str(path)!r})) as part:
            {make}
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_run_left_of_a_file_goes_with_the_next_write(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    killed_while_writing(file, "part.write_text('half')")
    assert len(list(tmp_path.iterdir())) == 2  # what it wrote, and its lock
    write_text(file, "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_what_a_killed_export_left_goes_with_the_next_one(tmp_path: Path) -> None:
    out = tmp_path / "release"
    killed_while_writing(out, "part.mkdir(); (part / 'weights').write_text('half')")
    assert not out.exists()
    new_folder(out, lambda folder: (folder / "weights").touch())
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_a_folder_that_another_process_is_making_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "release"

    def build(folder: Path) -> None:
        (folder / "weights").touch()
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(new_folder, out, lambda folder: None)
            with pytest.raises(RecordError, match="release: is being written by another process"):
                second.result(timeout=30)

    new_folder(out, build)
    assert [path.name for path in out.iterdir()] == ["weights"]


def with_seed(seed: int) -> Record:
    return Record(environment={}, chains=(of_its_edits(chain(checkpoint(1), seed=seed)),))


def add_chain(file: Path, seed: int) -> None:
    def change(old: Record | None) -> Record:
        chains = old.chains if old else ()
        return Record(environment={}, chains=(*chains, *with_seed(seed).chains))

    update_record(file, change)


def test_updates_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    file, count, times = tmp_path / "base.json", 4, 5
    together = threading.Barrier(count)

    def run(number: int) -> None:
        together.wait(timeout=30)
        for turn in range(times):
            add_chain(file, number * times + turn)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))
    assert {each.seed for each in read_record(file).chains} == set(range(count * times))
    assert [path.name for path in tmp_path.iterdir()] == ["base.json"]


def test_an_update_that_fails_leaves_the_file(tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    write_record(file, with_seed(1))

    def change(_: Record | None) -> Record:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        update_record(file, change)
    assert read_record(file) == with_seed(1)
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(RecordError, match="not a results file"):
        add_chain(file, 2)
    assert file.read_text(encoding="utf-8") == "[]"


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def _no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""
    pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, request.param), "no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)


@pytest.mark.usefixtures("_no_flock")
def test_where_the_file_system_has_no_locks_files_are_written_and_folders_built(
    tmp_path: Path,
) -> None:
    for text in ("old", "new"):
        write_text(tmp_path / "out" / "file", text)
    assert (tmp_path / "out" / "file").read_text(encoding="utf-8") == "new"
    assert listed(tmp_path / "out") == ["file"]
    cache = Cache(tmp_path / "cache")
    with cache.working("covariance"):
        cache.write("covariance", {"n": 1}, Entry(data=1))
    assert Cache(tmp_path / "cache").read("covariance", {"n": 1}) is not None
    assert not [*(tmp_path / "cache").rglob("*.soft")]
    assert cached_text(tmp_path / "cache", "x", lambda: "kept") == "kept"


@pytest.mark.usefixtures("_no_flock")
def test_where_the_file_system_has_no_locks_one_process_at_a_time_has_the_lock(
    tmp_path: Path,
) -> None:
    with acquire_lock(tmp_path / "lock"), pytest.raises(Timeout):
        acquire_lock(tmp_path / "lock", wait=False)
    with acquire_lock(tmp_path / "lock", wait=False):
        pass
    assert listed(tmp_path) == []
