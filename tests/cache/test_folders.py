from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from pytest_eac.cache.entries import CacheWarning
from pytest_eac.cache.folders import SEAL, take_folder
from pytest_eac.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "tiny-0123456789abcdef"


def build(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "model.safetensors").write_bytes(bytes(1000))
    (folder / "deeper" / "model.safetensors").chmod(0o600)


def never(folder: Path) -> None:
    raise AssertionError("it is there already")


def flip(folder: Path) -> None:
    path = folder / "deeper" / "model.safetensors"
    path.write_bytes(bytes(500) + b"\1" + bytes(499))


def forge(folder: Path) -> None:
    (folder / SEAL).write_text((folder / SEAL).read_text().replace("1000", "1001"))


def test_a_sound_folder_is_built_once(tmp_path: Path) -> None:
    first = take_folder(tmp_path, NAME, build)
    assert take_folder(tmp_path, NAME, never) == first


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (flip, "is damaged (deeper/model.safetensors)"),
        (lambda folder: (folder / "config.json").unlink(), "is damaged (config.json)"),
        (lambda folder: (folder / "more.py").write_text(""), "is damaged (more.py)"),
        (forge, f"{SEAL} is damaged"),
        (lambda folder: (folder / SEAL).unlink(), f"has no readable {SEAL}"),
        (lambda folder: (folder / SEAL).write_text("[]"), f"has no readable {SEAL}"),
    ],
)
def test_a_broken_folder_is_built_again_with_one_warning(
    tmp_path: Path, harm: Callable[[Path], object], fault: str
) -> None:
    folder = take_folder(tmp_path, NAME, build)
    harm(folder)
    with pytest.warns(CacheWarning) as warned:
        assert take_folder(tmp_path, NAME, build) == folder
    (warning,) = warned
    assert str(warning.message).startswith(f"{folder}: {fault}")
    assert sorted(each.name for each in folder.rglob("*")) == sorted(
        ["config.json", "deeper", "model.safetensors", SEAL]
    )
    assert not (folder / "deeper" / "model.safetensors").read_bytes().strip(b"\0")
    assert take_folder(tmp_path, NAME, never) == folder
    assert not list(folder.parent.glob(".*.part-*"))


def test_a_cache_that_cannot_be_written_gives_a_temporary_copy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(CacheWarning, match="goes on with a temporary copy") as warned:
        folder = take_folder(tmp_path / "file", NAME, build)
    assert len(warned) == 1
    assert (folder / "config.json").read_text() == "{}"
    assert tmp_path not in folder.parents


def test_a_build_that_fails_is_not_tried_elsewhere(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise ModelError("no model in it")

    with pytest.raises(ModelError, match="no model in it"):
        take_folder(tmp_path, NAME, fail)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
def test_others_may_read_a_folder_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = take_folder(tmp_path, NAME, build)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*") if each.is_file()}
    assert modes == {0o644}
