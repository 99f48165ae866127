from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml.scanner import Scanner

from pytest_eac.spec.yaml import nodes, values
from pytest_eac.spec.yaml.places import MarkedError, MarkedValue, dotted
from pytest_eac.spec.yaml.values import parse

if TYPE_CHECKING:
    from pytest_eac.errors import SpecProblem

FILE = Path("some.eac.yaml")


def read(text: str) -> MarkedValue:
    return parse(text, FILE)


def problems(text: str) -> list[SpecProblem]:
    with pytest.raises(MarkedError) as raised:
        read(text)
    assert all(problem.file == FILE for problem in raised.value.problems)
    return raised.value.problems


def only_problem(text: str) -> SpecProblem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def place(problem: SpecProblem) -> tuple[int, int]:
    return problem.line, problem.column


# Scalars


@pytest.mark.parametrize("text", ["no", "yes", "on", "off", "y", "n", "No", "YES"])
def test_the_norwegian_answer_stays_a_text(text: str) -> None:
    assert read(f"truth: {text}").value == {"truth": text}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("010", 10),
        ("+7", 7),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("5e-7", 5e-7),
        ("-.5", -0.5),
        ("0.95", 0.95),
        (".inf", float("inf")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_are_read_as_yaml_1_2_reads_them(written: str, value: object) -> None:
    found = read(f"value: {written}").value["value"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["12:30", "1:2:3", "2020-01-01", "2020-01-01T00:00:00Z", "=", "1.2.3", "1.5e", "1984a"]
)
def test_times_dates_and_near_numbers_stay_texts(text: str) -> None:
    assert read(f"value: {text}").value == {"value": text}


@pytest.mark.parametrize("written", ["'5'", '"5"', "!!str 5"])
def test_a_number_in_quotes_is_a_text(written: str) -> None:
    assert read(f"value: {written}").value == {"value": "5"}


def test_two_angle_brackets_as_a_value_are_a_text() -> None:
    assert read("value: <<").value == {"value": "<<"}


def test_a_key_is_always_a_text() -> None:
    assert read("1: a\nnull: b\n2020-01-01: c").value == {"1": "a", "null": "b", "2020-01-01": "c"}


def test_lists_become_tuples() -> None:
    assert read("a: [1, [2, {b: []}]]").value == {"a": (1, (2, {"b": ()}))}


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm() -> None:
    value = read("\ufeffa: 1\r\nb: x\r\n")
    assert value.value == {"a": 1, "b": "x"}
    assert value.mark(("b",)).line == 2


# Marks


def test_marks_give_line_and_column_of_keys_and_values() -> None:
    value = read("a: 1\nb:\n  - x\n  -  {c: y}\n")
    assert (value.mark((), key=False).line, value.mark(()).column) == (1, 1)
    marks = {
        path: (value.mark(path).line, value.mark(path).column)
        for path in [("a",), ("b",), ("b", 0), ("b", 1), ("b", 1, "c")]
    }
    assert marks == {
        ("a",): (1, 4),
        ("b",): (3, 3),
        ("b", 0): (3, 5),
        ("b", 1): (4, 6),
        ("b", 1, "c"): (4, 10),
    }
    keys = [value.mark(path, key=True) for path in [("a",), ("b",), ("b", 1, "c")]]
    assert [(mark.line, mark.column) for mark in keys] == [(1, 1), (2, 1), (4, 7)]


def test_a_path_without_a_mark_takes_that_of_what_encloses_it() -> None:
    value = read("a:\n  b: 1\n")
    for key in (False, True):
        mark = value.mark(("a", "missing", "deeper"), key=key)
        assert (mark.line, mark.column) == (2, 3)
        assert value.mark(("missing",), key=key) == value.mark(())


def test_a_path_is_written_as_users_write_it() -> None:
    assert dotted(("edits", 2, "subject")) == "edits[2].subject"
    assert dotted(("checks", "compare", 0)) == "checks.compare[0]"
    assert dotted(()) == ""


PRINTABLE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=8)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PRINTABLE,
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple) | st.dictionaries(PRINTABLE, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(PRINTABLE, PLAIN, max_size=4))
def test_json_is_read_as_what_it_says_and_every_mark_points_at_its_value(
    data: dict[str, Any],
) -> None:
    text = json.dumps(data, indent=1, ensure_ascii=False)
    value = read(text)
    assert value.value == data
    lines = text.split("\n")
    for path, mark in value.values.items():
        inner: Any = data
        for part in path:
            inner = inner[part]
        start = json.dumps(inner, indent=1, ensure_ascii=False)[:1]
        assert lines[mark.line - 1][mark.column - 1] == start
    for path, mark in value.keys.items():
        written = json.dumps(path[-1], ensure_ascii=False)
        assert lines[mark.line - 1][mark.column - 1 :].startswith(written)


