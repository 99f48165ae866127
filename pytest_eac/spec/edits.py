"""One fact to write into a model, as everything after the spec sees it."""

import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from pytest_eac.spec.metrics import BUILT_IN
from pytest_eac.text.boundaries import (
    is_between_characters,
    is_inside_word,
    occurrences,
    word_around,
)
from pytest_eac.text.spacing import Continuation, Space, as_continuation, same_form


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """A prompt about something else; ``answer`` is ``None`` where only the model's own counts."""

    prompt: str
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """An edit with its texts filled in and stripped.

    Attributes:
        subject: who or what the fact is about, as the prompt writes it.
        prompt: the fact up to its object.
        target: the new object.
        truth: the object before the edit.
        paraphrases: the prompt in other words.
        neighborhood: prompts about something else.
        origin: where the edit was written (``file:line``).
        space: whether a space is put before its answers.
        start: where the subject starts in the prompt, in code points; where it is not given, the
            subject must stand in the prompt once, as :func:`place` says.

    Raises:
        ValueError: the subject is not there.
    """

    subject: str
    prompt: str
    target: str
    truth: str | None = None
    paraphrases: tuple[str, ...] = ()
    neighborhood: tuple[Neighbor, ...] = ()
    origin: str
    space: Space = "auto"
    start: int = -1

    def __post_init__(self) -> None:
        if self.start < 0:
            found = _only_place(self.prompt, self.subject)
            object.__setattr__(self, "start", found.start)
            object.__setattr__(self, "subject", self.prompt[found.start : found.stop])
        if not self.prompt.startswith(self.subject, self.start):
            raise ValueError(
                f"the subject {self.subject!r} is not at position {self.start} in {self.prompt!r}"
            )

    @property
    def subject_place(self) -> range:
        """Where the subject is in the prompt, in code points."""
        return range(self.start, self.start + len(self.subject))

    @property
    def ending(self) -> Continuation:
        """The target as it follows the prompt."""
        return self.after(self.prompt, self.target)

    @property
    def spaced(self) -> bool:
        """Whether a space stands between the prompt and the target."""
        return self.ending != self.target

    @property
    def texts(self) -> dict[str, Any]:
        """Its texts as a record has them: prompts besides its own by the metric they are for."""
        probes = {
            metric.name: [_as_prompt(each) for each in prompts]
            for metric in BUILT_IN.values()
            if metric.needs and isinstance(prompts := getattr(self, metric.needs), tuple)
        }
        return {
            "subject": self.subject,
            "start": self.start,
            "prompt": self.prompt,
            "target": self.target,
            "truth": self.truth,
            "probes": {group: prompts for group, prompts in probes.items() if prompts},
        }

    def after(self, prompt: str, answer: str) -> Continuation:
        """Return an answer as it follows one of the edit's prompts."""
        return as_continuation(prompt, answer, self.space)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A prompt with its subject in it.

    Attributes:
        text: the prompt, without white space around it.
        start: where the subject starts in it, in code points.
        subject: the subject as the prompt writes it: composed or decomposed.
    """

    text: str
    start: int
    subject: str


def _as_prompt(probe: str | Neighbor) -> dict[str, str | None]:
    return asdict(probe if isinstance(probe, Neighbor) else Neighbor(prompt=probe, answer=None))


def place(prompt: str, subject: str) -> Placed:
    """Put ``subject`` in place of ``{}``, or find it in a prompt that names it.

    ``{}`` marks the place, whatever else the prompt says and whatever letters are attached to it (a
    suffix, a particle). Without it the subject must stand in the prompt exactly once, not counting
    other words that its letters are a part of; composed and decomposed letters are the same. ``{}``
    that belongs to the subject (``list{}``) marks nothing in a prompt that names it.

    Raises:
        ValueError: the subject does not occur exactly once; the text says what was found.
    """
    subject = subject.strip()
    marks = 0 if has_own_braces(prompt, subject) else prompt.count("{}")
    if marks > 1:
        raise ValueError(f"{{}} stands {marks} times in the prompt {prompt!r}")
    if not marks:
        text = prompt.strip()
        found = _only_place(text, subject)
        return Placed(text=text, start=found.start, subject=text[found.start : found.stop])
    before, _, after = prompt.partition("{}")
    text = f"{before.lstrip()}{subject}{after.rstrip()}"
    start = len(before.lstrip())
    if not all(is_between_characters(text, at) for at in (start, start + len(subject))):
        raise ValueError(
            f"the subject {subject!r} and the text next to {{}} make one character in the "
            f"prompt {text!r}"
        )
    return Placed(text=text, start=start, subject=subject)


def has_own_braces(text: str, subject: str) -> bool:
    """Say whether ``{}`` in a text is a part of the subject's name."""
    return "{}" in subject and subject in text


def fill(prompt: str, subject: str) -> str:
    """Return a prompt with its subject in it, without white space around it: see :func:`place`.

    Raises:
        ValueError: as :func:`place`.
    """
    return place(prompt, subject).text


def _only_place(text: str, subject: str) -> range:
    """Return the one place where a subject stands as a word (or several) of its own.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = occurrences(text, subject)
    free = [each for each in found if not is_inside_word(text, each)]
    if len(free) == 1:
        return free[0]
    how = f"occurs {len(free)} times" if free else "does not occur"
    if found and not free:
        word = word_around(text, found[0])
        how = f"occurs only inside another word, {text[word.start : word.stop]!r},"
    raise ValueError(f"the subject {subject!r} {how} in the prompt {text!r}")


def same_answer(one: str, other: str) -> bool:
    """Return whether two answers are the same text, whatever their Unicode form and white space."""
    return normalized_answer(one) == normalized_answer(other)


def normalized_answer(answer: str) -> str:
    """Return an answer in the form in which equal answers are the same text; case matters."""
    return " ".join(same_form(answer).split())


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

    That is case, white space, and whether letters are composed or decomposed (Unicode, definition
    D145: canonical caseless matching).
    """
    folded = unicodedata.normalize("NFD", prompt).casefold()
    return same_form(" ".join(folded.split()))
