"""Text from models, records, data and specs, made harmless for where it is shown.

Such text may hold escape sequences for a terminal, lines that a CI system executes as commands,
controls that turn the order of what is read, or markup. Each kind of output has one function here;
it is applied where text leaves the program, so that no message needs to remember it. All of them
leave a text that they have already treated as it is, or escape its markup alone.
"""

import html
import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# Controls (C0, C1) but tab and line feed, halves of characters, and what is invisible but acts on
# the text around it: bidirectional embeddings, overrides and isolates, fillers, tags.
_HIDDEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u115f\u1160\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff"
    r"\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
# Emoji, Chinese, Persian, Indic scripts, Khmer and Mongolian need joiners or selectors of variants;
# beside ASCII or one another alone they only hide. Arabic and Hebrew need marks of direction; in a
# text without a letter of such scripts, so do these.
_JOINERS = r"\u034f\u17b4\u17b5\u180b-\u180f\u200b-\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
_MARKS = r"\u061c\u200e\u200f"
_RIGHT_TO_LEFT = re.compile(
    r"[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_SEEN = rf"[^\x00-\xa0{_HIDDEN}{_JOINERS}{_MARKS}]"
_IDLE_JOINERS = rf"(?<!{_SEEN})[{_JOINERS}](?!{_SEEN})"
# The flags of England, Scotland and Wales are spelled with tags.
_FLAG = r"\U0001f3f4[\U000e0030-\U000e007a]{1,6}\U000e007f"
_INVISIBLE_AMONG_MARKS = re.compile(rf"({_FLAG})|[{_HIDDEN}]|{_IDLE_JOINERS}")
_INVISIBLE = re.compile(rf"({_FLAG})|[{_HIDDEN}{_MARKS}]|{_IDLE_JOINERS}")
# What GitHub executes at the start of a line, and what GitHub, Azure and TeamCity do anywhere in
# one. GitLab's section markers and Travis's folds need a carriage return and an escape.
_COMMAND = re.compile(r"(?m)^([^\S\n]*):(?=:)|()#(?=#\w*\[)")
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")


def visible(text: str) -> str:
    r"""Return a text with all that is invisible in it as Python's escapes: ``\x1b``, ``\u202e``.

    Tabs and line feeds stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return _invisible_in(text).sub(_escape, text)


def lines(text: str) -> str:
    """Return a text of one or more lines for a terminal or a CI log: none of them is a command."""
    return _COMMAND.sub(_no_command, visible(text))


def line(text: str) -> str:
    """Return the same in one line: line feeds and tabs are shown as escapes, too."""
    return lines(text).replace("\n", "\\n").replace("\t", "\\t")


def coloured(text: str) -> str:
    """Return the same as :func:`lines`, but keep what sets colours: text that pytest captured."""
    parts = _COLOUR.split(text)
    return "".join(each if k % 2 else lines(each) for k, each in enumerate(parts))


def markdown(text: str) -> str:
    """Return a text that Markdown and HTML show as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", html.escape(visible(" ".join(text.split())), quote=False))


def fenced(text: str) -> list[str]:
    """Return a text as a Markdown block of code, which its own backticks do not close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", lines(text), fence]


def markup(text: str) -> str:
    """Return a text that may stand in HTML, SVG or XML, in an element or a quoted attribute."""
    return html.escape(visible(text))


def visible_data(value: Any) -> Any:
    """Return data with all texts in it made :func:`visible`, keys of mappings left out."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: visible_data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [visible_data(each) for each in value]
    return value


def json_text(data: Any) -> str:
    """Return data as JSON for a terminal or a log; it reads back as what it was."""
    text = json.dumps(data, indent=1, allow_nan=False)
    text = _invisible_in(text).sub(lambda found: found[1] or json.dumps(found[0])[1:-1], text)
    return re.sub(r"#(?=#\w*\[)", r"\\u0023", text)


def github_error(message: str, *, file: str, line: int, title: str) -> str:
    """Return the workflow command by which GitHub shows a message at the line of a file.

    Source: GitHub Actions, "Workflow commands", and the escapes of its ``@actions/core``.
    """
    place = f"file={_property(file)},line={line},title={_property(title)}"
    return f"::error {place}::{_data(message)}"


def say(text: str, to: TextIO | None = None) -> None:
    """Print a text of one or more lines to stdout or elsewhere, whatever it is able to print."""
    out = to or sys.stdout
    if out is None:  # it was closed before the program began
        return
    encoding = out.encoding or "utf-8"
    shown = lines(text.removesuffix("\n")).encode(encoding, "backslashreplace").decode(encoding)
    out.write(f"{shown}\n")


def say_each(texts: Iterable[str]) -> None:
    """Print texts to stdout, each in one line."""
    for text in texts:
        say(line(text))


@contextmanager
def safe_warnings() -> Iterator[None]:
    """Make the warnings of the block harmless, wherever they are shown or recorded.

    Libraries quote models and data in theirs.
    """
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_safely(message: Warning | str, *more: Any, **named: Any) -> None:
            text = str(message)
            show(message if lines(text) == text else lines(text), *more, **named)

        warnings.showwarning = show_safely
        yield


def _invisible_in(text: str) -> re.Pattern[str]:
    return _INVISIBLE_AMONG_MARKS if _RIGHT_TO_LEFT.search(text) else _INVISIBLE


def _escape(found: re.Match[str]) -> str:
    return found[1] or found[0].encode("unicode_escape").decode()


def _no_command(found: re.Match[str]) -> str:
    return f"{found[1] or ''}\\x{ord(found[0][-1]):02x}"


def _data(text: str) -> str:
    return lines(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(line(text)).replace(":", "%3A").replace(",", "%2C")