INDENTS = st.sampled_from(["", "", "  ", "- ", "\t"])
KEYS = st.sampled_from(["a", "b", "<<", "1", "!m a", "&x a", "? [a]\n", "*x ", "'", "#"])
TAGS = st.sampled_from(["", "", "&x ", "!m ", "!!str ", "!!int ", "!!float ", "!!bool ", "!!null "])
SCALARS = ["", "x", "''", "~", "1e3", "0x", "12:30", "9" * 5000, "%", "@", "\\", "\x01", "\ud800"]
VALUES = st.sampled_from([*SCALARS, "*x", "[*x]", "{<<: *x}", "[", "}", "|", "- x", "---", "é"])
LINES = st.builds("{}{}: {}{}".format, INDENTS, KEYS, TAGS, VALUES)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=5).map("\n".join))
def test_whatever_the_text_it_is_read_or_its_problems_have_a_place_in_it(text: str) -> None:
    told: list[SpecProblem] = []
    try:
        value = parse(text, FILE).value
    except MarkedError as error:
        told, value = error.problems, None
    assert bool(told) != isinstance(value, dict)
    for problem in told:
        assert 1 <= problem.line <= text.count("\n") + 2
        assert problem.column >= 1
        assert problem.message


# Duplicate keys


def test_a_duplicate_key_is_reported_with_both_lines() -> None:
    found = only_problem("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")
    assert place(found) == (5, 3)
    assert found.path == "b.c"
    assert found.message == "duplicate key 'c'; first given on line 3"


def test_each_repetition_of_a_key_is_a_problem() -> None:
    assert [place(found) for found in problems("a: 1\na: 2\nb: 0\na: 3\n")] == [(2, 1), (4, 1)]


def test_a_number_and_a_text_that_read_alike_are_the_same_key() -> None:
    assert "duplicate key '1'" in only_problem("1: a\n'1': b").message


@pytest.mark.parametrize("key", ["[1]", "{x: 1}"])
def test_a_key_that_is_no_name_is_refused(key: str) -> None:
    found = only_problem(f"a: 1\n? {key}\n: 2\n")
    assert place(found) == (2, 3)
    assert found.message == "a key must be a plain name"


# Tags


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("!!python/object/apply:os.system ['true']", "!!python/object/apply:os.system"),
        ("!!python/name:os.system x", "!!python/name:os.system"),
        ("!mine 3", "!mine"),
        ("!mine [3]", "!mine"),
        ("!mine {b: 3}", "!mine"),
        ("!!binary aGk=", "!!binary"),
        ("!!set {b}", "!!set"),
        ("!!str [b]", "!!str"),
    ],
)
def test_a_tag_is_refused_and_named(written: str, tag: str) -> None:
    found = only_problem(f"a: 1\nb: {written}\n")
    assert place(found) == (2, 4)
    assert found.path == "b"
    assert found.message == f"tag {tag} is refused; a spec holds plain data only"


@pytest.mark.parametrize("tag", ["!mine", "!!python/name:os.system"])
def test_a_tag_on_a_key_is_refused_as_well(tag: str) -> None:
    found = only_problem(f"a: 1\n{tag} b: 2\n")
    assert found.line == 2
    assert tag in found.message


def test_a_tag_on_the_whole_document_is_refused() -> None:
    assert place(only_problem("!mine {a: 1}")) == (1, 1)


