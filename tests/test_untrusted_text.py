from __future__ import annotations

import html
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac import untrusted_text

ANYTHING = st.text(
    st.one_of(
        st.characters(), st.sampled_from("\x1b\r\n\t\x9b\u202e\u2066\u200d\ufeff#[:%`|<_\u0645")
    )
)
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb\x08\x9b2J\x7f", r"a\rb\x08\x9b2J\x7f"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("pass\u200bed \ufeffx\xady", r"pass\u200bed \ufeffx\xady"),
        ("a\u200db \u200ec", r"a\u200db \u200ec"),
        ("\U000e0041\ud800", r"\U000e0041\ud800"),
        ("a\u034fb\U000e0101c\ufe0fd\u17b4e\u180bg", r"a\u034fb\U000e0101c\ufe0fd\u17b4e\u180bg"),
        ("\u6f22\U000e0101\U000e0102.", "\u6f22\U000e0101" + r"\U000e0102."),
        ("a\tb\nc", "a\tb\nc"),
    ],
)
def test_what_is_invisible_is_shown_as_python_writes_it(text: str, shown: str) -> None:
    assert untrusted_text.visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "na\u00efve \u2013 \u201cquoted\u201d caf\u0065\u0301",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f\u200d\U0001f525 \U0001f3f3\ufe0f",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\u0915\u094d\u200d\u0937 \u0c2e\u0c4d\u200c\u0c38",  # Hindi, Telugu
        "\u05e9\u05dc\u05d5\u05dd\u200f, (C++)\u200f \u05d0",  # Hebrew, with marks
        "\u1781\u17d2\u1798\u17c2\u179a\u200b\u1797\u17b6\u179f\u17b6",  # Khmer, word by word
        "\u6f22\u5b57 \u8fbb\U000e0100 \u110b\u1161",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England
    ],
)
def test_texts_of_any_script_stay_as_they_are(text: str) -> None:
    assert untrusted_text.lines(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", r"\x3a:error::x"),
        ("all is well\n \u3000::add-mask::a", "all is well\n \u3000\\x3a:add-mask::a"),
        ("a ##[error]x", r"a \x23#[error]x"),
        ("##vso[task.complete]", r"\x23#vso[task.complete]"),
        ("##teamcity[x]", r"\x23#teamcity[x]"),
        ("section_start:1:x\r\x1b[0K", r"section_start:1:x\r\x1b[0K"),
        ("a.eac.yaml::rome-s0::x ## y", "a.eac.yaml::rome-s0::x ## y"),
    ],
)
def test_no_line_is_a_command_to_a_ci_system(text: str, shown: str) -> None:
    assert untrusted_text.lines(text) == shown


@given(ANYTHING)
def test_lines_hold_no_control_and_no_command_and_stay_so(text: str) -> None:
    shown = untrusted_text.lines(text)
    assert not HIDDEN.search(shown)
    assert not re.search(r"(?m)^\s*::|##\w*\[", shown)
    assert untrusted_text.lines(shown) == shown
    assert "\n" not in untrusted_text.line(text)


def test_a_long_run_of_blank_lines_takes_no_time() -> None:
    assert untrusted_text.lines("\n" * 200_000 + " " * 20_000).endswith(" ")


def test_captured_text_keeps_its_colours_alone() -> None:
    assert (
        untrusted_text.coloured("\x1b[31mred\x1b[0m\x1b[2J\n::x")
        == "\x1b[31mred\x1b[0m\\x1b[2J\n\\x3a:x"
    )


@given(ANYTHING)
def test_markdown_is_one_line_that_reads_as_before(text: str) -> None:
    found = untrusted_text.markdown(text)
    assert "\n" not in found
    assert "<" not in found
    assert re.search(r"(?<!\\)(\\\\)*[|*`_\[]", found) is None
    read = html.unescape(re.sub(r"\\(.)", r"\1", found))
    assert read == untrusted_text.visible(" ".join(text.split()))


@given(ANYTHING)
def test_json_reads_back_as_it_was_and_shows_no_control(text: str) -> None:
    found = untrusted_text.json_text({"text": [text]})
    assert json.loads(found) == {"text": [text]}
    assert untrusted_text.lines(found) == found


@given(ANYTHING, ANYTHING)
def test_an_annotation_is_one_command_in_one_line(message: str, title: str) -> None:
    found = untrusted_text.github_error(message, file="a,b:c", line=3, title=title)
    assert len(found.splitlines()) == 1
    head, place, told = found.split("::", 2)
    assert (head, place.split(",")[0], place.count(",")) == ("", "error file=a%2Cb%3Ac", 2)
    assert told.replace("%0A", "\n").replace("%25", "%") == untrusted_text.lines(message)


def test_a_stream_that_prints_ascii_alone_is_given_escapes() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    untrusted_text.say("\u00e9t\u00e9", out)
    out.flush()
    assert out.buffer.getvalue() == b"\\xe9t\\xe9\n"
