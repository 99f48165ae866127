"""YAML text to plain Python values, with the place of every value in the text.

ruamel.yaml parses the text into nodes (YAML 1.2: ``no`` stays a string, ``010`` is ten); the nodes
become dicts, tuples and scalars here, so that tags, duplicate keys, depth and the expansion of
aliases are refused with a line and a column instead of being acted upon.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pytest_eac.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 24
MAX_VALUES = 1_000_000

Where = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name for name in ("int", "float", "bool", "null")}
_TEXTS = {_TAG + name for name in ("str", "timestamp", "value", "merge")}
_MERGE = _TAG + "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def problem(self, message: str, path: Where = ()) -> Problem:
        """Describe something wrong at this place."""
        return Problem(
            file=self.file,
            line=self.line,
            column=self.column,
            path=dotted(path),
            message=message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedValue:
    """A plain value and, for each path into it, where its key and the value itself stand."""

    value: Any
    keys: dict[Where, Mark]
    values: dict[Where, Mark]

    def mark(self, path: Where, *, key: bool = False) -> Mark:
        """Return the mark of ``path``, or of the nearest enclosing value that has one."""
        marks = self.keys if key else self.values
        while path and path not in marks:
            path = path[:-1]
            marks = self.values
        return marks.get(path) or self.values[()]


class MarkedError(Exception):
    """The text is no usable YAML; carries the problems found."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(problems)


def dotted(path: Where) -> str:
    """Write a path as users write it: ``edits[2].subject``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: str, file: Path) -> MarkedValue:
    """Parse one YAML document.

    Raises:
        MarkedError: the text is not YAML, is too large or too deep, or holds tags, duplicate keys
            or aliases that expand beyond the limits; every problem found is in it.
    """
    start = Mark(file=file, line=1, column=1)
    if len(text) > MAX_BYTES:
        found = f"{len(text):,} characters; a spec may have {MAX_BYTES:,}"
        raise MarkedError([start.problem(f"{found}: keep long edit lists in a data file (from:)")])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            node = YAML(typ="safe", pure=True).compose(text)
    except RecursionError:
        message = f"nested too deeply; a spec may have {MAX_DEPTH} levels"
        raise MarkedError([start.problem(message)]) from None
    except MarkedYAMLError as error:
        raise MarkedError([_syntax_problem(error, file)]) from None
    except YAMLError as error:
        first = str(error).strip().splitlines()[0]
        raise MarkedError([start.problem(f"not a text that YAML can hold: {first}")]) from None
    if not isinstance(node, MappingNode):
        raise MarkedError([start.problem("a spec is a mapping; start it with 'eac: 1'")])
    reader = _Reader(file)
    value = reader.read(node, (), depth=0)
    if reader.problems:
        raise MarkedError(reader.problems)
    return MarkedValue(value=value, keys=reader.keys, values=reader.values)


def _syntax_problem(error: MarkedYAMLError, file: Path) -> Problem:
    place = error.problem_mark or error.context_mark
    line, column = (place.line + 1, place.column + 1) if place else (1, 1)
    what = ": ".join(str(part).strip() for part in (error.context, error.problem) if part)
    return Mark(file=file, line=line, column=column).problem(f"YAML syntax: {what}")


class _LimitReachedError(Exception):
    """Stop reading: going on would only repeat the same problem."""


@dataclass(slots=True)
class _Reader:
    """Turns nodes into values, noting marks and problems as it goes."""

    file: Path
    problems: list[Problem] = field(default_factory=list)
    keys: dict[Where, Mark] = field(default_factory=dict)
    values: dict[Where, Mark] = field(default_factory=dict)
    merged: int = 0
    _yaml: YAML = field(default_factory=lambda: YAML(typ="safe", pure=True))

    def read(self, node: Node, path: Where, *, depth: int) -> Any:
        """Return the plain value of the document's root; problems are collected."""
        try:
            return self._read(node, path, depth)
        except _LimitReachedError:
            return None

    def _mark(self, node: Node) -> Mark:
        place = node.start_mark
        return Mark(file=self.file, line=place.line + 1, column=place.column + 1)

    def _complain(self, node: Node, path: Where, message: str) -> None:
        self.problems.append(self._mark(node).problem(message, path))

    def _read(self, node: Node, path: Where, depth: int) -> Any:
        self.values[path] = self._mark(node)
        if depth > MAX_DEPTH:
            self._complain(node, path, f"nested too deeply; a spec may have {MAX_DEPTH} levels")
            raise _LimitReachedError
        if len(self.values) > MAX_VALUES:
            limit = f"a spec may have {MAX_VALUES:,}"
            self._complain(node, path, f"too many values once aliases are expanded; {limit}")
            raise _LimitReachedError
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return tuple(
                self._read(child, (*path, index), depth + 1)
                for index, child in enumerate(node.value)
            )
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        return self._refuse_tag(node, path)

    def _refuse_tag(self, node: Node, path: Where) -> None:
        tag = str(node.tag).replace(_TAG, "!!")
        self._complain(node, path, f"tag {tag} is refused; a spec holds plain data only")

    def _scalar(self, node: ScalarNode, path: Where) -> Any:
        if node.tag in _TEXTS:
            return node.value
        if node.tag not in _SCALARS:
            return self._refuse_tag(node, path)
        try:
            return self._yaml.constructor.construct_object(node)
        except (ValueError, LookupError, YAMLError):
            kind = str(node.tag).removeprefix(_TAG)
            self._complain(node, path, f"{node.value!r} cannot be read as {kind}")
            return None

    def _mapping(self, node: MappingNode, path: Where, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, Mark] = {}
        for key_node, value_node in self._pairs(node, path, depth):
            if not isinstance(key_node, ScalarNode):
                self._complain(key_node, path, "a key must be a plain name")
                continue
            if key_node.tag not in _SCALARS | _TEXTS:
                self._refuse_tag(key_node, path)
                continue
            key = str(key_node.value)
            inner = (*path, key)
            if key in first:
                message = f"duplicate key {key!r}; first given on line {first[key].line}"
                self._complain(key_node, inner, message)
                continue
            first[key] = self.keys[inner] = self._mark(key_node)
            result[key] = self._read(value_node, inner, depth + 1)
        return result

    def _count_merged(self, key: Node, path: Where) -> None:
        self.merged += 1
        if self.merged > MAX_VALUES:
            self._complain(key, path, f"merges expand to more than {MAX_VALUES:,} values")
            raise _LimitReachedError

    def _pairs(self, node: MappingNode, path: Where, depth: int) -> Iterator[tuple[Node, Node]]:
        """Yield a mapping's own pairs, then those that ``<<`` merges in and that it lacks."""
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        yield from own
        names = {key.value for key, _ in own if isinstance(key, ScalarNode)}
        for key, value in node.value:
            if key.tag != _MERGE:
                continue
            if depth > MAX_DEPTH:
                self._complain(key, path, f"merged too deeply; a spec may have {MAX_DEPTH} levels")
                raise _LimitReachedError
            sources = value.value if isinstance(value, SequenceNode) else [value]
            for source in sources:
                self._count_merged(key, path)
                if not isinstance(source, MappingNode):
                    self._complain(key, path, "'<<' merges a mapping or a list of mappings")
                    continue
                for inner_key, inner_value in self._pairs(source, path, depth + 1):
                    self._count_merged(key, path)
                    if isinstance(inner_key, ScalarNode) and inner_key.value not in names:
                        names.add(inner_key.value)
                        yield inner_key, inner_value
