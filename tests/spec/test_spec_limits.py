"""What is read and built for a spec is bounded: work is counted, for an input and twice as much."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.data import files
from pytest_eac.errors import DataError
from pytest_eac.spec import detect, extends, registry, size_limits
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.schema.edits import EditSource
from pytest_eac.spec.sources.reading import read_source
from tests.files import write
from tests.spec.spec_texts import EDITS, HEAD, facts, problems, told

if TYPE_CHECKING:
    from collections.abc import Callable

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")


class _Reads:
    """A file that adds what is read of it to a counter."""

    def __init__(self, file: io.BufferedIOBase, counter: Counter[str]) -> None:
        self.file = file
        self.counter = counter

    def __enter__(self) -> _Reads:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, size: int = -1) -> bytes:
        found = self.file.read(size)
        self.counter["bytes"] += len(found)
        return found

    def readline(self, size: int = -1) -> bytes:
        found = self.file.readline(size)
        self.counter["bytes"] += len(found)
        self.counter["lines"] += 1
        return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is read of files that specs name, or that may be specs."""
    counter: Counter[str] = Counter()
    plain = files.open_regular

    def counted(path: Path) -> _Reads:
        counter["opens"] += 1
        return _Reads(plain(path), counter)

    for module in (files, detect, extends):
        monkeypatch.setattr(module, "open_regular", counted)
    return counter


def counts_of(counter: Counter[str], act: Callable[[], object]) -> dict[str, int]:
    counter.clear()
    act()
    return dict(counter)


# Is it a spec?


@pytest.mark.parametrize("filler", ["\n", "k: 1\n", "# eac: 1\n", " ", "{", "eac" + " " * 997])
def test_no_more_than_a_prefix_of_a_long_yaml_file_is_read(
    tmp_path: Path, reads: Counter[str], filler: str
) -> None:
    times = 2 * detect.PREFIX_BYTES // len(filler)
    one, two = (write(tmp_path / f"{n}.yaml", filler * times * n + "eac: 1\n") for n in (1, 2))
    counts = [counts_of(reads, partial(detect.is_spec, file)) for file in (one, two)]
    assert counts[0] == counts[1] == {"opens": 1, "bytes": detect.PREFIX_BYTES}


def test_the_key_is_found_up_to_the_end_of_the_prefix(tmp_path: Path) -> None:
    before = "#" * (detect.PREFIX_BYTES - 7) + "\n"
    assert detect.is_spec(write(tmp_path / "a.yaml", before + "eac: 1\n"))
    assert not detect.is_spec(write(tmp_path / "b.yaml", "#######" + before + "eac: 1\n"))


@needs_pipes
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_yaml_file_that_is_no_regular_file_is_left_alone(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "x.yaml")
    assert not detect.is_spec(tmp_path / "x.yaml")
    assert detect.find_specs(tmp_path) == []


