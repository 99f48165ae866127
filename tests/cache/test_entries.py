from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.cache import entries
from pytest_eac.cache.entries import FORMAT, Cache, CacheWarning, Entry, digest, source_digest
from pytest_eac.cache.kinds import EDITS, MEASUREMENTS, kept
from pytest_eac.store import write_tensors

if TYPE_CHECKING:
    from pathlib import Path

KEY = {"model": "a", "seed": 1, "texts": ["Zürich", None]}
TENSORS = {
    "wide": torch.arange(6.0, dtype=torch.float64).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "half": torch.tensor([1.5, -0.0], dtype=torch.bfloat16),
    "none": torch.zeros(4, 0),
    "scalar": torch.tensor(0.1),
}


def file_of(root: Path, kind: str = EDITS) -> Path:
    (entry,) = kept(root, kind)
    return entry.path


def parts(root: Path) -> list[Path]:
    return list(root.rglob("*.part"))


def test_an_entry_is_read_bit_for_bit_as_it_was_written(tmp_path: Path) -> None:
    data = {"loss": 0.1 + 0.2, "texts": ["ß", ""], "none": None}
    Cache(tmp_path).write(EDITS, KEY, Entry(data=data, tensors=TENSORS))
    found = Cache(tmp_path).read(EDITS, KEY)
    assert found is not None
    assert found.data == data
    assert found.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
        assert found.tensors[name].is_contiguous()


