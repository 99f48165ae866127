"""``checks.changed.signed_by``: public keys are looked at when a spec is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_eac import load_spec
from pytest_eac.spec.schema.public_keys import KEY_BYTES
from tests.files import write
from tests.keys import make_key
from tests.spec.spec_texts import facts, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPECTED = "expected the PEM file of a public key (P-256, P-384, P-521)"


def spec(folder: Path, keys: str, name: str = "x.eac.yaml") -> Path:
    return write(folder / name, f"eac: 1\n{facts()}checks:\n  changed:\n    signed_by: {keys}\n")


def keys_of(path: Path) -> tuple[str, ...] | None:
    changed = load_spec(path).checks.changed
    assert changed is not None
    return changed.signed_by


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_a_path_is_relative_to_the_file_that_writes_it(
    tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    (tmp_path / "base").mkdir()
    public = make_key(tmp_path / "base", curve=curve)[1]
    spec(tmp_path / "base", "release.pub", "base.yaml")
    path = write(tmp_path / "x.eac.yaml", "eac: 1\nextends: base/base.yaml\n")
    assert keys_of(path) == (str(public),)


def test_several_keys_are_a_list(tmp_path: Path) -> None:
    keys = [str(make_key(tmp_path, name)[1]) for name in ("one", "two")]
    assert keys_of(spec(tmp_path, "[one.pub, two.pub]")) == tuple(keys)
    (tmp_path / "two.pub").unlink()
    assert told(spec(tmp_path, "[one.pub, two.pub]")) == [
        f"5:26: checks.changed.signed_by[1]: found 'two.pub', {EXPECTED}"
    ]


def _damaged(folder: Path) -> None:
    text = make_key(folder)[1].read_text()
    (folder / "key").write_text(text.replace("M", "*"))


NOT_USABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, ""),
    "folder": (lambda folder: (folder / "key").mkdir(), "which is a directory: "),
    "pipe": (lambda folder: os.mkfifo(folder / "key"), "which is a pipe: "),
    "device": (lambda folder: (folder / "key").symlink_to("/dev/zero"), "which is a device: "),
    "text": (lambda folder: (folder / "key").write_text("hi"), "which holds no public key: "),
    "binary": (lambda folder: (folder / "key").write_bytes(b"\xff\0"), "which holds no public "),
    "large": (
        lambda folder: (folder / "key").write_bytes(
            make_key(folder)[1].read_bytes() + b" " * KEY_BYTES
        ),
        "which holds no public key: ",
    ),
    "private": (
        lambda folder: make_key(folder)[0].rename(folder / "key"),
        "which holds a private key: ",
    ),
    "rsa": (
        lambda folder: make_key(folder, is_rsa=True)[1].rename(folder / "key"),
        "which holds a key of another kind, or a damaged one: ",
    ),
    "other curve": (
        lambda folder: make_key(folder, curve=ec.SECP256K1())[1].rename(folder / "key"),
        "which holds a key of another kind, or a damaged one: ",
    ),
    "damaged": (_damaged, "which holds a key of another kind, or a damaged one: "),
}


@pytest.mark.parametrize("kind", NOT_USABLE)
def test_a_file_that_is_no_public_key_is_an_error_with_its_place(tmp_path: Path, kind: str) -> None:
    make, found = NOT_USABLE[kind]
    make(tmp_path)
    (line,) = told(spec(tmp_path, "key"))
    assert line.startswith(f"5:16: checks.changed.signed_by: found 'key', {found}")
    assert EXPECTED in line


def test_no_key_at_all_is_an_error(tmp_path: Path) -> None:
    assert told(spec(tmp_path, "[]")) == [
        "5:16: checks.changed.signed_by: found an empty list, expected at least 1 item"
    ]
