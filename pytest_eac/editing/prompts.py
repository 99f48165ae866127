"""What an edit shows the model: its prompt in every context, and a sentence to leave alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_eac.lm.tokens import continuation, encode, require_own_token, subject_end

if TYPE_CHECKING:
    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.edits import Edit


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPrompts:
    """Token ids of an edit's prompts; the bare prompt is the first row.

    Attributes:
        rows: each context's prompt, followed by the target's ids but the last.
        subjects: for each row, the index of the subject's last token.
        starts: for each row, the index whose next token is the target's first.
        target: the target's ids.
        essence: ids of "{subject} is a", on which the edit must leave the model's mind alone.
        essence_subject: the index of the subject's last token there.
    """

    rows: tuple[tuple[int, ...], ...]
    subjects: tuple[int, ...]
    starts: tuple[int, ...]
    target: tuple[int, ...]
    essence: tuple[int, ...]
    essence_subject: int


def prepare(loaded: LoadedModel, edit: Edit, contexts: tuple[str, ...]) -> EditPrompts:
    """Put an edit's prompt into every context and turn it all into ids.

    Raises:
        EditError: the subject cannot be found among the tokens, or there are too many of them.
        ModelError: the tokenizer has no tokens for the target.
    """
    tokenizer = loaded.tokenizer
    require_own_token(tokenizer, edit.prompt, edit.subject, at=edit.start)
    target = continuation(tokenizer, edit.target)
    rows, subjects, starts = [], [], []
    for context in contexts:
        text = context.replace("{}", edit.prompt)
        ids = encode(tokenizer, text)
        loaded.require_room(ids, len(target) - 1)
        rows.append((*ids, *target[:-1]))
        at = context.index("{}") + edit.start
        subjects.append(subject_end(tokenizer, text, edit.subject, at=at))
        starts.append(len(ids) - 1)
    essence = f"{edit.subject} is a"
    return EditPrompts(
        rows=tuple(rows),
        subjects=tuple(subjects),
        starts=tuple(starts),
        target=target,
        essence=encode(tokenizer, essence),
        essence_subject=subject_end(tokenizer, essence, edit.subject, at=0),
    )
