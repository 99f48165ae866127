"""CounterFact (Meng et al. 2022): a JSON list of facts with paraphrases and neighbors."""

from pydantic import Field

from pytest_eac.spec.schema.edits import InlineEdit, InlineNeighbor
from pytest_eac.spec.sources.source_format import SourceFormat, SourceRecord, json_list
from pytest_eac.spec.types import Text


class _Label(SourceRecord):
    text: Text = Field(alias="str")


class _Rewrite(SourceRecord):
    prompt: Text
    subject: Text
    target_new: _Label
    target_true: _Label


class CounterFactRecord(SourceRecord):
    """A record of CounterFact. Neighbors share the fact's true object."""

    requested_rewrite: _Rewrite
    paraphrase_prompts: tuple[Text, ...] = ()
    neighborhood_prompts: tuple[Text, ...] = ()


def convert(record: str) -> InlineEdit:
    """Return the edit that a record describes."""
    found = CounterFactRecord.model_validate_json(record)
    rewrite, truth = found.requested_rewrite, found.requested_rewrite.target_true.text
    return InlineEdit(
        subject=rewrite.subject,
        prompt=rewrite.prompt,
        target=rewrite.target_new.text,
        truth=truth,
        paraphrases=found.paraphrase_prompts,
        neighborhood=tuple(
            InlineNeighbor(prompt=prompt, answer=truth) for prompt in found.neighborhood_prompts
        ),
    )


FORMAT = SourceFormat(about="CounterFact's JSON", read=json_list, convert=convert)
