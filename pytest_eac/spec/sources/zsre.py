"""zsRE as MEND split it: ``alt`` is written, ``answers[0]`` is the truth."""

from pydantic import Field

from pytest_eac.spec.schema.edits import InlineEdit, InlineNeighbor
from pytest_eac.spec.sources.source_format import SourceFormat, SourceRecord, json_list
from pytest_eac.spec.types import Text


class ZsreRecord(SourceRecord):
    """A record of zsRE."""

    subject: Text
    src: Text
    rephrase: Text
    alt: Text
    answers: tuple[Text, ...] = Field(min_length=1)
    loc: Text
    loc_ans: Text


def convert(record: str) -> InlineEdit:
    """Return the edit that a record describes."""
    found = ZsreRecord.model_validate_json(record)
    return InlineEdit(
        subject=found.subject,
        prompt=found.src,
        target=found.alt,
        truth=found.answers[0],
        paraphrases=(found.rephrase,),
        neighborhood=(InlineNeighbor(prompt=found.loc, answer=found.loc_ans),),
    )


FORMAT = SourceFormat(
    about="MEND's zsRE JSON",
    read=json_list,
    convert=convert,
    names={"prompt": "src", "target": "alt", "truth": "answers", "paraphrases": "rephrase"},
)