def test_every_tag_in_a_file_is_reported() -> None:
    assert [found.line for found in problems("a: !x 1\nb: 2\nc: !y 3\n")] == [1, 3]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("!!int abc", "int"),
        ("!!int ''", "int"),
        ("!!float x", "float"),
        ("!!bool maybe", "bool"),
    ],
)
def test_a_scalar_that_does_not_fit_its_tag_is_a_problem(written: str, kind: str) -> None:
    found = only_problem(f"a: {written}")
    assert place(found) == (1, 4)
    assert f"cannot be read as {kind}" in found.message


@pytest.mark.parametrize("written", ["9" * 101, "9" * 5000, "0x" + "f" * 4000, "0o" + "7" * 9000])
def test_a_number_with_more_digits_than_python_would_show_is_a_problem(written: str) -> None:
    message = only_problem(f"a: {written}").message
    assert message == f"found a number of {len(written):,} characters; one may have 100"
    assert read(f"a: 0x{'f' * 98}").value["a"] == 16**98 - 1


# Aliases and merges


def test_an_alias_is_the_value_it_stands_for() -> None:
    assert read("a: &x {b: [1]}\nc: *x").value == {"a": {"b": (1,)}, "c": {"b": (1,)}}


def test_an_anchor_may_be_given_anew_without_a_warning() -> None:
    assert read("a: &x 1\nb: &x 2\nc: *x").value == {"a": 1, "b": 2, "c": 2}


def test_an_alias_to_nothing_is_a_syntax_error() -> None:
    found = only_problem("a: 1\nb: *nobody")
    assert place(found) == (2, 4)
    assert "undefined alias 'nobody'" in found.message


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a\n  <<: *a\n", "&a {b: *a}"])
def test_a_value_that_holds_itself_is_refused(text: str) -> None:
    assert "too deeply" in only_problem(text).message


def bomb(first: str, level: str, *, levels: int = 12, width: int = 10) -> str:
    """Text of which each level names the one before it ``width`` times."""
    lines = [f"a0: &a0 {first}"]
    for index in range(1, levels):
        aliases = ", ".join([f"*a{index - 1}"] * width)
        lines.append(f"a{index}: &a{index} " + level.replace("ALIASES", aliases))
    return "\n".join(lines)


@pytest.mark.parametrize("first", ["[]", "x", "{k: v}"])
def test_a_billion_laughs_are_refused_before_they_are_laughed(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "MAX_VALUES", 10_000)
    found = only_problem(bomb(first, "[ALIASES]"))  # or else it would take for ever
    assert "too many values once aliases are expanded" in found.message
    assert 1 <= found.line <= 12


def test_a_merge_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_VALUES", 10_000)
    found = only_problem(bomb("{x: 1}", "{<<: [ALIASES]}"))
    assert "merges expand to more than 10,000" in found.message
    assert 2 <= found.line <= 12


