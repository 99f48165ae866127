"""Results files."""

from __future__ import annotations

from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.mutate import changed_json
from pytest_eac.store import read_record

_RECORD = {
    "schema": 1,
    "environment": {"torch": "2.6"},
    "chains": [{"spec": "a", "method": "rome", "seed": 0, "checkpoints": [{"at": 1}]}],
    "comparisons": [],
}

KINDS = (
    Kind(
        name="record",
        file="results.json",
        make=lambda rng: changed_json(rng, _RECORD),
        read=read_record,
    ),
)
