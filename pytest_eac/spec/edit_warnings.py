"""Warnings about edits and prompts that cannot show anything, whatever the method and model."""

from collections.abc import Iterator
from pathlib import Path

from pytest_eac.errors import SpecProblem
from pytest_eac.spec.edits import Edit, question, questions, same_answer
from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.schema.spec_file import Match
from pytest_eac.spec.yaml.places import Where

_Warning = tuple[Where, str]


def edit_warnings(draft: Draft, sets: tuple[tuple[Edit, ...], ...]) -> tuple[SpecProblem, ...]:
    """Return warnings about edits and prompts that can show nothing; the spec can still be run.

    Args:
        draft: the file; its ``places`` are where each edit of a set is written.
        sets: the edits of each set, ready for use. What sets have in common is reported once.
    """
    return tuple(dict.fromkeys(each for edits in sets for each in _of_set(draft, edits)))


def _of_set(draft: Draft, edits: tuple[Edit, ...]) -> tuple[SpecProblem, ...]:
    asked: dict[str, Edit] = {}
    for edit in edits:
        for text in questions(edit):
            asked.setdefault(text, edit)
    match = draft.written.scoring.match
    return tuple(
        _problem(draft, place, edit, within, message)
        for edit, place in zip(edits, draft.places, strict=True)
        for within, message in (
            *_of_target(edit, match),
            *_of_paraphrases(edit),
            *_of_neighbors(edit, asked, match),
        )
    )


def _problem(
    draft: Draft, place: Where | None, edit: Edit, within: Where, message: str
) -> SpecProblem:
    if place is not None:
        return draft.marked.mark((*place, *within)).problem(message, (*place, *within))
    file, _, line = edit.origin.rpartition(":")  # a record of a data file
    return SpecProblem(file=Path(file), line=int(line), column=1, path="", message=message)


def _of_target(edit: Edit, match: Match) -> Iterator[_Warning]:
    if edit.truth is None or not same_answer(edit.target, edit.truth):
        return
    if match == "success":
        why = "no model can find the one likelier than the other, so the edit will not count"
    else:
        why = "a model that knows the fact already gives it, and then the edit will not count"
    yield ("target",), f"the target {edit.target!r} is the truth: {why}; give another target"


def _of_paraphrases(edit: Edit) -> Iterator[_Warning]:
    seen: set[str] = set()
    for index, text in enumerate(edit.paraphrases):
        asks = question(text)
        if asks == question(edit.prompt):
            message = f"the paraphrase {text!r} is the edit's own prompt, so it is left out"
            yield ("paraphrases", index), f"{message} of generalization"
        elif asks in seen:
            yield ("paraphrases", index), f"the paraphrase {text!r} is given twice and counts twice"
        seen.add(asks)


def _of_neighbors(edit: Edit, asked: dict[str, Edit], match: Match) -> Iterator[_Warning]:
    own = questions(edit)
    for index, neighbor in enumerate(edit.neighborhood):
        asks, named = question(neighbor.prompt), f"the neighbour {neighbor.prompt!r}"
        same = f"{named} has the edit's target {edit.target!r} as its answer"
        if asks in own or asks in asked:
            whose = "this edit" if asks in own else f"the edit at {asked[asks].origin}"
            message = f"{whose} asks {named} itself, so it is left out of locality"
        elif neighbor.answer is None or not same_answer(neighbor.answer, edit.target):
            continue
        elif match == "success":
            message = f"{same}, and success compares the two, so it is left out of locality"
        else:
            message = f"{same}: it cannot show that the edit spreads to it"
        yield ("neighborhood", index), message
