"""Code that a release brings: never run, and named where it is not the base's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.lm.folder import read_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_eac.lm.folder import ListedFile

# What transformers imports a model's code by, or looks for it in.
_KEYS = ("auto_map", "custom_pipelines", "custom_generate")
# The one file whose keys are compared with all others (companions.py).
_COMPARED = {"config.json": {"auto_map"}, "generation_config.json": set(_KEYS)}


def foreign_code(
    base: Path,
    edited: Path,
    files: Iterable[ListedFile],
    base_files: Iterable[ListedFile] = (),
) -> Iterator[str]:
    """Yield a line for each thing that would have code of a release run, the file first.

    Code that is the base's, byte for byte, and keys that have the base's values are left out.

    Args:
        base: the base's folder.
        edited: the release's folder.
        files: what the release's repository lists.
        base_files: what the base's repository lists.
    """
    hashes = {each.name: each.hash for each in base_files if each.hash}
    listed = {each.name: each.hash for each in files if each.name.endswith(".py")}
    here = {path.relative_to(edited).as_posix() for path in edited.rglob("*.py")}
    for name in sorted(listed.keys() | here):
        known = bool(listed.get(name)) and hashes.get(name) == listed[name]
        if not known and not _same(base / name, edited / name):
            yield f"{name}: is code, which is not the base's; it was not run: release no code"
    for path in sorted(edited.glob("*.json")):
        was, now = read_object(base / path.name), read_object(path)
        for key in _KEYS:
            if key in _COMPARED.get(path.name, ()) or now.get(key) in ({}, None, was.get(key)):
                continue
            yield (
                f"{path.name}: {key} names code ({now[key]!r}), which the base's does not; it was "
                "not run: release no code"
            )


def _same(one: Path, two: Path) -> bool:
    try:
        return one.read_bytes() == two.read_bytes()
    except OSError:
        return False
