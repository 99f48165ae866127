"""The edits of a spec: one by one, or read from a file."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from pytest_eac.spec.edits import Edit, Neighbor, has_own_braces, place
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.registry import BUILT_IN, SOURCES, built_in, names
from pytest_eac.spec.types import Count, Phrase, Seed, Strict, Text, refusal
from pytest_eac.text.spacing import Space


class InlineNeighbor(Strict):
    """A prompt about something else, whose answer an edit must leave alone."""

    prompt: Phrase = Field(description="The prompt, whole; nothing is put into it.")
    answer: Phrase | None = Field(None, description="Its true answer; the model's own by default.")


class InlineEdit(Strict):
    """One fact to write into the model."""

    subject: Phrase = Field(description="Who or what the fact is about.")
    prompt: Text = Field(
        description="The fact up to its object, with {} in place of the subject or the subject "
        "itself, exactly once, as a word of its own."
    )
    target: Phrase = Field(description="The new object.")
    truth: Phrase | None = Field(None, description="The object before the edit.")
    paraphrases: tuple[Phrase, ...] = Field(
        (), description="The same fact in other words ({} may stand for the subject)."
    )
    neighborhood: tuple[InlineNeighbor, ...] = ()
    space: Space | None = Field(
        None, description="Overrides scoring.space for this edit's answers."
    )

    @field_validator("prompt")
    @classmethod
    def _subject_once(cls, value: str, info: ValidationInfo) -> str:
        if "subject" not in info.data:
            return value
        try:
            place(value, info.data["subject"])
        except ValueError as error:
            raise refusal(
                f"{error}; expected it exactly once, as a word of its own, or {{}} in its place"
            ) from None
        return value


def _paraphrase(text: str, subject: str) -> str:
    named = has_own_braces(text, subject)
    return (text if named else text.replace("{}", subject)).strip()


def from_inline(written: InlineEdit, origin: str, *, space: Space = "auto") -> Edit:
    """Turn an edit as written into one ready for use; ``space`` is the default."""
    placed = place(written.prompt, written.subject)
    return Edit(
        subject=placed.subject,
        prompt=placed.text,
        target=written.target,
        truth=written.truth,
        paraphrases=tuple(_paraphrase(text, written.subject) for text in written.paraphrases),
        neighborhood=tuple(
            Neighbor(
                prompt=neighbor.prompt.strip(), answer=neighbor.answer and neighbor.answer.strip()
            )
            for neighbor in written.neighborhood
        ),
        origin=origin,
        space=written.space or space,
        start=placed.start,
    )


def _known_format(name: str) -> str:
    known = (*BUILT_IN[SOURCES], *names(SOURCES))
    if name not in known:
        raise refusal(f"unknown format {name!r}{closest(name, known)}")
    return name


def _describe(schema: dict[str, Any]) -> None:
    formats = [f"{name}: {each.about}" for name, each in built_in(SOURCES).items()]
    schema["description"] = "; ".join(formats) + "."


class EditSource(Strict):
    """Edits read from a file."""

    path: Text = Field(alias="from", description="The file, relative to this spec.")
    format: Annotated[
        str,
        AfterValidator(_known_format),
        WithJsonSchema({"anyOf": [{"enum": list(BUILT_IN[SOURCES])}, {"type": "string"}]}),
    ] = Field(json_schema_extra=_describe)
    take: Count | None = Field(None, description="How many edits to use; all by default.")
    seed: Seed | None = Field(
        None, description="Draw the edits at random with this seed; in file order by default."
    )


def _edit_kind(value: Any) -> str:
    is_source = isinstance(value, EditSource) or (isinstance(value, dict) and "from" in value)
    return "(source)" if is_source else "(inline)"


EditEntry = Annotated[
    Annotated[InlineEdit, Tag("(inline)")] | Annotated[EditSource, Tag("(source)")],
    Discriminator(_edit_kind),
]
