from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from pytest_eac.spec.methods import BUILT_IN, CONTROLS
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.schema.spec_file import SpecFile, json_schema
from pytest_eac.spec.yaml.values import parse
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SPECS = sorted((ROOT / "specs").glob("*.eac.yaml"))
KEYS = {
    "eac",
    "name",
    "extends",
    "model",
    "methods",
    "seeds",
    "edits",
    "sequence",
    "scoring",
    "checks",
    "stats",
    "orderings",
    "known_issues",
    "marks",
    "fixtures",
}


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def resolved(place: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives at one place of the schema, references followed."""
    if "$ref" in place:
        return resolved(json_schema()["$defs"][place["$ref"].rsplit("/", 1)[-1]])
    inner = place.get("anyOf") or place.get("oneOf")
    return [branch for each in inner for branch in resolved(each)] if inner else [place]


def types_at(key: str) -> set[str]:
    return {str(branch.get("type")) for branch in resolved(json_schema()["properties"][key])}


def test_the_schema_names_every_top_level_key_and_no_other() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == KEYS
    assert schema["additionalProperties"] is False
    assert "eac" in schema["required"]
    assert schema["properties"]["eac"]["const"] == 1


def test_the_schema_is_plain_json() -> None:
    schema = json_schema()
    assert plain(schema) == schema


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    names = [part.split('"', 1)[0] for part in text.split('"#/$defs/')[1:]]
    assert names
    assert set(names) <= set(schema["$defs"])


def test_the_schema_explains_the_methods_and_the_checks() -> None:
    definitions = json_schema()["$defs"]
    base = definitions["MethodChoice"]["properties"]["base"]["anyOf"]
    assert base == [{"enum": [*BUILT_IN, *CONTROLS]}, {"type": "string"}], "others may bring more"
    assert set(definitions["Checks"]["properties"]) == set(Checks.model_fields)
    assert "from" in definitions["EditSource"]["properties"]


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    for name, definition in json_schema()["$defs"].items():
        if "properties" in definition:
            assert definition["additionalProperties"] is False, name


def test_the_schema_says_what_each_key_means() -> None:
    definitions = json_schema()["$defs"]
    told = [name for name, each in definitions.items() if "description" not in each]
    assert told == []


@pytest.mark.parametrize(
    ("key", "written", "kind"),
    [
        ("model", "gpt2", "string"),
        ("methods", "rome", "string"),
        ("methods", {"mine": {"base": "rome"}}, "object"),
        ("extends", "base.yaml", "string"),
    ],
)
def test_the_schema_allows_the_short_forms_that_the_reader_takes(
    key: str, written: Any, kind: str
) -> None:
    edit = {"subject": "Oslo", "prompt": "{} lies in", "target": "Peru"}
    SpecFile.model_validate({"eac": 1, "edits": (edit,), key: written})
    assert kind in types_at(key)


def test_the_schema_lets_a_spec_take_its_edits_from_the_one_it_extends() -> None:
    assert "edits" not in json_schema()["required"]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_the_shipped_specs_follow_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    validator = jsonschema.Draft202012Validator(json_schema())
    written = plain(parse(path.read_text(encoding="utf-8"), path).value)
    assert [error.message for error in validator.iter_errors(written)] == []
    assert not validator.is_valid(written | {"nmae": "x"})
    assert not validator.is_valid({"eac": 1})
