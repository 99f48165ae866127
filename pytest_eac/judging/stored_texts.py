"""Texts of edits that a results file leaves out, taken from the specs where these are at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError
from pytest_eac.records.run import EditTexts, stand_in
from pytest_eac.spec.detect import is_spec, is_yaml
from pytest_eac.spec.load import load_spec
from pytest_eac.store import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_eac.records.run import Chain, EditRecord, Record


def read_with_texts(path: Path) -> Record:
    """Read a results file, with the texts that it leaves out where their spec is at hand.

    A spec is looked for under its path, from here and from the file's folder, and beside the file.
    Its edits are those of the file where the SHA-256 of their texts is the same.

    Raises:
        RecordError: as :func:`pytest_eac.store.read_record`.
    """
    record = read_record(path)
    bare = {chain.spec for chain in _chains(record) if any(edit.absent for edit in chain.edits)}
    specs = {spec: _texts_of(spec, path.parent) for spec in bare}

    def filled(chain: Chain) -> Chain:
        texts = specs.get(chain.spec)
        if texts is None:
            return chain
        return replace(chain, edits=tuple(_filled(edit, texts) for edit in chain.edits))

    return replace(
        record,
        chains=tuple(map(filled, record.chains)),
        unfinished=tuple(replace(each, chain=filled(each.chain)) for each in record.unfinished),
    )


def _chains(record: Record) -> list[Chain]:
    return [*record.chains, *(each.chain for each in record.unfinished)]


def _texts_of(spec: str, folder: Path) -> dict[str, EditTexts] | None:
    """Return the texts of a spec's edits by their SHA-256; ``None`` if it cannot be read."""
    for file in (Path(spec), folder / spec, folder / Path(spec).name):
        if is_yaml(file) and file.is_file() and is_spec(file):
            try:
                edits = load_spec(file).edits
            except EacError:
                return None
            return {texts.sha256: texts for texts in (EditTexts.of(each.texts) for each in edits)}
    return None


def _filled(edit: EditRecord, texts: Mapping[str, EditTexts]) -> EditRecord:
    if edit.absent is None:
        return edit
    if found := texts.get(edit.absent):
        return replace(edit, texts=found, absent=None)
    return replace(
        edit, texts=stand_in(edit.origin, "text not stored, nor in the spec as it is now")
    )
