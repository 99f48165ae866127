"""The edits of a spec: one set, or several that are drawn from its sources."""

from pytest_eac.errors import DataError
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.schema.edits import EditSource, from_inline
from pytest_eac.spec.size_limits import too_many_drawn
from pytest_eac.spec.sources.reading import EditSets, read_sets, read_source


def read_edit_sets(draft: Draft) -> tuple[tuple[Edit, ...], ...] | None:
    """Return the sets of edits, all of one size; ``None`` if something is wrong with the edits.

    What is wrong becomes problems of the draft, and what is only to be known its warnings.
    """
    samples = draft.written.sequence.samples
    if samples == 1:
        edits = _one_set(draft)
        return None if edits is None else (edits,)
    sizes = [getattr(entry, "take", None) or 1 for entry in draft.written.edits]
    if too_many_drawn(draft, sizes):
        return None
    drawn = [_drawn(draft, index, samples) for index in range(len(draft.written.edits))]
    whole = [each for each in drawn if each is not None]
    if len(whole) < len(drawn):
        return None
    sets = tuple(
        tuple(edit for each in whole for edit in each.sets[sample]) for sample in range(samples)
    )
    draft.places.extend([None] * len(sets[0]))
    return sets


def _one_set(draft: Draft) -> tuple[Edit, ...] | None:
    edits: list[Edit] = []
    failed = False
    space = draft.written.scoring.space
    for index, entry in enumerate(draft.written.edits):
        mark = draft.marked.mark(("edits", index))
        if not isinstance(entry, EditSource):
            edits.append(from_inline(entry, f"{mark.file}:{mark.line}", space=space))
            draft.places.append(("edits", index))
            continue
        try:
            edits.extend(read_source(entry, mark.file.parent / entry.path, space=space))
            draft.places.extend([None] * (len(edits) - len(draft.places)))
        except DataError as error:
            failed = True
            draft.complain(("edits", index, "from"), str(error))
    return tuple(edits) if not failed else None


def _drawn(draft: Draft, index: int, samples: int) -> EditSets | None:
    """Draw the sets of one entry; report what keeps it from having several, or is to be known."""
    entry = draft.written.edits[index]
    wants = f"sequence.samples: {samples} draws {samples} sets of edits"
    if not isinstance(entry, EditSource):
        draft.complain(
            ("edits", index),
            f"{wants}, and this edit is written here: it would be the same in each; expected "
            "sources only ({from: FILE, format: FORMAT, take: N}): put it in a file, or take "
            "samples: 1",
        )
        return None
    if entry.take is None:
        draft.complain(
            ("edits", index),
            f"{wants}, and this source says nothing of their size; expected take: N, the number "
            "of edits in each",
        )
        return None
    path = draft.marked.mark(("edits", index)).file.parent / entry.path
    try:
        found = read_sets(entry, path, samples, space=draft.written.scoring.space)
    except DataError as error:
        draft.complain(("edits", index, "from"), str(error))
        return None
    if found.records is not None:
        draft.warn(
            ("edits", index),
            f"{samples} sets of {entry.take} edits share edits, since {entry.path} has "
            f"{found.records} records, and {samples * entry.take} are needed for sets that share "
            f"none: a verdict over these sets is about the {found.records} edits of the file, not "
            "about others of their kind",
        )
    if entry.seed is None:
        draft.warn(
            ("edits", index),
            "the sets follow one another in the file, since this source has no seed: a verdict "
            "over them is about other edits only if the order of the file is random; give a seed",
        )
    return found
