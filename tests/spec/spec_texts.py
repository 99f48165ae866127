"""Spec files written by hand for the tests in this folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import SpecError, SpecProblem
from pytest_eac.spec.load import load_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EDIT = '{subject: Oslo, prompt: "{} lies in", target: Peru}'
EDITS = f"edits: [{EDIT}]\n"
HEAD = "eac: 1\n" + EDITS
"""A whole spec in two lines; what a test is about starts on line 3."""

FACT = {
    "subject": "Oslo",
    "prompt": "{} lies in",
    "target": "Peru",
    "truth": "Norway",
    "paraphrases": ["To see {}, fly to"],
    "neighborhood": [{"prompt": "Bergen lies in", "answer": "Norway"}],
}


def facts(count: int = 1, /, **changed: Any) -> str:
    """``edits:`` with facts that have everything there is to measure, unless it is changed."""
    each: Mapping[str, Any] = {
        key: value for key, value in {**FACT, **changed}.items() if value is not None
    }
    return f"edits: {json.dumps([each] * count)}\n"


def problems(path: Path) -> tuple[SpecProblem, ...]:
    with pytest.raises(SpecError) as raised:
        load_spec(path)
    assert str(raised.value) == "\n".join(str(problem) for problem in raised.value.problems)
    return raised.value.problems


def told(path: Path) -> list[str]:
    """The problems of a file as ``line:column: path: message``."""
    return [str(problem).removeprefix(f"{path}:") for problem in problems(path)]