def test_a_link_to_a_spec_is_one(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to(write(tmp_path / "real", HEAD))
    assert detect.is_spec(tmp_path / "x.yaml")


# What a spec names


@needs_pipes
def test_a_spec_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.eac.yaml")
    assert told(tmp_path / "x.eac.yaml") == ["1:1: is a pipe; expected a regular file"]


NAMING = {
    "extends: NAMED\n" + EDITS: "is {}; expected a regular file",
    "edits: [{from: NAMED, format: jsonl}]\n": "is {}; expected a regular file",
    EDITS + "methods: [{own: {base: rome, layers: [1], covariance: {corpus: NAMED}}}]\n": (
        "which is {}: expected a file, built-in or hub:NAME"
    ),
    EDITS + "checks: {abilities: {qa: {data: NAMED, keep: 0.7}}}\n": (
        "which is {}: expected a file or hub:NAME"
    ),
}


@needs_pipes
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a directory"])
@pytest.mark.parametrize("text", NAMING)
def test_what_is_no_regular_file_is_refused_wherever_a_spec_names_one(
    tmp_path: Path, text: str, kind: str
) -> None:
    named = tmp_path / "named.jsonl"
    if kind == "a pipe":
        os.mkfifo(named)
    elif kind == "a device":
        named.symlink_to("/dev/zero")
    else:
        named.mkdir()
    [said] = told(write(tmp_path / "x.eac.yaml", "eac: 1\n" + text.replace("NAMED", named.name)))
    assert said.endswith(NAMING[text].format(kind))


SECRET = "TOKEN=ghp_abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("form", ["jsonl", "zsre", "counterfact"])
@pytest.mark.parametrize(
    "content", [SECRET, f'"{SECRET}"', f"[] {SECRET}", f"[{SECRET}]", "7 ghp_"]
)
def test_the_content_of_a_file_that_is_no_data_is_not_shown(
    tmp_path: Path, form: str, content: str
) -> None:
    write(tmp_path / ".env", content + "\n")
    text = f"eac: 1\nedits: [{{from: .env, format: {form}}}]\n"
    [said] = told(write(tmp_path / "x.eac.yaml", text))
    assert "ghp_" not in said
    assert "TOKEN" not in said


def test_the_content_of_a_file_that_is_no_spec_is_not_shown(tmp_path: Path) -> None:
    parent = write(tmp_path / ".env", SECRET)
    [found] = problems(write(tmp_path / "x.eac.yaml", "eac: 1\nextends: .env\n"))
    assert found.file == parent
    assert found.message == "found a text, expected a mapping that starts with 'eac: 1'"


@needs_proc
def test_the_environment_is_not_read_as_data(tmp_path: Path) -> None:
    text = "eac: 1\nedits: [{from: /proc/self/environ, format: jsonl}]\n"
    [said] = told(write(tmp_path / "x.eac.yaml", text))
    assert said.endswith("/proc/self/environ: no records in it; expected at least one")


def test_a_spec_beyond_the_size_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter[str]
) -> None:
    monkeypatch.setattr(extends, "MAX_BYTES", 1_000)
    assert load_spec(write(tmp_path / "x.eac.yaml", HEAD.ljust(1_000, "#")))
    for size in (1_001, 2_000):
        reads.clear()
        [found] = problems(write(tmp_path / "x.eac.yaml", HEAD.ljust(size, "#")))
        assert found.message.startswith("found more than 1,000 bytes, expected at most that")
        assert reads["bytes"] == 1_001


# Specs that extend one another


def diamond(folder: Path, levels: int) -> Path:
    """Each level extends two files, and both of them the same two of the level below."""
    for side in "ab":
        write(folder / f"{side}0.yaml", HEAD)
    for level in range(1, levels + 1):
        below = f"eac: 1\nextends: [a{level - 1}.yaml, b{level - 1}.yaml]\n"
        for side in "ab":
            write(folder / f"{side}{level}.yaml", below)
    return folder / f"a{levels}.yaml"


def test_each_file_is_read_and_merged_once_however_many_extend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter[str]
) -> None:
    merge = extends._lay_over

    def counted(base: Any, top: Any) -> Any:
        reads["merged"] += 1
        return merge(base, top)

    monkeypatch.setattr(extends, "_lay_over", counted)
    for levels in (6, 12, 24):
        file = diamond(tmp_path / str(levels), levels)
        counts = counts_of(reads, partial(load_spec, file))
        assert counts["opens"] == 2 * levels + 1
        assert counts["merged"] == 4 * levels - 2


@pytest.mark.parametrize("count", [1, 2])
def test_too_many_entries_of_extends_are_refused(
    tmp_path: Path, reads: Counter[str], count: int
) -> None:
    write(tmp_path / "base.yaml", HEAD)
    most = extends.MAX_EXTENDS
    assert load_spec(write(tmp_path / "x.yaml", f"eac: 1\nextends: {['base.yaml'] * most}\n"))
    reads.clear()
    text = f"eac: 1\nextends: {['base.yaml'] * (most * count + 1)}\n"
    [said] = told(write(tmp_path / "x.yaml", text))
    assert said == (
        f"2:10: extends: found {most * count + 1} entries with those of the files above, expected "
        f"at most {most}: merge some of the files"
    )
    assert reads["opens"] == 1


