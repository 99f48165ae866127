"""Inline edits, one a line."""

from pytest_eac.data.json_records import json_lines
from pytest_eac.spec.schema.edits import InlineEdit
from pytest_eac.spec.sources.source_format import SourceFormat

FORMAT = SourceFormat(
    about="one edit per line, with the keys of an inline edit",
    read=json_lines,
    convert=InlineEdit.model_validate_json,
)
