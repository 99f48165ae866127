"""YAML text to nodes: what is written, where, and as which kind of value.

ruamel.yaml reads YAML 1.2, but is written in Python, and slow. libyaml is some forty times as fast,
and reads YAML 1.1, whose syntax differs in corners only. So libyaml is tried first. What it
refuses, and what the two versions read differently, is left to ruamel.yaml. Which plain texts are
numbers is decided by YAML 1.2 in either case.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scanner import Scanner
from yaml import YAMLError as FastYAMLError

from pytest_eac.spec.yaml.places import Mark, MarkedError

try:
    from yaml import cyaml
except ImportError:  # a build of PyYAML without libyaml
    cyaml = None


TAG = "tag:yaml.org,2002:"
MAX_DEPTH = 24
TOO_DEEP = f"nested too deeply; a spec may have {MAX_DEPTH} levels"
FAST_PARSER: Any = cyaml and cyaml.CParser

# What the two parsers read or place differently. Inside a quoted text, a match is harmless: the
# slower parser is used.
_READ_IN_TWO_WAYS = re.compile(
    r"""[\t\x85\u2028\u2029\ufeff]   # in YAML 1.1, three of these are line breaks
    | [|>][-+\d]*\#                 # a comment that nothing parts from what is before it
    | (?<![^\s\[{,:])(?:            # at the start of a value:
          \?(?!\S)                      # a key behind a question mark
        | !                           # a tag
        | [&*](?![A-Za-z0-9_-]+(?:[\s,\]}]|\Z))(?=\S)  # an anchor or alias with a strange name
    )""",
    re.MULTILINE | re.VERBOSE,
)


@dataclass(slots=True, eq=False)
class Node:
    """A value as it is written; collections are filled while they are read."""

    tag: str
    mark: Mark


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A text, number, truth value or nothing."""

    text: str


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node]


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """Pairs of a key and a value, in the order of the text; keys may occur again.

    ``key`` is the one whose value is still to come.
    """

    pairs: list[tuple[Node, Node]]
    key: Node | None = None


def compose(text: str, file: Path) -> Node | None:
    """Return the nodes of a text that holds one YAML document; ``None`` for an empty one.

    Raises:
        MarkedError: it is no YAML, is too deep, holds several documents, or an alias to nothing.
    """
    if FAST_PARSER is not None and not _READ_IN_TWO_WAYS.search(text):
        try:
            return _Composer(file).compose(iter(FAST_PARSER(text).get_event, None))
        except (FastYAMLError, UnicodeEncodeError):
            pass  # it may be YAML 1.2; if not, ruamel.yaml says so in better words
    return _compose_slowly(text, file)


class _TooDeepError(MarkedYAMLError):
    """A list or mapping in brackets within too many others."""


class _BoundedScanner(Scanner):
    """Stops at brackets that no spec may have: its work grows with the square of their depth."""

    def fetch_flow_collection_start(self, *args: Any, **kwargs: Any) -> None:
        """Note the start of a list or mapping in brackets."""
        if self.flow_level > MAX_DEPTH:
            raise _TooDeepError(problem_mark=self.reader.get_mark())
        super().fetch_flow_collection_start(*args, **kwargs)


def _compose_slowly(text: str, file: Path) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _BoundedScanner
    try:
        return _Composer(file).compose(yaml.parse(text))
    except MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        line, column = (place.line + 1, place.column + 1) if place else (1, 1)
        mark = Mark(file=file, line=line, column=column)
        if isinstance(error, _TooDeepError):
            raise MarkedError([mark.problem(TOO_DEEP)]) from None
        what = ": ".join(str(part).strip() for part in (error.context, error.problem) if part)
        what = _in_other_words(what, text.splitlines()[max(line - 2, 0) : line], line)
        raise _syntax_error(mark, what) from None
    except YAMLError as error:
        message = f"not a text that YAML can hold: {str(error).strip().splitlines()[0]}"
        raise MarkedError([Mark(file=file, line=1, column=1).problem(message)]) from None


# The parser's errors where the space after a colon is missing: it then sees no key.
_NO_KEY = ("mapping values are not allowed", "could not find expected ':'", "but got '{'")
_NO_SPACE = re.compile(r"(?:^|[\s{,])([A-Za-z_][\w-]*:)(?=[^\s/:])")


