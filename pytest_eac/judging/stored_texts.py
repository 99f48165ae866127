"""Texts of edits that a results file leaves out, taken from the specs where these are at hand."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_eac.data.files import exists
from pytest_eac.errors import EacError, RecordError
from pytest_eac.records.json_files import chain_problem
from pytest_eac.records.run import Chain, EditRecord, EditTexts, Record, stand_in
from pytest_eac.spec.detect import is_spec, is_yaml
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.load import load_spec


def with_texts(record: Record, file: Path) -> Record:
    """Return a record with the texts that it leaves out, where their spec is at hand.

    Args:
        record: a results file's.
        file: which one. A spec is looked for by its path, from here and from the file's folder, and
            by its name in that folder.

    Raises:
        RecordError: a chain names a prompt that its edit does not have.
    """
    chains = (*record.chains, *(each.chain for each in record.unfinished))
    bare = {chain.spec for chain in chains if any(edit.absent for edit in chain.edits)}
    specs = {spec: texts for spec in bare if (texts := _texts(spec, file.parent)) is not None}

    def filled(chain: Chain) -> Chain:
        return filled_in(chain, specs[chain.spec], file) if chain.spec in specs else chain

    return record.changed(filled)


def texts_by_hash(edits: Iterable[Edit]) -> dict[str, EditTexts]:
    """Return the texts of a spec's edits by their SHA-256."""
    return {texts.sha256: texts for texts in (EditTexts.of(each.texts) for each in edits)}


def filled_in(chain: Chain, texts: Mapping[str, EditTexts], file: Path) -> Chain:
    """Return a chain with the texts that it lacks, where one of these has the same SHA-256.

    Raises:
        RecordError: the chain names a prompt that its edit does not have; names the file.
    """
    if not any(edit.absent for edit in chain.edits):
        return chain
    full = replace(chain, edits=tuple(_filled(edit, texts) for edit in chain.edits))
    if problem := chain_problem(full):  # not checked before: it needs the texts
        raise RecordError(f"{file}: {problem}")
    return full


def _texts(spec: str, folder: Path) -> dict[str, EditTexts] | None:
    """Return the texts of a spec's edits by their SHA-256; ``None`` if it cannot be read.

    There may be several files of this name: an edit is the one that was measured in whichever it
    is found.
    """
    found: dict[str, EditTexts] | None = None
    places = (Path(spec), folder / spec, folder / Path(spec).name)
    for place in dict.fromkeys(map(os.path.abspath, places)):
        file = Path(place)
        if is_yaml(file) and exists(file) and file.is_file() and is_spec(file):
            try:
                found = (found or {}) | texts_by_hash(load_spec(file).all_edits)
            except EacError:
                continue
    return found


def _filled(edit: EditRecord, texts: Mapping[str, EditTexts]) -> EditRecord:
    if edit.absent is None:
        return edit
    if found := texts.get(edit.absent):
        return replace(edit, texts=found, absent=None)
    return replace(
        edit, texts=stand_in(edit.origin, "text not stored, nor in the spec as it is now")
    )
