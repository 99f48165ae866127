"""Texts of edits that a results file leaves out, taken from the specs where these are at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac.errors import EacError
from pytest_eac.records.run import EditTexts, stand_in
from pytest_eac.spec.detect import is_spec, is_yaml
from pytest_eac.spec.load import load_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_eac.records.run import Chain, EditRecord, Record


def with_texts(record: Record, folder: Path) -> Record:
    """Return a record with the texts that it leaves out, where their spec is at hand.

    The spec's edits are those of the record where the SHA-256 of their texts is the same.

    Args:
        record: a results file's.
        folder: where that is. A spec is looked for by its path, from here and from this folder, and
            by its name in this folder.
    """
    chains = (*record.chains, *(each.chain for each in record.unfinished))
    bare = {chain.spec for chain in chains if any(edit.absent for edit in chain.edits)}
    specs = {spec: texts for spec in bare if (texts := _texts(spec, folder)) is not None}

    def filled(chain: Chain) -> Chain:
        if chain.spec not in specs:
            return chain
        texts = specs[chain.spec]
        return replace(chain, edits=tuple(_filled(edit, texts) for edit in chain.edits))

    return record.changed(filled)


def _texts(spec: str, folder: Path) -> dict[str, EditTexts] | None:
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
