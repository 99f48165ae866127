from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.records.manifest import (
    ChangedTensor,
    Fact,
    Finding,
    Manifest,
    Origin,
    manifest_from_json,
    manifest_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST = Manifest(
    form="deltas",
    base=Origin(id="base", revision=None, fingerprint="ab" * 32, dtype="float32"),
    edited_fingerprint="cd" * 32,
    spec="facts",
    method="rome",
    seed=0,
    hyperparameters={"layers": [9]},
    contexts=("{}",),
    edits=(Fact(subject="Oslo", prompt="Oslo lies in", target="Peru"),),
    changed={"a.weight": ChangedTensor(before="01" * 32, after="02" * 32)},
    files={"deltas.safetensors": "03" * 32},
    error=0.0,
    verdicts=(Finding(check="efficacy", outcome="passed", observed=1.0, required="at least 0.9"),),
    version="1.0",
)


def with_changes(**changes: Any) -> str:
    return json.dumps({**asdict(MANIFEST), **changes})


def test_a_manifest_comes_back_as_it_was() -> None:
    assert manifest_from_json(manifest_to_json(MANIFEST)) == MANIFEST


@pytest.mark.parametrize(
    "name", ["../weights.safetensors", "/etc/passwd", "a/b", "..\\x", "C:\\x", ".", "..", ""]
)
def test_a_file_of_another_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected one of the same folder"):
        manifest_from_json(with_changes(files={name: "00" * 32}))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"schema": 2}, "found schema 2, expected 1"),
        ({"form": "pickle"}, "form: found 'pickle', expected 'model', 'deltas' or 'lora'"),
        ({"changed": {"a": 3}}, "changed.a: found 3, expected"),
        ({"error": "nan?"}, "error: found 'nan\\?', expected a number"),
        ({"error": True}, "error: found True, expected a number"),
        ({"seed": -1}, "seed: found -1"),
    ],
)
def test_what_is_no_manifest_says_where(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=f"not a manifest: {place}"):
        manifest_from_json(with_changes(**changes))


def test_what_is_no_json_is_no_manifest() -> None:
    with pytest.raises(ValueError, match=r"^not a manifest: not JSON: Expecting"):
        manifest_from_json("{")


@pytest.mark.parametrize("value", ["", "ab", "AB" * 32, "ab" * 33, "ab" * 31 + "\n:", "g" * 64])
@pytest.mark.parametrize(
    ("changes", "place"),
    [
        (lambda value: {"edited_fingerprint": value}, "edited_fingerprint"),
        (
            lambda value: {"base": asdict(MANIFEST.base) | {"fingerprint": value}},
            "base.fingerprint",
        ),
        (lambda value: {"files": {"a": value}}, "files['a']"),
        (lambda value: {"changed": {"b": {"before": "ab" * 32, "after": value}}}, "changed['b']"),
        (lambda value: {"changed": {"b": {"before": value, "after": "ab" * 32}}}, "changed['b']"),
    ],
)
def test_what_is_no_hash_is_refused_and_shown_in_one_line(
    changes: Callable[[str], Any], place: str, value: str
) -> None:
    with pytest.raises(ValueError, match=r"expected a SHA-256: 64 hexadecimal digits$") as raised:
        manifest_from_json(with_changes(**changes(value)))
    assert str(raised.value).startswith(place)
    assert "\n" not in str(raised.value)