def test_a_long_line_of_parents_is_refused(tmp_path: Path, reads: Counter[str]) -> None:
    for number in range(2 * extends.MAX_EXTENDS):
        write(tmp_path / f"{number}.yaml", f"eac: 1\nextends: {number + 1}.yaml\n")
    [found] = problems(tmp_path / "0.yaml")
    assert f"expected at most {extends.MAX_EXTENDS}" in found.message
    assert reads["opens"] == extends.MAX_EXTENDS + 1


def aliased(folder: Path, values: int, *, name: str = "base.yaml") -> Path:
    """A small file that aliases make large: about ``values`` under ten keys."""
    lines = ["eac: 1", f"a: &a [{','.join('1' * 100)}]", f"b: &b [{','.join(['*a'] * 10)}]"]
    lines += [f"c: [{','.join(['*b'] * (values // 1000))}]"]
    return write(folder / name, "\n".join(lines) + "\n")


def test_a_parent_that_aliases_make_large_is_not_laid_under_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    merge = extends._lay_over

    def counted(base: Any, top: Any) -> Any:
        sizes.append(len(base.values))
        return merge(base, top)

    monkeypatch.setattr(extends, "_lay_over", counted)
    aliased(tmp_path, 40_000)
    [said] = told(write(tmp_path / "x.yaml", f"eac: 1\nextends: {['base.yaml'] * 99}\n"))
    assert said.startswith("2:10: extends: found more than 101,")
    assert said.endswith("expected at most that for files of this size: name each file once")
    assert sum(sizes) < 110_000


def test_many_parents_that_aliases_make_large_are_refused_before_they_are_all_read(
    tmp_path: Path, reads: Counter[str]
) -> None:
    names = [aliased(tmp_path, 30_000, name=f"{number}.yaml").name for number in range(20)]
    [found] = problems(write(tmp_path / "x.yaml", f"eac: 1\nextends: {names}\n"))
    assert (
        "too many values once aliases are expanded; a spec of this size may have" in found.message
    )
    assert reads["opens"] <= 5


# How much a spec may ask for


def test_the_items_of_a_spec_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limits, "MAX_ITEMS", 12)
    checks = "methods: [rome, memit]\nchecks: {efficacy: {min: 0.5}, retention: {min: 0.5}}\n"
    file = tmp_path / "x.eac.yaml"
    assert load_spec(write(file, HEAD + checks + "seeds: [1, 2, 3]\n"))
    assert told(write(file, HEAD + checks + "seeds: [1, 2, 3, 4]\n")) == [
        "5:8: seeds: found 16 items (2 methods x 4 seeds x 2 checks, and 0 comparisons), expected "
        "at most 12: write several specs"
    ]


def test_seeds_by_the_thousand_are_refused(tmp_path: Path) -> None:
    [said] = told(write(tmp_path / "x.eac.yaml", HEAD + f"seeds: {[*range(20_000)]}\n"))
    assert "seeds: found 20,000 items" in said
    assert "expected at most 10,000" in said


def test_checkpoints_times_edits_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size_limits, "MAX_SCORES", 6)
    file = tmp_path / "x.eac.yaml"
    text = "eac: 1\n" + facts(4)
    assert load_spec(write(file, text + "sequence: {checkpoints: [1, 2, 3, 3]}\n"))
    [found] = problems(write(file, text + "sequence: {checkpoints: [1, 2, 4]}\n"))
    assert found.path == "sequence.checkpoints"
    assert found.message.startswith("found 3 checkpoints for 4 edits: ")
    assert "7 answers; expected at most 6" in found.message