def _in_other_words(what: str, lines: list[str], line: int) -> str:
    """Explain the two most common errors by what to write instead.

    Args:
        what: the parser's words.
        lines: the line of the error, and the one before.
        line: the number of the former.
    """
    if r"found character '\t'" in what:
        return "found a tab; use spaces"
    if any(sign in what for sign in _NO_KEY):
        for number, text in enumerate(lines, start=line + 1 - len(lines)):
            if found := _NO_SPACE.search(text):
                return f"{what}; is a space missing after {found[1]!r} in line {number}?"
    return what


def _syntax_error(mark: Mark, what: str) -> MarkedError:
    return MarkedError([mark.problem(f"YAML syntax: {what}")])


class _Composer:
    """Puts events together; either parser's, which name them alike."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.resolvers: Any = YAML(typ="safe", pure=True).resolver.versioned_resolver

    def compose(self, events: Iterator[Any]) -> Node | None:
        """Return the one document's node."""
        root: Node | None = None
        open_nodes: list[Sequence | Mapping] = []
        for event in events:
            name = type(event).__name__
            if name == "DocumentStartEvent" and root is not None:
                what = "expected a single document in the stream: but found another document"
                raise _syntax_error(self._mark(event), what)
            if name in {"MappingEndEvent", "SequenceEndEvent"}:
                open_nodes.pop()
            node = self._node(name, event)
            if node is None:
                continue
            if open_nodes:
                self._add(open_nodes[-1], node, absent=_is_absent(event))
            else:
                root = node
            if isinstance(node, Sequence | Mapping) and name != "AliasEvent":
                if len(open_nodes) > MAX_DEPTH:
                    raise MarkedError([node.mark.problem(TOO_DEEP)])
                open_nodes.append(node)
        return root

    def _add(self, parent: Sequence | Mapping, node: Node, *, absent: bool) -> None:
        """Put a node into the collection that is being read: an item, a key or a key's value."""
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif (key := parent.key) is None:
            parent.key = node
        else:
            if absent:
                node.mark = key.mark  # the parsers differ on where nothing stands
            parent.pairs.append((key, node))
            parent.key = None

    def _mark(self, event: Any) -> Mark:
        place = event.start_mark
        return Mark(file=self.file, line=place.line + 1, column=place.column + 1)

    def _node(self, name: str, event: Any) -> Node | None:
        if name == "AliasEvent":
            if event.anchor not in self.anchors:
                found = f"found undefined alias {str(event.anchor)!r}"
                raise _syntax_error(self._mark(event), found)
            return self.anchors[event.anchor]
        node: Node
        if name == "ScalarEvent":
            tag = self._resolved(event)
            node = Scalar(tag=tag, mark=self._mark(event), text=self._text(event))
        elif name == "SequenceStartEvent":
            node = Sequence(tag=_tag(event) or f"{TAG}seq", mark=self._mark(event), items=[])
        elif name == "MappingStartEvent":
            node = Mapping(tag=_tag(event) or f"{TAG}map", mark=self._mark(event), pairs=[])
        else:
            return None
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _text(self, event: Any) -> str:
        """Return a scalar's text; JSON writes what is beyond U+FFFF as two escapes, joined here."""
        text = str(event.value)
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            message = f"{text[:40]!r} holds half of a character; expected \\u escapes in pairs"
            raise MarkedError([self._mark(event).problem(message)]) from None

    def _resolved(self, event: Any) -> str:
        """Return the tag of a scalar: as written, or for a plain one by what it looks like."""
        if tag := _tag(event):
            return tag
        if event.implicit[0]:
            for tag, pattern in self.resolvers.get(event.value[:1], ()):
                if pattern.match(event.value):
                    return str(tag)
        return f"{TAG}str"


def _is_absent(event: Any) -> bool:
    is_scalar = type(event).__name__ == "ScalarEvent"
    return is_scalar and event.value == "" and event.implicit[0] and not event.anchor


def _tag(event: Any) -> str | None:
    return None if event.tag is None or str(event.tag) == "!" else str(event.tag)
