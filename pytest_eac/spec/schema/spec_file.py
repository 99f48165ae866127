"""The models of a spec; its published JSON Schema comes from them.

Every model is frozen and refuses unknown keys: an instance that exists is valid by itself. What
needs the whole file (does a method named in ``compare`` exist?) is checked in ``load``.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.schema.checks import Checks, Stats
from pytest_eac.spec.schema.edits import EditEntry
from pytest_eac.spec.schema.methods import MethodChoice, ModelChoice
from pytest_eac.spec.schema.orderings import Orderings
from pytest_eac.spec.types import Count, Name, Seed, Strict, Text, Texts, as_tuple
from pytest_eac.text.spacing import Space

Match = Literal["accuracy", "success", "generation"]


def _from_text(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


_ONE_AT_A_TIME = [
    name for name, each in BUILT_IN.items() if not each.many_edits and not each.anchors
]


class EditSequence(Strict):
    """How the edits follow one another, and when the model is measured."""

    batch: Count = Field(
        1, description=f"Edits per update; {' and '.join(_ONE_AT_A_TIME)} take one at a time."
    )
    samples: Count = Field(
        1,
        le=10_000,
        description="How many sets of edits to draw from the sources, each of as many edits as "
        "they take: one chain per method, seed and set.",
    )
    checkpoints: tuple[Count, ...] = Field(
        (), description="After which numbers of edits to measure; the last edit is always measured."
    )


class Scoring(Strict):
    """How an answer is scored."""

    match: Match = Field(
        "accuracy",
        description="accuracy: target tokens under teacher forcing; success: the target is likelier"
        " than the truth; generation: greedy decoding starts with the target.",
    )
    space: Space = Field(
        "auto",
        description="Whether a space is put between a prompt and an answer: always, never, or "
        "auto, which goes by the scripts of both.",
    )


class KnownIssue(Strict):
    """A check that is known to fail: a strict expected failure until it is fixed."""

    check: Text = Field(description="Name of the check, e.g. generalization.")
    method: Name | None = Field(None, description="Only for this method; all by default.")
    reason: Text = Field(description="Shown in reports.")


def _method_kind(value: Any) -> str:
    return "(variants)" if isinstance(value, dict) else "(name)"


MethodEntry = Annotated[
    Annotated[Name, Tag("(name)")] | Annotated[dict[Name, MethodChoice], Tag("(variants)")],
    Discriminator(_method_kind),
]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("version", "expected 1")
    return value


# Marks by which pytest itself does something else to a test than select it.
_ACTING = {
    "skip": "which would keep the checks from being judged; expected none that does",
    "skipif": "which would keep the checks from being judged; expected none that does",
    "xfail": "which would hide failures; expected known_issues in its place",
    "usefixtures": "expected fixtures in its place",
    "parametrize": "expected none: a check takes no parameters",
    "filterwarnings": "expected the project's settings in its place",
}


def _only_selects(mark: str) -> str:
    if why := _ACTING.get(mark):
        raise PydanticCustomError("acting_mark", why)
    return mark


class SpecFile(Strict):
    """A whole spec file."""

    model_config = ConfigDict(
        json_schema_extra={"$id": "pytest-eac-1", "title": "pytest-eac specification"}
    )

    eac: Annotated[Literal[1], BeforeValidator(_no_bool, json_schema_input_type=Literal[1])] = (
        Field(description="Version of the format; marks the file as a spec.")
    )
    name: Text | None = Field(None, description="Shown in reports; the file's name by default.")
    extends: Texts = Field(
        (),
        description="Specs that this one overrides; mappings merge, everything else is replaced.",
    )
    model: (
        Annotated[
            ModelChoice, BeforeValidator(_from_text, json_schema_input_type=Text | ModelChoice)
        ]
        | None
    ) = Field(None, description="May be left to --eac-model.")
    methods: Annotated[
        tuple[MethodEntry, ...],
        BeforeValidator(as_tuple, json_schema_input_type=MethodEntry | tuple[MethodEntry, ...]),
    ] = Field(
        ("rome-eac",), min_length=1, description="One chain per method, seed and set of edits."
    )
    seeds: tuple[Seed, ...] = Field(
        (0,),
        min_length=1,
        description="One chain per method, seed and set of edits; sampled contexts depend on it.",
    )
    edits: tuple[EditEntry, ...] = Field(
        min_length=1,
        max_length=100_000,
        description="The edits in their order: written here, or read from files.",
    )
    sequence: EditSequence = EditSequence()
    scoring: Scoring = Scoring()
    checks: Checks = Checks()
    stats: Stats = Stats()
    orderings: Orderings | None = Field(
        None, description="Other orders of the edits to try, and what must hold under them."
    )
    known_issues: tuple[KnownIssue, ...] = ()
    marks: tuple[Annotated[Name, AfterValidator(_only_selects)], ...] = Field(
        (),
        description="pytest marks for every item of this file, to select it by; none that skips.",
    )
    fixtures: tuple[Name, ...] = Field((), description="pytest fixtures that every item uses.")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a spec file, for editors and other tools."""
    schema = SpecFile.model_json_schema(by_alias=True)
    schema["required"].remove("edits")  # a spec may take them from one that it extends
    schema["anyOf"] = [{"required": ["edits"]}, {"required": ["extends"]}]
    return schema
