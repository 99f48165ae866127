from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from pytest_eac.manifest import (
    Fact,
    Finding,
    Manifest,
    Origin,
    Tensor,
    manifest_from_json,
    manifest_to_json,
)

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
    changed={"a.weight": Tensor(before="01", after="02")},
    files={"deltas.safetensors": "03"},
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
        manifest_from_json(with_changes(files={name: "00"}))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"schema": 2}, "schema"),
        ({"form": "pickle"}, "form"),
        ({"changed": {"a": 3}}, "changed.a"),
        ({"error": "nan?"}, "error"),
    ],
)
def test_what_is_no_manifest_says_where(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=f"not a manifest: {place}"):
        manifest_from_json(with_changes(**changes))


def test_what_is_no_json_is_no_manifest() -> None:
    with pytest.raises(ValueError, match=r"^not a manifest: Invalid JSON"):
        manifest_from_json("{")
