"""The keys of a spec, from its JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from pytest_eac.spec.schema.spec_file import json_schema
from reference_pages.tables import code, table

_INTRO = """# Keys of a spec

Every key that a spec can have, from the same schema that checks it.
[How to write a spec](../spec.md) has an example of each; [the methods](methods.md) have a page of
their own.
"""


def keys_page() -> str:
    """Return the page; one section for each mapping, headed by the places where it stands."""
    schema = json_schema()
    parts = [_INTRO, "## A spec\n", _keys(schema, schema)]
    for name, places in _places(schema).items():
        found = schema["$defs"][name]
        heading = ", ".join(code(place) for place in places)
        parts += [f"## {heading}\n", f"{found['description']}\n", _keys(found, schema)]
    return "\n".join(parts)


def _places(schema: dict[str, Any]) -> dict[str, list[str]]:
    """Return a schema's mappings by name, each with its paths, the nearest to the top first."""
    places: dict[str, list[str]] = {}
    waiting = [("", schema)]
    while waiting:
        above, node = waiting.pop(0)
        for key, value in node["properties"].items():
            for name, inside in _mappings(value, f"{above}{key}"):
                known = places.setdefault(name, [])
                if not known:
                    waiting.append((f"{inside}.", schema["$defs"][name]))
                known.append(inside)
    return places


def _mappings(value: dict[str, Any], path: str) -> list[tuple[str, str]]:
    """Return the mappings that a value may be or hold: their names and paths."""
    found = [(value["$ref"].rpartition("/")[2], path)] if "$ref" in value else []
    for each in (*value.get("anyOf", ()), *value.get("oneOf", ())):
        found += _mappings(each, path)
    if isinstance(value.get("items"), dict):
        found += _mappings(value["items"], f"{path}[]")
    for each in _values(value):
        found += _mappings(each, f"{path}.NAME")
    return list(dict.fromkeys(found))


def _values(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the names of a mapping may hold, where the names are free."""
    free = [*value.get("patternProperties", {}).values(), value.get("additionalProperties")]
    return [each for each in free if isinstance(each, dict)]


def _keys(node: dict[str, Any], schema: dict[str, Any]) -> str:
    required = node.get("required", ())
    return table(
        ("key", "type", "default", "meaning"),
        (
            (
                code(key),
                _type(value),
                "required" if key in required else _default(value),
                describe(value, schema),
            )
            for key, value in node["properties"].items()
        ),
    )


def describe(value: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return what a key means: its own description, else that of the mapping it holds."""
    if "description" in value:
        return str(value["description"])
    [(name, _)] = _mappings(value, "")
    return str(schema["$defs"][name]["description"])


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default is None or default in ([], {}):
        return "none"
    if isinstance(default, dict):
        return "see below"
    return code(default if isinstance(default, str) else json.dumps(default))


_WORDS = {
    "boolean": "`true` or `false`",
    "integer": "whole number",
    "number": "number",
    "string": "text",
}


def _type(value: dict[str, Any]) -> str:
    """Return a value's type in words, with its limits."""
    choices = [*value.get("anyOf", ()), *value.get("oneOf", ())]
    kind = value.get("type", "")
    if choices:
        words = " or ".join(dict.fromkeys(_type(each) for each in choices if not _is_null(each)))
    elif "enum" in value:
        words = ", ".join(code(each) for each in value["enum"])
    elif "const" in value:
        words = code(json.dumps(value["const"]))
    elif "$ref" in value:
        words = "mapping (below)"
    elif kind == "array":
        words = f"list of: {_type(value['items'])}" if "items" in value else "list"
    elif kind == "object":
        words = f"mapping of names to: {' or '.join(_type(each) for each in _values(value))}"
    else:
        words = f"{_WORDS.get(kind, 'anything')}{_limits(value)}"
    return words


def _is_null(value: dict[str, Any]) -> bool:
    return value.get("type") == "null"


def _limits(value: dict[str, Any]) -> str:
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    return "".join(f" {word} {value[key]}" for key, word in words.items() if key in value)
