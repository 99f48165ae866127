"""Deltas that a manifest vouches for, and that do not fit the tensors of the base."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_eac.cli import main
from pytest_eac.exporting.deltas import DELTAS, EXACT
from pytest_eac.lm.loading.tensors import fingerprint_of
from pytest_eac.records.manifest import ChangedTensor, Fact, Manifest, Origin, manifest_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NAME = "w"
BASE = torch.arange(12, dtype=torch.float32).reshape(4, 3)


def hash_of(tensor: torch.Tensor) -> str:
    kind = {torch.float32: "F32", torch.bfloat16: "BF16"}[tensor.dtype]
    about = f"{kind} {tuple(tensor.shape)}\n".encode()
    return hashlib.sha256(about + tensor.view(torch.uint8).numpy().tobytes()).hexdigest()


def apply(
    folder: Path, file: str, tensors: Mapping[str, torch.Tensor], of: torch.Tensor = BASE
) -> int:
    """Apply deltas that make a matrix twice what it is, with these tensors in their file."""
    deltas, base = folder / "deltas", folder / "base"
    for each in (deltas, base):
        each.mkdir()
    save_file({NAME: of}, base / "model.safetensors", metadata={"format": "pt"})
    (base / "config.json").write_text("{}", encoding="utf-8")
    save_file(dict(tensors), deltas / file)
    manifest = Manifest(
        form="deltas",
        base=Origin(
            id="base",
            revision=None,
            fingerprint=fingerprint_of({NAME: hash_of(of)}),
            dtype="float32",
        ),
        edited_fingerprint=fingerprint_of({NAME: hash_of(2 * of)}),
        spec="facts",
        method="rome",
        seed=0,
        hyperparameters={},
        contexts=(),
        edits=(Fact(subject="Oslo", prompt="Oslo lies in", target="Peru"),),
        changed={NAME: ChangedTensor(before=hash_of(of), after=hash_of(2 * of))},
        files={file: hashlib.sha256((deltas / file).read_bytes()).hexdigest()},
        error=0.0,
        verdicts=(),
        version="1.0",
    )
    (deltas / "edit-manifest.json").write_text(manifest_to_json(manifest), encoding="utf-8")
    return main(["apply", str(deltas), str(base), "--out", str(folder / "out")])


def left(change: Callable[[torch.Tensor], torch.Tensor] = lambda each: each) -> torch.Tensor:
    return change(torch.ones(4, 2)).contiguous()


def right(change: Callable[[torch.Tensor], torch.Tensor] = lambda each: each) -> torch.Tensor:
    return change(torch.ones(3, 2)).contiguous()


def test_factors_of_any_floating_point_type_are_added(tmp_path: Path) -> None:
    assert apply(tmp_path, DELTAS, {"w.left": left(), "w.right": right(torch.Tensor.double)}) == 0


def test_a_delta_is_added_in_float32_and_the_sum_rounded_once(tmp_path: Path) -> None:
    ones = torch.ones(4, 3, dtype=torch.bfloat16)
    # A little above half a step of bfloat16 at 1; rounded to bfloat16, it is half a step.
    little = torch.full((4, 3), 2**-8 + 2**-18)
    assert (ones + little.to(ones.dtype) == 1).all()
    assert apply(tmp_path, DELTAS, {"w.dense": little}, of=ones) == 0
    found = load_file(tmp_path / "out" / "model.safetensors")[NAME]
    assert found.dtype == torch.bfloat16
    assert (found == 1 + 2**-7).all()


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "w.dense: is missing"),
        ({"w.left": left()}, "w.right: is missing"),
        ({"w.left": left(), "w.right": right(torch.t)}, "w.right: found torch.float32, [2, 3], ex"),
        (
            {"w.left": left(torch.flatten), "w.right": right()},
            "w.left: found torch.float32, [8], e",
        ),
        ({"w.left": left(), "w.right": right(lambda e: e[:, :1])}, "[3, 1], expected numbers in f"),
        ({"w.left": left(torch.Tensor.int), "w.right": right()}, "found torch.int32, [4, 2], expe"),
        ({"w.left": left(), "w.right": right() * torch.nan}, "w.right: holds NaN or infinities"),
        ({"w.dense": BASE * torch.inf}, "w.dense: holds NaN or infinities"),
        ({"w.dense": BASE[:2].clone()}, "w.dense: found torch.float32, [2, 3], expected numbers"),
        ({"w.dense": BASE, "v.dense": BASE + 1}, "v.dense: edit-manifest.json lists no such tens"),
    ],
)
def test_factors_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, tensors: dict[str, torch.Tensor], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(tmp_path, DELTAS, tensors) == 1
    assert said in (told := capsys.readouterr().err)
    assert told.startswith(f"{tmp_path / 'deltas' / DELTAS}: ")
    assert told.endswith("; export the edits again\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "w: is missing"),
        ({"v": BASE.int()}, "v: edit-manifest.json lists no such tensor"),
        ({"w": BASE}, "w: found torch.float32, [4, 3], expected torch.int32, [4, 3]"),
        ({"w": BASE.short()}, "w: found torch.int16, [4, 3], expected torch.int32, [4, 3]"),
        ({"w": BASE.int().T.contiguous()}, "w: found torch.int32, [3, 4], expected torch.int32"),
        ({"w": torch.tensor(1, dtype=torch.int32)}, "w: found torch.int32, [], expected"),
    ],
)
def test_bit_patterns_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, tensors: dict[str, torch.Tensor], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(tmp_path, EXACT, tensors) == 1
    assert said in (told := capsys.readouterr().err)
    assert told.startswith(f"{tmp_path / 'deltas' / EXACT}: ")
    assert not (tmp_path / "out").exists()
