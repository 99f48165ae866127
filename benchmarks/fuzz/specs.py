"""Specs: pieces of YAML, changed values, and changed texts of the project's own."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fuzz.data import EDIT, check_texts
from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.mutate import changed_bytes, changed_text, changed_value, soup
from pytest_eac.spec.detect import is_spec
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.yaml.values import parse

if TYPE_CHECKING:
    import random

_SPECS = Path(__file__).parents[2] / "specs"
_FILE = "some.eac.yaml"
# Every key that a spec can have, most of them with a value that is right.
_SPEC: dict[str, Any] = {
    "eac": 1,
    "extends": "base.yaml",
    "name": "landmarks",
    "model": {"id": "package:x", "dtype": "float32", "device": "auto", "revision": None},
    "methods": [
        "rome",
        {"own": {"base": "rome-eac", "anchors": {"ratio": 0.1, "steps": 40}, "layers": [3]}},
        {"chance": {"base": "random", "like": "own"}},
        {"wide": {"base": "memit-eac", "layers": "auto", "update": {"weight": 100}}},
        {"text": {"base": "rome", "covariance": {"corpus": "hub:x", "tokens": 10, "ridge": 0.1}}},
        {"rest": {"base": "rome-eac", "preset": "released", "contexts": {"lengths": [[5, 10]]}}},
    ],
    "seeds": [0, 1],
    "edits": [EDIT, EDIT, {"from": "facts.jsonl", "format": "jsonl", "take": 1, "seed": 7}],
    "sequence": {"batch": 1, "checkpoints": [1, 2]},
    "scoring": {"match": "accuracy"},
    "checks": {
        "known": {"min": 0.9},
        "efficacy": {"min": 0.95, "confidence": 0.95},
        "generalization": {"min": 0.6, "at": "final"},
        "locality": {"min": 0.8, "at": "every"},
        "retention": {"max": 1.0, "at": 1},
        "deviation": {
            "max_relative": 0.2,
            "norm": "l1",
            "growth": {"max_exponent": 1.0, "no_acceleration": True, "confidence": 0.9},
        },
        "metrics": {"own": {"max": 1}},
        "abilities": {"nli": {"keep": 0.7}, "drift": 0.9, "lm_eval:x": {"keep": 0.5}},
        "changed": {"only": ["*.weight"], "max_rank": 10},
        "compare": [{"metric": "deviation", "less": "own", "than": "rome", "by": 0.1}],
    },
    "stats": {"confidence": 0.95, "correction": "holm"},
    "orderings": {
        "examples": 3,
        "hold": ["efficacy"],
        "spread": {"efficacy": 0.1},
        "state": 0.1,
        "kinds": ["permutation"],
        "budget": {"edits": 3, "seconds": 1.5},
    },
    "known_issues": [{"check": "efficacy", "method": "rome", "reason": "so it is"}],
    "marks": ["gate"],
    "fixtures": ["mine"],
}


@cache
def _texts() -> tuple[str, ...]:
    return tuple(path.read_text("utf-8") for path in sorted(_SPECS.glob("*.eac.yaml")))


@cache
def _values() -> tuple[Any, ...]:
    found = (json.dumps(parse(text, Path(_FILE)).value) for text in _texts())
    return (_SPEC, *map(json.loads, found))


def _structured(rng: random.Random) -> bytes:
    value = changed_value(rng, rng.choice(_values()))
    text = json.dumps(value, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def _text(rng: random.Random) -> bytes:
    text = changed_text(rng, rng.choice(_texts()))
    return changed_bytes(rng, text.encode("utf-8", "surrogatepass"))


def _prepare(folder: Path) -> None:
    shutil.copy(_SPECS / "thirty-facts.jsonl", folder)
    (folder / "base.yaml").write_text("eac: 1\nchecks: {efficacy: {min: 0.5}}\n", "utf-8")
    (folder / "facts.jsonl").write_text(json.dumps(EDIT) + "\n", "utf-8")


def _read(file: Path) -> None:
    is_spec(file)
    check_texts(load_spec(file).edits)


KINDS = (
    Kind(
        name="soup",
        file=_FILE,
        make=lambda rng: soup(rng).encode("utf-8", "surrogatepass"),
        read=_read,
        prepare=_prepare,
        weight=4,
    ),
    Kind(name="spec", file=_FILE, make=_structured, read=_read, prepare=_prepare, weight=5),
    Kind(name="text", file=_FILE, make=_text, read=_read, prepare=_prepare),
)
