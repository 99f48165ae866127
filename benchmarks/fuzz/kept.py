"""What the package keeps for itself or reads beside specs: entries, tracings, data of abilities."""

from __future__ import annotations

import json
import warnings
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.mutate import changed_bytes, changed_json, changed_text
from benchmarks.fuzz.nudge import nudged
from pytest_eac.abilities.data_items import digest, label, load_rows, text, texts
from pytest_eac.cache.entries import Cache, CacheWarning, Entry
from pytest_eac.cache.kinds import TRACINGS
from pytest_eac.errors import DataError
from pytest_eac.records.tracing import tracing_from_json
from pytest_eac.reporting.tracing import tracing_lines, tracing_svg

if TYPE_CHECKING:
    import random
    from pathlib import Path

_KEY = {"weights": "ab" * 32}
_DATA = {"tokens": 3, "texts": ["a", "b"]}
_ITEM = {"question": "q", "answers": {"text": ["a", "b"]}, "label": 1, "context": "c"}
_SQUAD = {
    "data": [
        {"paragraphs": [{"context": "c", "qas": [{"question": "q", "answers": [{"text": "a"}]}]}]}
    ]
}
_LABELS = {"yes": 0, "no": 1}


def _effect(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


_TRACING = {
    "fingerprint": "ab" * 32,
    "window": 1,
    "samples": 3,
    "noise": 3.0,
    "embedding_std": 0.1,
    "seed": 0,
    "skipped": [{"edit": 1, "prompt": "p", "reason": "r"}],
    "facts": [
        {
            "edit": 0,
            "prompt": "p",
            "subject": "s",
            "answer": "a",
            "own": False,
            "clean": 0.7,
            "corrupted": 0.2,
            "mlp": [0.1, 0.2, 0.1],
        }
    ],
    "layers": [
        {"layer": layer, "mlp": _effect(0.1 * layer), "state": _effect(0.2)} for layer in range(3)
    ],
}


def _nudged(value: Any, rng: random.Random) -> bytes:
    if rng.random() < 0.25:
        return changed_json(rng, value)
    return json.dumps(nudged(rng, value)).encode("utf-8", "surrogatepass")


def _trace(file: Path) -> None:
    try:
        found = tracing_from_json(file.read_bytes().decode("utf-8", "replace"))
    except ValueError as error:
        raise DataError(str(error)) from None  # a tracing that is kept is computed again
    for each in tracing_lines(found, "name"):
        each.encode()
    tracing_svg(found, "name").encode()


@cache
def _entry() -> bytes:
    """Return an entry of the cache as it is written."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        Cache(root).write(TRACINGS, _KEY, Entry(data=_DATA, tensors={"a": torch.ones(2, 3)}))
        (found,) = root.rglob("*.safetensors")
        return found.read_bytes()


def _damaged(rng: random.Random) -> bytes:
    data = _entry()
    return (
        changed_bytes(rng, data)
        if rng.random() < 0.9
        else save({"a": torch.ones(rng.randint(0, 3))})
    )


def _take(file: Path) -> None:
    """Take what is kept, or make it: both must give the same."""
    root = file.parent / "cache"
    here = Cache(root)
    here.write(TRACINGS, _KEY, Entry(data=_DATA))
    (path,) = (root / TRACINGS).glob("*.safetensors")
    path.write_bytes(file.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CacheWarning)
        found = here.take(TRACINGS, _KEY, lambda: _DATA)
    if found != _DATA:
        raise ValueError("a damaged entry was used")


def _json_lines(rng: random.Random) -> bytes:
    return b"\n".join(_nudged(_ITEM, rng) for _ in range(rng.randint(0, 3)))


def _table(separator: str, rng: random.Random) -> bytes:
    rows = [["question", "answers", "label"], ["q", "a", "yes"], ['"q', 'a"', "1"]]
    written = "\n".join(map(separator.join, rows[: rng.randint(0, 3)]))
    found = changed_text(rng, written) if rng.random() < 0.5 else written
    return changed_bytes(rng, found.encode("utf-8", "surrogatepass"))


def _items(file: Path) -> None:
    rows = load_rows(str(file), task="qa")
    digest(rows)
    for row in rows:
        for each in (text(row, "question"), *texts(row, "answer", "answers")):
            each.encode()
        if "label" in row.fields:
            label(row, _LABELS)


KINDS = (
    Kind(name="tracing", file="tracing.json", make=partial(_nudged, _TRACING), read=_trace),
    Kind(name="cache-entry", file="entry.bin", make=_damaged, read=_take),
    Kind(name="items-jsonl", file="items.jsonl", make=_json_lines, read=_items),
    Kind(name="items-json", file="items.json", make=partial(_nudged, _SQUAD), read=_items),
    Kind(name="items-csv", file="items.csv", make=partial(_table, ","), read=_items),
    Kind(name="items-tsv", file="items.tsv", make=partial(_table, "\t"), read=_items),
)