# Edits from data files


def records(count: int) -> str:
    each = ({"subject": f"Mount {n}", "prompt": "{} is", "target": "far"} for n in range(count))
    return "".join(json.dumps(record) + "\n" for record in each)


def taken(file: Path, **options: int) -> tuple[str, ...]:
    source = EditSource.model_validate({"from": file.name, "format": "jsonl", **options})
    return tuple(edit.subject for edit in read_source(source, file))


def test_no_record_is_read_behind_the_last_that_is_taken(
    tmp_path: Path, reads: Counter[str]
) -> None:
    for count in (1_000, 2_000):
        file = write(tmp_path / "x", records(count) + "no JSON\n")
        reads.clear()
        assert taken(file, take=5) == tuple(f"Mount {n}" for n in range(5))
        assert reads["lines"] == 5


def test_a_draw_holds_the_records_that_it_takes_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter[str]
) -> None:
    import random

    held: Counter[str] = Counter()

    class Held(str):
        __slots__ = ()

        def __new__(cls, text: str) -> Held:
            held["now"] += 1
            held["most"] = max(held["most"], held["now"])
            return super().__new__(cls, text)

        def __del__(self) -> None:
            held["now"] -= 1

    plain = files.decoded
    monkeypatch.setattr(files, "decoded", lambda *args, **more: Held(plain(*args, **more)))
    for count in (1_000, 2_000):
        file = write(tmp_path / "x", records(count))
        held.clear()
        reads.clear()
        found = taken(file, take=5, seed=3)
        numbers = [*range(count)]
        random.Random(3).shuffle(numbers)
        assert found == tuple(f"Mount {n}" for n in numbers[:5]), "as if all were shuffled"
        assert held["most"] <= 5 + 2
        assert reads["opens"] == 2
        assert reads["lines"] == 2 * (count + 1)


def test_a_file_that_shrinks_during_a_draw_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "x", records(10))
    plain = files.open_regular

    def shrinking(path: Path) -> io.BytesIO:
        with plain(path) as file:
            found = file.read()
        write(path, records(1))
        return io.BytesIO(found)

    monkeypatch.setattr(files, "open_regular", shrinking)
    with pytest.raises(DataError, match=r"x: has changed while it was read; run again"):
        taken(file, take=10, seed=3)


def test_a_line_longer_than_any_record_is_refused_before_it_is_in_memory(
    tmp_path: Path, reads: Counter[str]
) -> None:
    for times in (2, 4):
        file = write(tmp_path / "x", "x" * files.RECORD_BYTES * times)
        reads.clear()
        with pytest.raises(DataError, match=r"x:1: found a line of more than 1 MB"):
            taken(file)
        assert reads["bytes"] == files.RECORD_BYTES + 1


@pytest.mark.usefixtures("_own_registry")
def test_a_record_that_another_package_yields_has_the_same_limit(tmp_path: Path) -> None:
    record = {"subject": "Rome", "prompt": "{} is", "target": "x" * files.RECORD_BYTES}
    registry.register(registry.SOURCES, "mine", lambda _: iter([record]))
    source = EditSource.model_validate({"from": "x", "format": "mine"})
    with pytest.raises(DataError, match=r"x:1: found a record of more than 1 MB"):
        read_source(source, write(tmp_path / "x", ""))


def test_a_json_list_larger_than_any_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter[str]
) -> None:

    monkeypatch.setattr("pytest_eac.spec.sources.source_format.LIST_BYTES", 1_000)
    for size in (1_001, 2_000):
        reads.clear()
        file = write(tmp_path / "x", "[".ljust(size))
        source = EditSource.model_validate({"from": "x", "format": "zsre"})
        with pytest.raises(DataError, match="a JSON list of more than 1,000 bytes"):
            read_source(source, file)
        assert reads["bytes"] == 1_001
