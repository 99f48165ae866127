from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.spec.yaml import nodes
from pytest_eac.spec.yaml.places import MarkedError
from pytest_eac.spec.yaml.values import parse
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

SPECS = sorted((ROOT / "specs").glob("*.eac.yaml"))
FILE = Path("some.eac.yaml")

# Pieces that YAML 1.1 and 1.2, or two parsers, might see in different ways.
PIECES = (
    *(
        "a: ",
        "b",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "\t",
        "#",
    ),
    *(
        " # x",
        "'",
        '"',
        "''",
        "|",
        ">-",
        "|2\n",
        "? ",
        "<<: ",
        "*x",
        "&x ",
        "!!str ",
        "!t ",
        "!",
        "~",
    ),
    *("no", "1_0", "0o7", "1e3", ".5", "12:30", "2001-01-01", "true", "=", "---\n", "...\n", "\\"),
    *(
        "\\/",
        "\\x",
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "😀",
        "%",
        "%YAML 1.1\n",
        "@",
        "`",
        "-",
        "?",
        "a:b",
    ),
)


def outcome(text: str) -> Any:
    """What comes of a text: its value with all places, or its problems."""
    try:
        found = parse(text, FILE)
    except MarkedError as error:
        return error.problems
    return repr(found.value), found.keys, found.values


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Read a text with the parser that is written in Python alone."""

    def read(text: str) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(nodes, "FAST_PARSER", None)
            return outcome(text)

    return read


def test_the_fast_parser_is_there() -> None:
    assert nodes.FAST_PARSER is not None


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_both_parsers_read_the_shipped_specs_alike(
    path: Path, slowly: Callable[[str], Any]
) -> None:
    text = path.read_text(encoding="utf-8")
    assert outcome(text) == slowly(text)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_both_parsers_read_any_text_alike(slowly: Callable[[str], Any], text: str) -> None:
    assert outcome(text) == slowly(text)


def test_a_long_spec_is_left_to_the_fast_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the slow parser was asked")

    monkeypatch.setattr(nodes, "_compose_slowly", refuse)
    edit = {"subject": "Oslo", "prompt": "{} lies in", "target": "Peru", "paraphrases": ["To {}"]}
    value = parse(f"eac: 1\nedits: {json.dumps([edit] * 1000)}\n", FILE).value
    assert len(value["edits"]) == 1000


def test_a_character_that_json_writes_as_two_escapes_is_one() -> None:
    written = json.dumps({"eac": "a 😀 b"})
    assert "\\ud83d" in written
    assert parse(written, FILE).value == {"eac": "a 😀 b"}


def test_half_a_character_is_a_problem_at_its_place() -> None:
    with pytest.raises(MarkedError) as raised:
        parse('a: 1\nb: "x \\ud83d y"\n', FILE)
    (problem,) = raised.value.problems
    assert (problem.line, problem.column) == (2, 4)
    assert "half of a character" in problem.message
    str(problem).encode()
