"""One fact to write into a model, as everything after the spec sees it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_eac.writing import Continuation, Space, as_continuation

if TYPE_CHECKING:
    from pytest_eac.spec.entries import InlineEdit


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """A prompt about something else; ``answer`` is ``None`` where only the model's own counts."""

    prompt: str
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """An edit with its texts filled in and stripped.

    ``prompt`` holds ``subject`` exactly once; ``origin`` says where the edit was written
    (``file:line``); ``space`` says whether a space is put before its answers.
    """

    subject: str
    prompt: str
    target: str
    truth: str | None
    paraphrases: tuple[str, ...]
    neighborhood: tuple[Neighbor, ...]
    origin: str
    space: Space = "auto"

    @property
    def ending(self) -> Continuation:
        """The target as it follows the prompt."""
        return self.after(self.prompt, self.target)

    @property
    def spaced(self) -> bool:
        """Whether a space stands between the prompt and the target."""
        return self.ending != self.target

    def after(self, prompt: str, answer: str) -> Continuation:
        """Return an answer as it follows one of the edit's prompts."""
        return as_continuation(prompt, answer, self.space)


def fill(prompt: str, subject: str) -> str:
    """Put ``subject`` in place of ``{}`` and strip the white space around the result.

    Raises:
        ValueError: the subject would not occur exactly once; the text says how often it does.
    """
    if prompt.count("{}") > 1:
        raise ValueError(f"{{}} stands {prompt.count('{}')} times in the prompt {prompt!r}")
    text = prompt.replace("{}", subject).strip()
    times = text.count(subject)
    if times != 1:
        often = "does not occur" if times == 0 else f"occurs {times} times"
        raise ValueError(f"the subject {subject!r} {often} in the prompt {text!r}")
    return text


def from_inline(written: InlineEdit, origin: str, *, space: Space = "auto") -> Edit:
    """Turn an edit as written into one ready for use; ``space`` is for one that says nothing."""
    return Edit(
        subject=written.subject,
        prompt=fill(written.prompt, written.subject),
        target=written.target,
        truth=written.truth,
        paraphrases=tuple(
            text.replace("{}", written.subject).strip() for text in written.paraphrases
        ),
        neighborhood=tuple(
            Neighbor(
                prompt=neighbor.prompt.strip(), answer=neighbor.answer and neighbor.answer.strip()
            )
            for neighbor in written.neighborhood
        ),
        origin=origin,
        space=written.space or space,
    )


def same_answer(one: str, other: str) -> bool:
    """Say whether two answers are the same text, whatever their Unicode form and white space."""
    return bare(one) == bare(other)


def bare(answer: str) -> str:
    """Return an answer without what does not matter when two are compared; case does."""
    return " ".join(unicodedata.normalize("NFC", answer).split())


def superseded(edits: tuple[Edit, ...]) -> tuple[int | None, ...]:
    """Say which edits a later one overwrites: the first such one's index, or ``None``.

    A later edit overwrites an earlier one when it answers the same question: the earlier prompt is
    its prompt or one of its paraphrases. Only the later one is then scored, since the two cannot
    both hold.
    """
    following: dict[str, int] = {}
    result: list[int | None] = []
    for index in reversed(range(len(edits))):
        result.append(following.get(question(edits[index].prompt)))
        following.update(dict.fromkeys(questions(edits[index]), index))
    return tuple(reversed(result))


def questions(edit: Edit) -> set[str]:
    """Return the questions that an edit answers: its prompt and its paraphrases."""
    return {question(text) for text in (edit.prompt, *edit.paraphrases)}


def question(prompt: str) -> str:
    """Return a prompt without what does not matter when two are compared.

    That is case, white space, and how accented letters are composed (NFC, NFD).
    """
    return bare(prompt.casefold())
