"""JSON that anybody may have written, read as frozen values of a type.

The types of numbers below are checked once, when a file is read, so that no later code needs to
handle other numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Le, Lt

from pytest_eac.untrusted_text import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Typed = TypeVar("Typed")

Count = Annotated[int, Ge(0)]
"""A whole number from 0."""
Share = Annotated[float, Ge(0), Le(1)]
"""A number from 0 to 1."""
Level = Annotated[float, Gt(0), Lt(1)]
"""A number between 0 and 1."""
Size = Annotated[float, Ge(0), Le(1e60)]
"""A number from 0 to 1e60: seconds, and norms of weights (those of float32 are below 1e50)."""
LARGEST = 1e300
Number = Annotated[float, Ge(-LARGEST), Le(LARGEST)]
"""A number from -1e300 to 1e300."""

_LARGEST = 2**63
_DEEPEST = 32
_SHOWN = 60
_WORDS = {
    "Input should be": "expected",
    "a valid array": "a list",
    "a valid dictionary": "an object",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "a text",
}


def read_typed(kind: type[Typed], text: str) -> Typed:
    """Read a value of a type.

    Args:
        kind: a dataclass, of which every field that has no default must be there.
        text: JSON. Numbers must be finite, whole numbers fit in 64 bits, no key may come twice in
            an object, and lists and objects are nested at most 32 levels deep.

    Raises:
        ValueError: the text is not JSON of this type; names each place, what was found there, and
            what was expected.
    """
    _json(text)
    return _validated(kind, text)


def read_numbered(kinds: Mapping[int, type[Typed]], text: str, *, remedy: str) -> Typed:
    """Read a value whose field ``schema`` says of which type it is.

    Args:
        kinds: the type of each schema.
        text: JSON, as :func:`read_typed` reads it.
        remedy: what to do about a file of a schema that is older than all of these.

    Raises:
        ValueError: likewise, or the schema is none of these.
    """
    data = _json(text)
    found = data.get("schema") if isinstance(data, dict) else None
    kind = kinds.get(found) if type(found) is int else None
    if kind is None:
        todo = "update pytest-eac" if type(found) is int and found > max(kinds) else remedy
        known = " to ".join(map(str, sorted({min(kinds), max(kinds)})))
        raise ValueError(f"found schema {_kind_or_value(found)}, expected {known}; {todo}")
    return _validated(kind, text)


def _validated(kind: type[Typed], text: str) -> Typed:
    from pydantic import ValidationError

    wanted: Any = kind
    try:
        # Not from what has been read already: in strict mode pydantic accepts lists as tuples only
        # from JSON, and without strict mode it would accept texts and booleans as numbers.
        value: Typed = _adapter(wanted).validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(_described(error.errors(include_url=False))) from None
    return value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _json(text: str) -> Any:
    return parse_json(
        text, parse_constant=finite_number, parse_float=finite_number, parse_int=_whole
    )


def parse_json(text: str | bytes, **numbers: Any) -> Any:
    """Read JSON that every reader understands in the same way.

    Args:
        text: JSON. No key may come twice in an object (readers differ in which one counts), and
            lists and objects may be nested at most 32 levels deep.
        numbers: the functions that read numbers, as in ``json.loads``.

    Raises:
        ValueError: the text is not such JSON; says what was found.
    """
    try:
        data = json.loads(text, object_pairs_hook=unique_keys, **numbers)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        pass
    else:
        if not _deeper_than(_DEEPEST, data):
            return data
    raise ValueError(f"found lists and objects nested deeper than {_DEEPEST}, expected fewer")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; a ``ValueError`` if it has a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"found the key {shown(twice)} twice in an object, expected it once")
    return found


def finite_number(text: str) -> float:
    """Read a number; a ``ValueError`` if it is not finite."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"found {text[:_SHOWN]}, expected a finite number")
    return number


def _whole(text: str) -> int:
    # Python refuses to read, and takes long to compute with, numbers of thousands of digits.
    number = int(text) if len(text) < _SHOWN else _LARGEST
    if not -_LARGEST <= number < _LARGEST:
        raise ValueError(f"found {shown(text)}, expected a whole number of 64 bits at most")
    return number


def _deeper_than(depth: int, value: Any) -> bool:
    """Say whether lists and objects are nested more than ``depth`` levels deep."""
    layer = [value]
    for _ in range(depth):
        layer = [
            each
            for holder in layer
            if isinstance(holder, dict | list)
            for each in (holder.values() if isinstance(holder, dict) else holder)
        ]
    return any(isinstance(each, dict | list) for each in layer)


def _described(problems: list[ErrorDetails]) -> str:
    """Name the first problems, each with its place."""
    first = "; ".join(map(_problem, problems[:3]))
    more = len(problems) - 3
    return f"{first}; and {more} more" if more > 0 else first


def _problem(detail: ErrorDetails) -> str:
    place = _path(detail["loc"])
    if detail["type"] == "missing":
        return f"{place}: is missing"
    if detail["type"] == "json_invalid":
        return f"not JSON: {detail['msg'].removeprefix('Invalid JSON: ')}"
    expected = detail["msg"]
    for words, ours in _WORDS.items():
        expected = expected.replace(words, ours)
    return f"{place}: found {_kind_or_value(detail['input'])}, {expected}"


def _path(parts: Iterable[str | int]) -> str:
    """Write the path of a value: ``chains[0].known.n``."""
    path = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in parts)
    return line(path.removeprefix(".")) or "the file"


def _kind_or_value(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return shown(value)


def shown(value: object) -> str:
    """Write a value for a message, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
