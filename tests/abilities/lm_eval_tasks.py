"""Task files of lm-evaluation-harness for the tests, with data beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def write_task(
    folder: Path, name: str, docs: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> Path:
    """Write a task, as JSON, which is YAML, and its items; all text fields may be templates."""
    data = folder / f"{name}.jsonl"
    data.write_text("\n".join(map(json.dumps, docs)), encoding="utf-8")
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        **settings,
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(task), encoding="utf-8")
    return path


# Settings of a task whose items have a prompt, choices and the place of the right one.
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{right}}",
    "target_delimiter": " ",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}


def generating(tokens: int, until: Sequence[str], metric: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a task whose answers, greedy ones, are held against the field ``answer``."""
    return {
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": list(until), "max_gen_toks": tokens, "do_sample": False},
        "metric_list": [{"aggregation": "mean", "higher_is_better": True, **metric}],
        "metadata": {"version": 1.0},
    }
