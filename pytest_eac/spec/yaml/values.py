"""YAML text to plain Python values, with the place of every value in the text.

The nodes of the text (YAML 1.2: ``no`` stays a string, ``010`` is ten) become dicts, tuples and
scalars here, so that tags, duplicate keys, depth and the expansion of aliases are refused with a
line and a column instead of being acted upon.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from pytest_eac.errors import SpecProblem
from pytest_eac.spec.yaml.nodes import (
    MAX_DEPTH,
    TAG,
    TOO_DEEP,
    Mapping,
    Node,
    Scalar,
    Sequence,
    compose,
)
from pytest_eac.spec.yaml.places import Mark, MarkedError, MarkedValue, Where

MAX_VALUES = 1_000_000
SMALL = 100_000
"""How many values a text may have whatever its size; beyond that, one for each character."""
MAX_DIGITS = 100
"""Of a whole number: Python refuses to show or read those of thousands of digits."""

_SCALARS = {TAG + name for name in ("int", "float", "bool", "null")}
_TEXTS = {TAG + name for name in ("str", "timestamp", "value", "merge")}
_MERGE = TAG + "merge"


def most_values(size: int) -> int:
    """Return how many values a text of ``size`` characters may have once aliases are expanded."""
    return min(MAX_VALUES, SMALL + size)


def parse(text: str, file: Path, *, values: int = 0, size: int = 0) -> MarkedValue:
    """Parse one YAML document.

    Args:
        text: of it.
        file: where it stands, for the marks.
        values: how many values the texts have that belong to it and were read before.
        size: how many characters those have.

    Raises:
        MarkedError: the text is not YAML, is too deep, or holds tags, duplicate keys
            or aliases that expand beyond the limits; every problem found is in it.
    """
    start = Mark(file=file, line=1, column=1)
    node = compose(text, file)
    if not isinstance(node, Mapping):
        message = f"found {_named(node)}, expected a mapping that starts with 'eac: 1'"
        raise MarkedError([start.problem(message)])
    reader = _Reader(before=values, limit=most_values(size + len(text)))
    value = reader.read(node, (), depth=0)
    if reader.problems:
        raise (TooLargeError if reader.stopped else MarkedError)(reader.problems)
    return MarkedValue(value=value, keys=reader.keys, values=reader.values)


def _named(node: Node | None) -> str:
    """Name what a text holds in place of a mapping."""
    if isinstance(node, Sequence):
        return "a list"
    if not isinstance(node, Scalar) or not node.text:
        return "nothing"
    # Any file can be named as a spec: no more is shown of a text than what was meant as the key.
    key = node.text.partition(" ")[0]
    return repr(key) if key.startswith("eac") and len(key) <= 40 else "a text"


class TooLargeError(MarkedError):
    """A text that is too deep or has too many values; others that belong to it need not be read."""


class _LimitReachedError(Exception):
    """Stop reading: going on would only repeat the same problem."""


@dataclass(slots=True)
class _Reader:
    """Turns nodes into values, noting marks and problems as it goes."""

    before: int
    limit: int
    problems: list[SpecProblem] = field(default_factory=list)
    keys: dict[Where, Mark] = field(default_factory=dict)
    values: dict[Where, Mark] = field(default_factory=dict)
    merged: int = 0
    stopped: bool = False
    _yaml: YAML = field(default_factory=lambda: YAML(typ="safe", pure=True))

    def read(self, node: Node, path: Where, *, depth: int) -> Any:
        """Return the plain value of the document's root; problems are collected."""
        try:
            return self._read(node, path, depth)
        except _LimitReachedError:
            self.stopped = True
            return None

    def _complain(self, node: Node, path: Where, message: str) -> None:
        self.problems.append(node.mark.problem(message, path))

    def _stop(self, node: Node, path: Where, message: str) -> NoReturn:
        self._complain(node, path, message)
        raise _LimitReachedError

    def _read(self, node: Node, path: Where, depth: int) -> Any:
        self.values[path] = node.mark
        if depth > MAX_DEPTH:
            self._stop(node, path, TOO_DEEP)
        if self.before + len(self.values) > self.limit:
            limit = f"a spec of this size may have {self.limit:,} with those of its extends"
            self._stop(node, path, f"too many values once aliases are expanded; {limit}")
        if isinstance(node, Mapping) and node.tag == TAG + "map":
            return self._mapping(node, path, depth)
        if isinstance(node, Sequence) and node.tag == TAG + "seq":
            return tuple(
                self._read(child, (*path, index), depth + 1)
                for index, child in enumerate(node.items)
            )
        if isinstance(node, Scalar):
            return self._scalar(node, path)
        return self._refuse_tag(node, path)

    def _refuse_tag(self, node: Node, path: Where) -> None:
        tag = str(node.tag).replace(TAG, "!!")
        self._complain(node, path, f"tag {tag} is refused; a spec holds plain data only")

    def _scalar(self, node: Scalar, path: Where) -> Any:
        if node.tag in _TEXTS:
            return node.text
        if node.tag not in _SCALARS:
            return self._refuse_tag(node, path)
        if node.tag == TAG + "int" and len(node.text) > MAX_DIGITS:
            limit = f"found a number of {len(node.text):,} characters; one may have {MAX_DIGITS}"
            return self._complain(node, path, limit)
        try:
            return self._yaml.constructor.construct_object(ScalarNode(node.tag, node.text))
        except (ValueError, LookupError, YAMLError):
            kind = str(node.tag).removeprefix(TAG)
            self._complain(node, path, f"{node.text!r} cannot be read as {kind}")
            return None

    def _mapping(self, node: Mapping, path: Where, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, Mark] = {}
        for key_node, value_node in self._pairs(node, path, depth):
            if not isinstance(key_node, Scalar):
                self._complain(key_node, path, "a key must be a plain name")
                continue
            if key_node.tag not in _SCALARS | _TEXTS:
                self._refuse_tag(key_node, path)
                continue
            key = str(key_node.text)
            inner = (*path, key)
            if key in first:
                message = f"duplicate key {key!r}; first given on line {first[key].line}"
                self._complain(key_node, inner, message)
                continue
            first[key] = self.keys[inner] = key_node.mark
            result[key] = self._read(value_node, inner, depth + 1)
        return result

    def _count_merged(self, key: Node, path: Where) -> None:
        self.merged += 1
        if self.before + self.merged > self.limit:
            self._stop(key, path, f"merges expand to more than {self.limit:,} values")

    def _pairs(self, node: Mapping, path: Where, depth: int) -> Iterator[tuple[Node, Node]]:
        """Yield a mapping's own pairs, then those that ``<<`` merges in and that it lacks."""
        own = [pair for pair in node.pairs if pair[0].tag != _MERGE]
        yield from own
        names = {key.text for key, _ in own if isinstance(key, Scalar)}
        for key, value in node.pairs:
            if key.tag != _MERGE:
                continue
            if depth > MAX_DEPTH:
                self._stop(key, path, f"merged too deeply; a spec may have {MAX_DEPTH} levels")
            sources = value.items if isinstance(value, Sequence) else [value]
            for source in sources:
                self._count_merged(key, path)
                if not isinstance(source, Mapping):
                    self._complain(key, path, "'<<' merges a mapping or a list of mappings")
                    continue
                for inner_key, inner_value in self._pairs(source, path, depth + 1):
                    self._count_merged(key, path)
                    if isinstance(inner_key, Scalar) and inner_key.text not in names:
                        names.add(inner_key.text)
                        yield inner_key, inner_value