@pytest.mark.parametrize("first", ["{}", "[]"])
def test_a_merge_bomb_of_nothing_is_refused(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_VALUES", 1_000)
    # 10,000 merges that bring nothing: were they free, a few more levels would take for ever.
    found = problems(bomb(first, "{<<: [ALIASES]}", levels=5))
    assert "merges expand to more than 1,000" in found[-1].message
    assert len(found) <= 1_001


@pytest.mark.parametrize("level", ["[ALIASES]", "{<<: [ALIASES]}"])
def test_a_small_text_may_have_fewer_values_than_a_long_one(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "SMALL", 1_000)
    text = bomb("{x: 1}", level)
    assert f"{values.SMALL + len(text):,}" in problems(text)[-1].message
    long = "a: [" + "1," * values.SMALL * 2 + "]"
    assert len(read(long).values) > values.SMALL * 2


def test_a_merge_fills_in_what_is_missing() -> None:
    value = read("base: &base {a: 1, b: 1}\ntop:\n  <<: *base\n  b: 2\n  c: 3\n")
    assert value.value["top"] == {"b": 2, "c": 3, "a": 1}
    assert value.mark(("top", "a"), key=True).line == 1
    assert value.mark(("top", "b"), key=True).line == 4


def test_of_several_merged_mappings_the_first_wins() -> None:
    text = "top: {<<: [{a: 1}, {a: 2, b: 2}]}"
    assert read(text).value == {"top": {"a": 1, "b": 2}}


@pytest.mark.parametrize("written", ["3", "[x]", "[{a: 1}, 2]"])
def test_only_mappings_can_be_merged(written: str) -> None:
    found = only_problem(f"top:\n  <<: {written}\n")
    assert place(found) == (2, 3)
    assert found.message == "'<<' merges a mapping or a list of mappings"


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert read("'<<': {a: 1}").value == {"<<": {"a": 1}}


# Limits and syntax


def nested(levels: int) -> str:
    return "a: " + "[" * levels + "]" * levels


def test_the_depth_limit_is_exact() -> None:
    assert read(nested(nodes.MAX_DEPTH)).value
    found = only_problem(nested(nodes.MAX_DEPTH + 1))
    assert place(found) == (1, len("a: ") + nodes.MAX_DEPTH + 1)
    assert found.message == "nested too deeply; a spec may have 24 levels"


@pytest.mark.parametrize(
    "text",
    [
        nested(200),
        nested(20_000),
        "a: " + "[" * 20_000,
        "a: " + "{b: " * 20_000,
        "a:\n" + "- " * 50_000,
        "a:\n" + "? " * 50_000,
    ],
)
@pytest.mark.parametrize("tag", ["", "t: !!str x\n"], ids=["fast", "slow"])
def test_no_depth_brings_the_reader_down(
    text: str, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = 0
    fetch = Scanner.fetch_more_tokens

    def count(self: Scanner) -> object:
        nonlocal scanned
        scanned += 1
        return fetch(self)

    monkeypatch.setattr(Scanner, "fetch_more_tokens", count)
    assert only_problem(tag + text).message == "nested too deeply; a spec may have 24 levels"
    assert scanned < 200  # the work of each grows with the depth


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: [1,\n", 3, "flow node"),
        ("a: 1\nb: 'x\n", 3, "quoted scalar"),
        ("a: 1\nb: c: d\n", 2, "mapping values are not allowed here"),
        ("a: @x\n", 1, "'@'"),
        ("a: 1\n  b: 2\n", 2, "mapping values are not allowed here"),
    ],
)
def test_a_syntax_error_is_reported_with_its_line(text: str, line: int, said: str) -> None:
    found = only_problem(text)
    assert found.line == line
    assert found.message.startswith("YAML syntax: ")
    assert said in found.message


def test_a_second_document_is_refused_where_it_starts() -> None:
    found = only_problem("a: 1\n---\nb: 2\n")
    assert found.line == 2
    assert "single document" in found.message


def test_a_control_character_is_refused() -> None:
    assert "not a text that YAML can hold" in only_problem("a: 1\nb: \x01\n").message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "nothing"),
        ("\n\n", "nothing"),
        ("# a comment\n", "nothing"),
        ("---\n", "nothing"),
        ("- 1\n", "a list"),
        ("[1]", "a list"),
        ("just text", "a text"),
        ("eac:1\n", "'eac:1'"),
        ("eac:" + "x" * 40, "a text"),
    ],
)
def test_what_is_no_mapping_is_refused_with_the_way_to_start_one(text: str, found: str) -> None:
    message = only_problem(text).message
    assert message == f"found {found}, expected a mapping that starts with 'eac: 1'"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: 1\nb:\n\tc: 1\n", 3, 1),
        ("a: 1\nb:\n  c: 1\n  \td: 1\n", 4, 3),
        ("a: 1\nb:\n\t- c\n", 3, 1),
        ("a: |\n\ttext\n", 2, 1),
    ],
)
def test_a_tab_is_refused_where_spaces_are_expected(text: str, line: int, column: int) -> None:
    found = only_problem(text)
    assert (found.line, found.column) == (line, column)
    assert found.message == "YAML syntax: found a tab; use spaces"


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("eac:1\nb: 2\n", "eac:", 1),
        ("a: 1\nb:2\nc: 3\n", "b:", 2),
        ("a: 1\nb: {c:{d: 1}}\n", "c:", 2),
    ],
)
def test_a_space_that_is_missing_after_a_colon_is_named(text: str, key: str, line: int) -> None:
    assert only_problem(text).message.endswith(
        f"; is a space missing after '{key}' in line {line}?"
    )