def test_tensors_that_share_their_memory_are_kept(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    cache = Cache(tmp_path)
    cache.write(EDITS, KEY, Entry(data=0, tensors={"whole": whole, "part": whole[:, 1:]}))
    found = cache.read(EDITS, KEY)
    assert found is not None
    assert torch.equal(found.tensors["part"], whole[:, 1:])


@pytest.mark.parametrize("other", [{**KEY, "seed": 2}, {**KEY, "more": None}, {"model": "a"}])
def test_another_key_finds_nothing(tmp_path: Path, other: dict[str, Any]) -> None:
    cache = Cache(tmp_path)
    cache.write(EDITS, KEY, Entry(data=1))
    assert cache.read(EDITS, other) is None
    assert cache.read(MEASUREMENTS, KEY) is None
    assert cache.hits.total() == 0


def test_the_order_of_a_key_does_not_matter(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write(EDITS, KEY, Entry(data=1))
    assert cache.read(EDITS, dict(reversed(KEY.items()))) is not None
    assert cache.hits[EDITS] == 1


def test_data_are_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> list[float]:
        made.append(1)
        return [1 / 3]

    cache = Cache(tmp_path)
    assert cache.take(MEASUREMENTS, KEY, make) == cache.take(MEASUREMENTS, KEY, make) == [1 / 3]
    assert len(made) == 1


# Damage


def damaged_copies(content: bytes) -> list[bytes]:
    flipped = [
        content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
        for place in range(len(content))
    ]
    return [*flipped, *(content[:length] for length in range(0, len(content), 7))]


def test_no_entry_with_a_changed_byte_or_a_cut_off_end_is_believed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write(EDITS, {"k": 1}, Entry(data=[1.5], tensors={"t": torch.tensor([1.0, 2.0])}))
    path = file_of(tmp_path)
    for content in damaged_copies(path.read_bytes()):
        path.write_bytes(content)
        with pytest.warns(CacheWarning, match=path.name):
            assert cache.read(EDITS, {"k": 1}) is None
    assert cache.hits.total() == 0


def test_an_entry_that_was_forged_with_its_checksum_is_believed(tmp_path: Path) -> None:
    one, other = Cache(tmp_path / "one"), Cache(tmp_path / "other")
    one.write(EDITS, KEY, Entry(data=1))
    other.write(EDITS, KEY, Entry(data=2))
    file_of(tmp_path / "one").write_bytes(file_of(tmp_path / "other").read_bytes())
    found = one.read(EDITS, KEY)
    assert found is not None
    assert found.data == 2


@pytest.mark.parametrize("moment", ["before it is looked for", "while it is read"])
def test_an_entry_that_another_run_writes_or_removes_meanwhile_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    cache = Cache(tmp_path)
    cache.write(EDITS, KEY, Entry(data=1))
    path = file_of(tmp_path)
    content = path.read_bytes()

    def meanwhile(read: Path) -> None:
        if moment == "while it is read":
            read.unlink()
        else:
            read.write_bytes(content)

    if moment == "before it is looked for":
        path.unlink()
    monkeypatch.setattr(entries, "read_tensors", meanwhile)
    assert cache.read(EDITS, KEY) is None


def test_an_entry_under_the_name_of_another_is_not_believed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for seed in (1, 2):
        cache.write(EDITS, {"seed": seed}, Entry(data=seed))
    paths = [tmp_path / EDITS / name[:2] / f"{name}.safetensors" for name in names_of(1, 2)]
    paths[0].replace(paths[1])
    with pytest.warns(CacheWarning, match="is not what its name says"):
        assert cache.read(EDITS, {"seed": 2}) is None


def names_of(*seeds: int) -> list[str]:
    return [digest({"format": FORMAT, "seed": seed}) for seed in seeds]


def test_entries_of_another_format_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    monkeypatch.setattr("pytest_eac.cache.entries.FORMAT", FORMAT - 1)
    cache.take(MEASUREMENTS, KEY, lambda: "false")
    monkeypatch.undo()
    assert cache.read(MEASUREMENTS, KEY) is None
    assert cache.take(MEASUREMENTS, KEY, lambda: "true") == "true"


def test_a_damaged_entry_is_made_anew_and_told(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.take(MEASUREMENTS, KEY, lambda: "first")
    path = file_of(tmp_path, MEASUREMENTS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(CacheWarning, match="computed again"):
        assert cache.take(MEASUREMENTS, KEY, lambda: "second") == "second"
    assert Cache(tmp_path).take(MEASUREMENTS, KEY, lambda: "third") == "second"


# Trouble with the disk


def told_once(cache: Cache) -> str:
    """Keep two things; the second time nothing may be said, which pytest would make an error."""
    with pytest.warns(CacheWarning) as told:
        assert cache.take(EDITS, {"n": 1}, lambda: 1) == 1
    assert cache.take(EDITS, {"n": 2}, lambda: 2) == 2
    (warning,) = told
    return str(warning.message)


def test_a_full_disk_is_told_once_and_what_is_there_stays_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    cache.take(EDITS, {"n": 0}, lambda: "kept")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("safetensors.torch.save_file", full)
    text = told_once(cache)
    assert "No space left on device" in text
    assert str(tmp_path) in text
    assert "--eac-no-cache" in text
    assert cache.take(EDITS, {"n": 0}, lambda: "anew") == "kept"
    assert not parts(tmp_path)


FILE_SIZE = """
import resource, sys, warnings, torch
from pathlib import Path
from pytest_eac.cache.entries import Cache, Entry
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
cache = Cache(Path(sys.argv[1]))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for number in range(3):
        cache.write("edits", {"n": number}, Entry(data=0, tensors={"t": torch.zeros(4000)}))
        assert cache.read("edits", {"n": number}) is None
print([str(each.message) for each in told])
"""


def test_a_write_that_the_system_stops_halfway_leaves_nothing(tmp_path: Path) -> None:
    done = run(FILE_SIZE, tmp_path)
    assert done.stdout.count("cannot be written") == 1, done
    assert not kept(tmp_path, EDITS)
    assert not parts(tmp_path)


def test_a_folder_that_cannot_be_used_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "--eac-cache-dir" in told_once(Cache(tmp_path / "file" / "cache"))


def test_a_read_only_folder_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).write(EDITS, KEY, Entry(data="kept"))

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("os.utime", "os.open"):
        monkeypatch.setattr(name, read_only)
    cache = Cache(tmp_path)
    assert cache.take(EDITS, KEY, lambda: "anew") == "kept"
    assert "Read-only file system" in told_once(cache)


# Several processes


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


WRITER = """
import sys, warnings, torch
from pathlib import Path
from pytest_eac.cache.entries import Cache, Entry
warnings.simplefilter("error")
cache = Cache(Path(sys.argv[1]))
for number in range(40):
    for key in ({"n": number}, {"n": number, "mine": sys.argv[2]}):
        cache.write("edits", key, Entry(data=number, tensors={"t": torch.full((50,), number)}))
        found = cache.read("edits", key)
        assert found.data == number and bool((found.tensors["t"] == number).all())
"""


def test_two_processes_write_the_same_and_other_entries(tmp_path: Path) -> None:
    writers = [start(WRITER, tmp_path, name) for name in "ab"]
    for writer in writers:
        assert writer.communicate()[1] == ""
    cache = Cache(tmp_path)
    for number in range(40):
        for more in ({}, {"mine": "a"}, {"mine": "b"}):
            found = cache.read(EDITS, {"n": number, **more})
            assert found is not None
            assert found.data == number
    assert not parts(tmp_path)


HALF = """
import os, signal, sys
from pathlib import Path
import safetensors.torch
from pytest_eac.cache.entries import Cache
whole = safetensors.torch.save_file
def half(tensors, path, metadata):
    whole(tensors, path, metadata)
    os.truncate(path, os.path.getsize(path) // 2)
    os.kill(os.getpid(), signal.SIGKILL)
safetensors.torch.save_file = half
Cache(Path(sys.argv[1])).take("edits", {"n": 1}, lambda: "killed")
"""


def test_a_process_killed_amid_a_write_leaves_nothing_that_is_believed(tmp_path: Path) -> None:
    assert run(HALF, tmp_path).returncode == -signal.SIGKILL
    assert len(parts(tmp_path)) == 1
    cache = Cache(tmp_path)
    assert cache.read(EDITS, {"n": 1}) is None
    # The dead process's lock is free, and what it left is swept up.
    assert cache.take(EDITS, {"n": 1}, lambda: "anew") == "anew"
    assert cache.read(EDITS, {"n": 1}) is not None
    assert not parts(tmp_path)


def test_what_a_killed_process_leaves_goes_with_a_write_of_something_else(tmp_path: Path) -> None:
    assert run(HALF, tmp_path).returncode == -signal.SIGKILL
    Cache(tmp_path).write(EDITS, {"n": 2}, Entry(data=2))
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert len(found) == 2, found
    assert "entries.lock" in found


ENDLESS = """
import itertools, sys, torch
from pathlib import Path
from pytest_eac.cache.entries import Cache, Entry
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
for number in itertools.count():
    tensors = {"t": torch.full((300_000,), number % 7)}
    cache.write("edits", {"n": number % 7}, Entry(data=number % 7, tensors=tensors))
"""


def test_processes_killed_at_any_time_leave_whole_entries_only(tmp_path: Path) -> None:
    for wait in (0.02, 0.05, 0.11):
        writer = start(ENDLESS, tmp_path)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        cache = Cache(tmp_path)
        for number in range(7):
            found = cache.read(EDITS, {"n": number})
            assert found is None or bool((found.tensors["t"] == number).all())
    Cache(tmp_path).write(EDITS, {"n": 0}, Entry(data=0))
    assert not parts(tmp_path)


# Size


def sized(count: int) -> Entry:
    return Entry(data=0, tensors={"t": torch.zeros(count, dtype=torch.uint8)})


def total(root: Path) -> int:
    return sum(each.size for kind in (EDITS, MEASUREMENTS) for each in kept(root, kind))


def test_entries_used_least_recently_make_room_for_new_ones(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=10_000)
    for number in range(4):
        cache.write(EDITS, {"n": number}, sized(1500))
    assert cache.read(EDITS, {"n": 0}) is not None  # as good as new
    for number in range(4, 7):
        cache.write(MEASUREMENTS, {"n": number}, sized(1500))
    assert total(tmp_path) <= 10_000
    assert cache.read(EDITS, {"n": 0}) is not None
    assert cache.read(EDITS, {"n": 1}) is None
    assert cache.read(MEASUREMENTS, {"n": 6}) is not None


def test_the_limit_holds_at_any_time_whatever_the_sizes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=20_000)
    for number in range(60):
        cache.write(EDITS, {"n": number}, sized(number * 997 % 5000))
        assert total(tmp_path) <= 20_000
        assert cache.read(EDITS, {"n": number}) is not None
    assert total(tmp_path) > 10_000


def test_another_process_finds_what_there_is_and_counts_it(tmp_path: Path) -> None:
    for number in range(6):
        Cache(tmp_path, limit=10**6).write(EDITS, {"n": number}, sized(3000))
    Cache(tmp_path, limit=10_000).write(EDITS, {"n": 9}, sized(3000))
    assert total(tmp_path) <= 10_000
    assert Cache(tmp_path).read(EDITS, {"n": 9}) is not None


def test_making_room_leaves_the_files_of_others_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(bytes(5000))
    cache = Cache(tmp_path / "cache", limit=4000)
    cache.write(EDITS, {"n": 0}, sized(100))
    shard = file_of(tmp_path / "cache").parent
    notes = shard / "notes.txt"
    notes.write_text("mine" * 1000)
    link = shard / f"{'0' * 64}.safetensors"
    link.symlink_to(outside)
    for number in range(1, 9):
        cache.write(EDITS, {"n": number}, sized(1000))
    assert notes.exists()
    assert link.is_symlink()
    assert outside.exists()


# Source code


def test_the_digest_of_source_code_changes_with_each_file_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "__file__", str(tmp_path / "cache" / "entries.py"))
    (tmp_path / "editing" / "updates").mkdir(parents=True)
    files = [tmp_path / name for name in ("editing/a.py", "editing/updates/b.py", "settings.py")]
    other = tmp_path / "other.py"
    for file in (*files, other):
        file.write_text("x = 1\n")

    def now() -> str:
        source_digest.cache_clear()
        return source_digest("editing", "settings.py")

    try:
        first = now()
        other.write_text("x = 2\n")
        assert now() == first
        seen = {first}
        for file in files:
            file.write_text("x = 2\n")
            seen.add(now())
        files[0].rename(files[0].with_name("c.py"))
        seen.add(now())
        assert len(seen) == 5
    finally:
        source_digest.cache_clear()


def test_a_tensor_file_that_says_nothing_of_itself_is_no_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write(EDITS, KEY, Entry(data=1))
    about = {"sha256": digest({"key": None, "data": None, "tensors": {}})}
    write_tensors(file_of(tmp_path), {}, about)
    with pytest.warns(CacheWarning, match="is damaged, or is not what its name says"):
        assert cache.take(EDITS, KEY, lambda: 2) == 2
