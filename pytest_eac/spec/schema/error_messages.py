"""Validation errors of the schema, reworded in the terms of the file."""

import re
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pytest_eac.errors import SpecProblem
from pytest_eac.spec.methods import find_method
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.schema.common_mistakes import key_meant, limits_meant, share_meant
from pytest_eac.spec.schema.methods import methods_with
from pytest_eac.spec.schema.spec_file import json_schema
from pytest_eac.spec.types import REFUSED
from pytest_eac.spec.yaml.places import MarkedValue, Where
from pytest_eac.strict_json import shown


def problems_of(error: ValidationError, marked: MarkedValue) -> list[SpecProblem]:
    """Return one problem per place; alternatives of a union at one place are joined by "or"."""
    grouped: dict[Where, list[ErrorDetails]] = {}
    placed = [(path_in(marked.value, each), each) for each in error.errors(include_url=False)]
    enclosing = {path[:length] for path, _ in placed for length in range(len(path))}
    unknown = {path for path, each in placed if "[key]" in each["loc"]}
    for path, detail in placed:
        if path in unknown and "[key]" not in detail["loc"]:
            continue  # what is under an unknown name does not matter
        if detail["type"] == "too_short" and detail["input"]:
            continue  # its items are wrong, which is reported by itself
        if detail["type"] == "literal_error" and path in enclosing:
            continue  # another branch of the union was meant, and is wrong further inside
        grouped.setdefault(path, []).append(detail)
    return [_problem(path, details, marked) for path, details in grouped.items()]


def path_in(value: Any, detail: ErrorDetails) -> Where:
    """Return the error's path in the data: its ``loc`` without the names of union branches."""
    path: list[str | int] = []
    for part in detail["loc"]:
        if isinstance(value, tuple):
            inside = isinstance(part, int) and 0 <= part < len(value)
        else:
            inside = isinstance(value, dict) and part in value
        if inside:
            value = value[part]
            path.append(part)
    if detail["type"] == "missing" and isinstance(detail["loc"][-1], str):
        path.append(str(detail["loc"][-1]))
    return tuple(path)


def _problem(path: Where, details: list[ErrorDetails], marked: MarkedValue) -> SpecProblem:
    detail = details[0]
    if detail["type"] == "extra_forbidden":
        known = _known_options(path[:-1], marked)
        if known is None:
            known = _known_keys(path[:-1])
        hint = _other_method(path, known) or key_meant(path, known) or closest(str(path[-1]), known)
        message = f"unknown key {path[-1]!r}{hint}"
        return marked.mark(path, key=True).problem(message, path)
    if detail["type"] == "missing" and isinstance(detail["loc"][-1], int):
        return marked.mark(path).problem(f"item {detail['loc'][-1] + 1} is missing", path)
    if detail["type"] == "missing":
        start = "; a spec starts with 'eac: 1'" if path == ("eac",) else ""
        return marked.mark(path[:-1]).problem(f"missing key {path[-1]!r}{start}", path)
    expectations = dict.fromkeys(_expectation(each) for each in details)
    message = " or ".join(expectations).replace(" or expected ", " or ")
    if detail["type"] != REFUSED:
        message = f"found {_shown(detail['input'])}, {message}"
    mark = marked.mark(path, key="[key]" in detail["loc"])
    return mark.problem(message + _hint(path, detail), path)


# pydantic's words, and those of this project.
_WORDS = (
    (r"^Input should (be|have)", "expected"),
    (r"^(Tuple|Value|String) should have", "expected"),
    (r"^String should", "expected to"),
    (r" after validation, not 0", ""),
    (r"a valid tuple", "a list"),
    (r"a valid string", "a text"),
    (r"a valid dictionary( or instance of \w+)?", "a mapping"),
    (r"a valid integer", "a whole number"),
    (r"a valid number", "a number"),
)


def _expectation(detail: ErrorDetails) -> str:
    text = detail["msg"]
    for pattern, ours in _WORDS:
        text = re.sub(pattern, ours, text)
    return text


def _hint(path: Where, detail: ErrorDetails) -> str:
    found = detail["input"]
    if detail["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        return limits_meant(path, found)
    if detail["type"] == "less_than_equal" and detail["ctx"].get("le") == 1:
        return share_meant(found)
    if detail["type"] == "float_type" and path[:1] == ("checks",):
        return share_meant(found)
    if detail["type"] == "string_type" and isinstance(found, bool | int | float):
        return "; put it in quotes"
    if detail["type"] == "literal_error" and isinstance(found, str):
        names = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
        near = closest(found, names)
        return near if "did you mean" in near else ""
    return ""


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case tuple():
            return "a list" if value else "an empty list"
    return shown(value)


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _known_options(path: Where, marked: MarkedValue) -> list[str] | None:
    """Return the keys under a method's ``options`` and ``update``, which only the method knows."""
    if path[-1:] not in {("options",), ("update",)}:
        return None
    choice = marked.value
    for part in path[:-1]:
        choice = choice[part]
    options = getattr(find_method(choice["base"]), str(path[-1]))
    return sorted(options.model_fields)


def _other_method(path: Where, known: list[str]) -> str:
    """Return which methods have an option under ``update`` that this one has not."""
    others = methods_with(str(path[-1])) if path[-2:-1] == ("update",) else ()
    if not others:
        return ""
    return (
        f"; it is an option of {', '.join(others)}; this method has: {', '.join(known) or 'none'}"
    )


def _known_keys(path: Where) -> list[str]:
    """Return the keys that the schema knows at ``path``, over all branches of unions."""
    places = _branches(_schema())
    for part in path:
        places = [inner for place in places for inner in _step(place, part)]
    return sorted({key for place in places for key in place.get("properties", {})})


def _step(place: dict[str, Any], part: str | int) -> list[dict[str, Any]]:
    if isinstance(part, int):
        found = place.get("items")
    else:
        found = place.get("properties", {}).get(part) or place.get("additionalProperties")
        for pattern_schema in place.get("patternProperties", {}).values():
            found = found or pattern_schema
    return _branches(found) if isinstance(found, dict) else []


def _branches(place: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in place:
        return _branches(_schema()["$defs"][place["$ref"].rsplit("/", 1)[-1]])
    if "properties" in place:
        return [place]
    inner = place.get("anyOf") or place.get("oneOf")
    return [branch for each in inner for branch in _branches(each)] if inner else [place]
