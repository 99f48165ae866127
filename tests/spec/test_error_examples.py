"""docs/errors.md: every example prints what it says, and every kind of problem has one."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import SpecError
from pytest_eac.spec import consistency, edit_sets, load, resolved_methods
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.schema import error_messages
from tests.conftest import ROOT

if TYPE_CHECKING:
    from types import ModuleType

TEXT = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"^### (?P<title>.+?)\n.*?^```yaml\n(?P<spec>.+?)^```\n"
    r"(?:\n`(?P<name>[\w.]+)`:\n\n```json\n(?P<data>.+?)^```\n)?"
    r"\n```text\n(?P<told>.+?)\n```$",
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = {found["title"]: found for found in EXAMPLE.finditer(TEXT)}


def told(title: str) -> str:
    found = EXAMPLES[title]
    Path("my.eac.yaml").write_text(found["spec"], encoding="utf-8")
    if found["name"]:
        Path(found["name"]).write_text(found["data"], encoding="utf-8")
    with pytest.raises(SpecError) as raised:
        load_spec("my.eac.yaml")
    return str(raised.value)


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_of_the_docs_prints_what_they_say(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(title) == EXAMPLES[title]["told"]


def test_every_heading_of_the_docs_has_an_example() -> None:
    assert list(EXAMPLES) == re.findall(r"^### (.+)$", TEXT, re.MULTILINE)


def complaints(module: ModuleType) -> set[tuple[str, int]]:
    """The places of a module that add a problem."""
    return {
        (Path(inspect.getfile(module)).name, node.lineno)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "complain"
    }


def custom_kinds() -> set[str]:
    """The kinds of problems that the schema's own validators know."""
    files = (ROOT / "pytest_eac" / "spec").glob("*.py")
    pattern = re.compile(r'PydanticCustomError\(\s*"(\w+)"')
    return {kind for file in files for kind in pattern.findall(file.read_text(encoding="utf-8"))}


def test_every_kind_of_problem_has_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen_places: set[tuple[str, int]] = set()
    seen_kinds: set[str] = set()
    complain, problem = Draft.complain, error_messages._problem

    def noting_complain(self: Draft, *arguments: Any, **named: Any) -> None:
        frame = inspect.stack(context=0)[1]
        line = frame.positions.lineno if frame.positions else None
        seen_places.add((Path(frame.filename).name, line or 0))
        complain(self, *arguments, **named)

    def noting_problem(path: Any, details: Any, marked: Any) -> Any:
        seen_kinds.update(detail["type"] for detail in details)
        return problem(path, details, marked)

    monkeypatch.setattr(Draft, "complain", noting_complain)
    monkeypatch.setattr(error_messages, "_problem", noting_problem)
    for title in EXAMPLES:
        told(title)
    wanted = set.union(*map(complaints, (load, edit_sets, resolved_methods, consistency)))
    assert wanted - seen_places == set()
    assert custom_kinds() - seen_kinds == set()
    general = {"extra_forbidden", "missing", "string_type", "tuple_type", "less_than_equal"}
    assert general | {"literal_error", "string_pattern_mismatch", "too_short"} <= seen_kinds
