"""The options under ``update`` of all built-in methods, as one mapping of the JSON Schema.

A spec's ``update`` is read by the model of its method. A JSON Schema cannot know the method: it
lists the options of all, and says which method has which.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.types import Strict


def methods_with(option: str) -> tuple[str, ...]:
    """Return the built-in methods that have an option under ``update``, without ``-eac`` twins."""
    return tuple(
        name
        for name, method in BUILT_IN.items()
        if option in method.update.model_fields and not method.anchors
    )


def _merged(option: str) -> dict[str, Any]:
    """Return an option's schema over all methods that have it."""
    meanings: dict[str, list[str]] = {}
    found: list[dict[str, Any]] = []
    for name in methods_with(option):
        schema = BUILT_IN[name].update.model_json_schema()["properties"][option]
        meanings.setdefault(schema.pop("description"), []).append(name)
        if schema not in found:
            found.append(schema)
    merged = found[0]
    if len(found) > 1:
        merged = {"anyOf": [{k: v for k, v in each.items() if k != "default"} for each in found]}
    said = ". ".join(f"{text} ({', '.join(names)})" for text, names in meanings.items())
    return {**merged, "description": f"{said}."}


def _list_options(schema: dict[str, Any]) -> None:
    options = dict.fromkeys(key for each in BUILT_IN.values() for key in each.update.model_fields)
    schema["properties"] = {option: _merged(option) for option in options}


class UpdateSettings(Strict):
    """How the matrix is changed; each method has options of its own."""

    model_config = ConfigDict(json_schema_extra=_list_options)
