"""The workflow files in docs/ci.md can be used as they stand."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def workflows() -> list[Any]:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [YAML(typ="safe").load(block) for block in blocks]


def commands(value: Any) -> Iterator[str]:
    """Every text under ``run`` or ``script``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"run", "script"}:
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from commands(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from commands(inner)


def test_there_is_a_workflow_for_github_and_one_for_gitlab() -> None:
    github, gitlab = workflows()
    assert github["jobs"]["edits"]["steps"]
    assert gitlab["edits"]["artifacts"]["reports"]["junit"] == "junit.xml"


@pytest.mark.parametrize("index", [0, 1], ids=["github", "gitlab"])
def test_their_commands_have_options_that_exist(index: int, pytester: pytest.Pytester) -> None:
    [command] = [each for each in commands(workflows()[index]) if each.startswith("pytest ")]
    words = shlex.split(command)
    assert "--eac-require" in words
    chosen = pytester.parseconfig(*words[1:]).option  # it raises where one does not
    assert chosen.file_or_dir == ["specs/"]
    assert chosen.eac_compare_fail == ["locality:2%", "deviation:5%"]
