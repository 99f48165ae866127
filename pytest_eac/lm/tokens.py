"""Texts to token ids: where the subject ends, and how an object follows a prompt.

Ids are joined, never re-tokenised: what a prompt's tokens are does not depend on what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pytest_eac.errors import EditError, ModelError
from pytest_eac.lm.library_calls import refusing
from pytest_eac.text.boundaries import divides_word, is_inside_word, last_character, occurrences
from pytest_eac.text.spacing import Continuation

_SHOWN = 40  # characters of a text, or ids, in an error


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Padded token ids with their mask and positions, each (rows, tokens)."""

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor

    def as_inputs(self) -> dict[str, Tensor]:
        """Return the keyword arguments of a model's forward call."""
        return dict(vars(self))


def encode(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Return the ids of a text that starts a sequence, special tokens included.

    Raises:
        ModelError: the tokenizer fails; so it does in all functions here.
    """
    return tuple(_encoded(tokenizer, text)["input_ids"])


def encode_part(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Return the ids of a text of any length, without special tokens."""
    encoded = _encoded(tokenizer, text, add_special_tokens=False, verbose=False)
    return tuple(encoded["input_ids"])


def decode(tokenizer: Any, ids: Sequence[int], *, special: bool = True) -> str:
    """Return the text of ids, with or without special tokens."""
    with refusing(f"the tokenizer cannot decode {list(ids[:_SHOWN])}"):
        text: str = tokenizer.decode(ids, skip_special_tokens=not special)
    return text


def _encoded(tokenizer: Any, text: str, **settings: bool) -> Any:
    with refusing(f"the tokenizer cannot encode {text[:_SHOWN]!r}"):
        return tokenizer(text, **settings)


def continuation(tokenizer: Any, text: Continuation) -> tuple[int, ...]:
    """Return the ids of what follows a prompt, without special tokens.

    The text is encoded after a stand-in for the prompt's end, and its ids are found by their
    offsets: a tokenizer that adds a space at the start of every text does not add it here. A
    stand-in works if no token holds a part of it and a part of the text. Without a space
    between the two, the text's own first character is tried first, so that the text is split as in
    the middle of a word.

    Raises:
        ModelError: the tokenizer merges the text with every stand-in.
    """
    own = text[:1] if text[:1].isalpha() else ""
    stand_ins = ("a", "1", ")") if text[:1].isspace() else (own, "(", "\n", "a", ".")
    for before in filter(None, stand_ins):
        if ids := _ids_after(tokenizer, before, text):
            return ids
    raise ModelError(f"the tokenizer has no separate tokens for {text!r} after a prompt")


def _ids_after(tokenizer: Any, before: str, text: str) -> tuple[int, ...] | None:
    """Return the ids of ``text`` after ``before``; ``None`` if a token holds parts of both."""
    settings = {"add_special_tokens": False, "return_offsets_mapping": True}
    encoded = _encoded(tokenizer, before + text, **settings)
    seam = len(before)
    ids = []
    for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if start < seam < end:
            return None
        if start >= seam and end > start:
            ids.append(token)
    return tuple(ids) if len(ids) < len(encoded["input_ids"]) else None


def subject_end(tokenizer: Any, text: str, subject: str, *, at: int | None = None) -> int:
    """Return the index of the subject's last token in ``encode(text)``.

    See :meth:`Located.tokens_of`.

    Args:
        tokenizer: a fast tokenizer (one that gives offsets).
        text: the prompt, with ``subject`` in it.
        subject: the subject.
        at: where the subject starts in the text; by default the first place where it stands, as a
            word of its own if there is one.

    Raises:
        EditError: the subject is not in the text, or no token holds its end.
    """
    place = _subject_place(text, subject, at)
    return Located.encode(tokenizer, text).tokens_of(place)[-1]


def _subject_place(text: str, subject: str, at: int | None) -> range:
    if at is not None and subject and text.startswith(subject, at):
        return range(at, at + len(subject))
    found = occurrences(text, subject) if at is None else []
    free = [each for each in found if not is_inside_word(text, each)]
    for place in (*free, *found):
        return place
    where = "" if at is None else f" at {at}"
    raise EditError(f"the subject {subject!r} does not occur{where} in {text!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The ids of a text that starts a sequence, and which part of the text each one covers.

    Attributes:
        text: the text.
        ids: what :func:`encode` returns.
        offsets: for each id, the code points of the text that it is made of, ``[start, stop)``.
    """

    text: str
    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]

    @classmethod
    def encode(cls, tokenizer: Any, text: str) -> Located:
        """Encode a text by a fast tokenizer (one that gives offsets)."""
        encoded = _encoded(tokenizer, text, return_offsets_mapping=True)
        return cls(
            text=text, ids=tuple(encoded["input_ids"]), offsets=tuple(encoded["offset_mapping"])
        )

    def tokens_of(self, place: range) -> range:
        """Return the tokens that hold any part of a place in the text.

        The last of them is the last one that holds any part of the place's last character, as a
        reader counts characters (UAX 29). Looking for the last code point alone would fail: a
        tokenizer that composes letters has no token for the accent of a decomposed one.

        Raises:
            EditError: no token holds the last character: the tokenizer drops it.
        """
        inside = self.text[place.start : place.stop]
        last = range(place.start + last_character(inside), place.stop)
        holders = self._holding(last)
        if not holders:
            dropped = self.text[last.start : last.stop]
            raise EditError(
                f"no token holds the end of {inside!r} in {self.text!r}: the tokenizer drops "
                f"{dropped!r}"
            )
        return range(self._holding(place)[0], holders[-1] + 1)

    def require_own_token(self, place: range) -> None:
        """Raise if the last token of a place also holds letters of a longer word around it.

        Letters may be attached to a subject (a suffix, a particle). But if one token joins them to
        its end, that token belongs to another word, and the edit would be one of that word.

        Raises:
            EditError: it does, or as for :meth:`tokens_of`.
        """
        low, high = self.offsets[self.tokens_of(place)[-1]]
        before = low < place.start and divides_word(self.text, place.start)
        if before or (high > place.stop and divides_word(self.text, place.stop)):
            raise EditError(
                f"the subject {self.text[place.start : place.stop]!r} has no last token of its own "
                f"in {self.text!r}: the tokenizer makes one token of {self.text[low:high]!r}; "
                "write the subject apart from other letters, or take the whole word as the subject"
            )

    def _holding(self, place: range) -> list[int]:
        return [
            index
            for index, (low, high) in enumerate(self.offsets)
            if max(low, place.start) < min(high, place.stop)
        ]


def pad(rows: Sequence[Sequence[int]], *, side: str, fill: int, device: torch.device) -> Batch:
    """Pad rows of ids to one length.

    Right padding keeps look-up indices as they are, left padding suits generation. The mask comes
    from the lengths, never from comparing ids with the padding id, which may be a real token.
    """
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), fill, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for index, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[index, where] = torch.tensor(row, dtype=torch.long)
        mask[index, where] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    return Batch(
        input_ids=ids.to(device), attention_mask=mask.to(device), position_ids=positions.to(device)
    )
