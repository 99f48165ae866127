"""The data sets of the abilities as the tests read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest_eac

PACKAGE = Path(pytest_eac.__file__).parent
DATA = PACKAGE / "abilities" / "data"


def read(name: str) -> list[dict[str, Any]]:
    """The items of one file, in its order."""
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def words(text: str) -> list[str]:
    """The words of a text without their case and punctuation."""
    return re.findall(r"\w+", text.casefold())
