"""Files of edits in the three formats that a spec may name."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.mutate import changed_json
from pytest_eac.spec.schema.edits import EditSource
from pytest_eac.spec.sources.reading import read_source

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_eac.spec.edits import Edit

EDIT = {
    "subject": "The Louvre",
    "prompt": "{} is located in the city of",
    "target": "Rome",
    "truth": "Paris",
    "paraphrases": ["To visit The Louvre, fly to"],
    "neighborhood": [{"prompt": "The Prado is located in", "answer": "Madrid"}, {"prompt": "a"}],
}
_COUNTERFACT = {
    "case_id": 1,
    "requested_rewrite": {
        "prompt": "{} is in",
        "subject": "Oslo",
        "target_new": {"str": "Peru", "id": "Q1"},
        "target_true": {"str": "Norway"},
    },
    "paraphrase_prompts": ["Go to Oslo, in"],
    "neighborhood_prompts": ["Bergen is in"],
}
_ZSRE = {
    "subject": "Oslo",
    "src": "Where is Oslo?",
    "rephrase": "What has Oslo?",
    "alt": "Peru",
    "answers": ["Norway"],
    "loc": "nq question: who",
    "loc_ans": "Ada",
}


def check_texts(edits: Iterable[Edit]) -> None:
    """Raise unless the texts of edits can be written to a file."""
    json.dumps([asdict(edit) for edit in edits], ensure_ascii=False).encode()


def _lines(rng: random.Random) -> bytes:
    return b"\n".join(changed_json(rng, EDIT) for _ in range(rng.randint(0, 3)))


def _read(file: Path) -> None:
    source = EditSource.model_validate({"from": file.name, "format": file.stem})
    check_texts(read_source(source, file))


KINDS = (
    Kind(
        name="counterfact",
        file="counterfact.json",
        make=lambda rng: changed_json(rng, [_COUNTERFACT] * 2),
        read=_read,
        weight=2,
    ),
    Kind(
        name="zsre",
        file="zsre.json",
        make=lambda rng: changed_json(rng, [_ZSRE] * 2),
        read=_read,
        weight=2,
    ),
    Kind(name="jsonl", file="jsonl.jsonl", make=_lines, read=_read, weight=2),
)
