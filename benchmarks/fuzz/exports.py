"""Exports: the manifest, and the tensors that it vouches for, added to a base or taken away."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.mutate import changed_bytes, changed_json
from benchmarks.fuzz.nudge import nudged
from benchmarks.fuzz.tiny import CONFIG, TOKENIZER, TOKENIZER_CONFIG
from pytest_eac.exporting.card import model_card
from pytest_eac.exporting.deltas import DELTAS, EXACT, apply_deltas, between
from pytest_eac.judging.release_changes import judge_release
from pytest_eac.lm.loading.tensors import fingerprint_of
from pytest_eac.measuring.release import inspect_release, read_manifest
from pytest_eac.records.manifest import MANIFEST
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.schema.checks import ChangedBounds

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

_SPEC = {
    "eac": 1,
    "name": "one",
    "methods": ["rome"],
    "checks": {"changed": {"max_rank": 2}},
    "edits": [{"subject": "Oslo", "prompt": "{} lies in", "target": "Peru"}],
}
_COMPANIONS = {
    "config.json": CONFIG,
    "tokenizer.json": TOKENIZER,
    "tokenizer_config.json": TOKENIZER_CONFIG,
}
_TYPES = {"a.weight": "F32", "b.weight": "BF16", "c": "F32"}
_KINDS = (torch.float32, torch.float64, torch.float16, torch.int32, torch.int16, torch.bool)


def _base() -> dict[str, Tensor]:
    matrix = torch.arange(12, dtype=torch.float32).reshape(4, 3)
    return {"a.weight": matrix, "b.weight": matrix.bfloat16(), "c": torch.ones(3)}


def _edited() -> dict[str, Tensor]:
    return {name: tensor * 2 for name, tensor in _base().items()}


def _exact() -> dict[str, Tensor]:
    edited = _edited()
    return {name: between(tensor, edited[name]) for name, tensor in _base().items()}


def _deltas() -> dict[str, Tensor]:
    found = {"c.dense": torch.ones(3)}
    for name in ("a.weight", "b.weight"):
        found |= {f"{name}.left": torch.ones(4, 2), f"{name}.right": torch.ones(3, 2)}
    return found


def _hash(name: str, tensor: Tensor) -> str:
    about = f"{_TYPES[name]} {tuple(tensor.shape)}\n".encode()
    return hashlib.sha256(about + tensor.view(torch.uint8).numpy().tobytes()).hexdigest()


def _print(tensors: Mapping[str, Tensor]) -> str:
    return fingerprint_of({name: _hash(name, tensor) for name, tensor in tensors.items()})


@cache
def _manifest() -> Any:
    edited, files = _edited(), {DELTAS: _deltas(), EXACT: _exact()}
    return {
        "form": "deltas",
        "base": {"id": "x", "revision": None, "fingerprint": _print(_base()), "dtype": "float32"},
        "edited_fingerprint": _print(edited),
        "spec": "one",
        "method": "rome",
        "seed": 0,
        "hyperparameters": {"layers": [1]},
        "contexts": ["{}"],
        "error": 0.0,
        "version": "1",
        "edits": [{"subject": "Oslo", "prompt": "Oslo lies in", "target": "Peru"}],
        "changed": {
            name: {"before": _hash(name, tensor), "after": _hash(name, edited[name])}
            for name, tensor in _base().items()
        },
        "files": {name: hashlib.sha256(save(each)).hexdigest() for name, each in files.items()},
        "verdicts": [{"check": "a", "outcome": "passed", "observed": 1.0, "required": "b"}],
        "schema": 1,
    }


def _make_manifest(rng: random.Random) -> bytes:
    if rng.random() < 0.25:
        return changed_json(rng, _manifest())
    return json.dumps(nudged(rng, _manifest())).encode("utf-8", "surrogatepass")


def _make_tensors(tensors: Callable[[], dict[str, Tensor]]) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        found = tensors()
        for _ in range(rng.choice((0, 1, 1, 2))):
            name = rng.choice(list(found))
            found |= _other(rng, name, found.pop(name))
            if not found:
                break
        data = save({name: each.contiguous() for name, each in found.items()})
        return changed_bytes(rng, data) if rng.random() < 0.3 else data

    return make


def _other(rng: random.Random, name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Return a tensor in another's place, under the same name or another; or none."""
    bad = torch.full_like(tensor.float(), rng.choice((float("nan"), float("inf"), 3e38)))
    names = (f"{name}.left", f"{name}.dense", "z", "c", name.rpartition(".")[0], "\n::error::x")
    ways: tuple[dict[str, Tensor], ...] = (
        {},
        {rng.choice(names): tensor},
        {name: tensor.to(rng.choice(_KINDS))},
        {name: tensor.T if tensor.dim() == 2 else tensor[None]},
        {name: tensor[:-1]},
        {name: tensor[..., None]},
        {name: tensor.reshape(-1)},
        {name: torch.empty(0)},
        {name: bad},
    )
    return rng.choice(ways)


def _prepare(folder: Path) -> None:
    """Write base, edited model, deltas and spec."""
    for place, tensors in ((folder / "base", _base()), (folder, _edited())):
        place.mkdir(exist_ok=True)
        (place / "model.safetensors").write_bytes(save(tensors, {"format": "pt"}))
        for name, content in _COMPANIONS.items():
            (place / name).write_text(json.dumps(content), "utf-8")
    (folder / DELTAS).write_bytes(save(_deltas()))
    (folder / "one.eac.yaml").write_text(json.dumps(_SPEC), "utf-8")


def _prepare_exact(folder: Path) -> None:
    _prepare(folder)
    (folder / EXACT).write_bytes(save(_exact()))


@cache
def _spec(folder: Path) -> Any:
    return load_spec(folder / "one.eac.yaml")


def _gate(file: Path) -> None:
    """Hold a release against its manifest, and apply the deltas that this vouches for."""
    release = inspect_release(_spec(file.parent), file.parent / "base", file.parent)
    judge_release(release, ChangedBounds(manifest=True)).message.encode()
    model_card(read_manifest(file.parent)).encode()
    _apply(file.parent)


def _read_tensors(file: Path) -> None:
    """Apply a file of deltas that a manifest vouches for."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = _manifest() | {"files": {file.name: digest}}
    (file.parent / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    _apply(file.parent)


def _apply(folder: Path) -> None:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    apply_deltas(folder, folder / "base", out)


KINDS = (
    Kind(
        name="manifest",
        file=MANIFEST,
        make=_make_manifest,
        read=_gate,
        prepare=_prepare_exact,
    ),
    Kind(
        name="deltas",
        file=DELTAS,
        make=_make_tensors(_deltas),
        read=_read_tensors,
        prepare=_prepare,
    ),
    Kind(
        name="exact-deltas",
        file=EXACT,
        make=_make_tensors(_exact),
        read=_read_tensors,
        prepare=_prepare,
    ),
)
