"""Where characters and words begin and end, in any script.

A *character* is what a reader takes for one (UAX 29: an extended grapheme cluster), such as a
letter with its accents, however many code points it is written in. Two texts are the same if they
are canonically equivalent: composed or decomposed, they read alike.
"""

from functools import cache

import regex

from pytest_eac.text.spacing import CHARACTER, KATAKANA_LETTER, UNSPACED, compiled, same_form

# A zero-width non-joiner divides a stem from its suffix (Persian), so a subject may end before it.
_NON_JOINER = "\u200c"
_PIECE = compiled(rf"[^{_NON_JOINER}]+|{_NON_JOINER}")
_GAPLESS = compiled(UNSPACED)
_KATAKANA = compiled(KATAKANA_LETTER)
_LETTER_OR_DIGIT = compiled(r"[\p{Alphabetic}\p{N}]")
# Marks and invisible characters between two letters do not divide a word; this space does.
_INVISIBLE = compiled(r"[\p{M}\p{Cf}--\u200B]")


def last_character(text: str) -> int:
    """Return where the last character of a text begins; the text must not be empty."""
    starts: list[int] = [match.start() for match in CHARACTER.finditer(text)]
    return starts[-1]


def occurrences(text: str, wanted: str) -> list[range]:
    """Return where ``wanted`` occurs in ``text``, character by character, in whatever form.

    Overlapping places all count. ``Jose`` does not occur in ``José``, even where the accent is a
    code point of its own.
    """
    places = _characters(text)
    characters = [same_form(text[place.start : place.stop]) for place in places]
    sought = [same_form(wanted[place.start : place.stop]) for place in _characters(wanted)]
    count = len(sought)
    return [
        range(places[first].start, places[first + count - 1].stop)
        for first in range(len(places) - count + 1 if count else 0)
        if characters[first] == sought[0] and characters[first : first + count] == sought
    ]


def is_between_characters(text: str, at: int) -> bool:
    """Return whether a position is at an end of the text or between two of its characters."""
    return at in {0, len(text)} or any(place.start == at for place in _characters(text))


def divides_word(text: str, at: int) -> bool:
    """Return whether the characters right before and after a position belong to one word.

    Two letters or digits do, unless one of them is of a script that has no spaces between words.
    Runs of Katakana, which mostly write one foreign word, are not divided (UAX 29, rule WB13).
    """
    before = next((each for each in reversed(text[:at]) if not _is(_INVISIBLE, each)), " ")
    after = next((each for each in text[at:] if not _is(_INVISIBLE, each)), " ")
    if not (_is(_LETTER_OR_DIGIT, before) and _is(_LETTER_OR_DIGIT, after)):
        return False
    if _is(_KATAKANA, before) and _is(_KATAKANA, after):
        return True
    return not (_is(_GAPLESS, before) or _is(_GAPLESS, after))


def is_inside_word(text: str, place: range) -> bool:
    """Return whether a word continues before or after a place in the text."""
    return divides_word(text, place.start) or divides_word(text, place.stop)


def word_around(text: str, place: range) -> range:
    """Return the place, extended to the words that it begins and ends in."""
    start, stop = place.start, place.stop
    while start > 0 and divides_word(text, start):
        start -= 1
    while stop < len(text) and divides_word(text, stop):
        stop += 1
    while stop < len(text) and _is(_INVISIBLE, text[stop]):
        stop += 1
    return range(start, stop)


@cache
def _is(pattern: regex.Pattern[str], character: str) -> bool:
    return pattern.match(character) is not None


def _characters(text: str) -> list[range]:
    """Return the place of each character; a zero-width non-joiner is one of its own."""
    return [
        range(piece.start() + match.start(), piece.start() + match.end())
        for piece in _PIECE.finditer(text)
        for match in CHARACTER.finditer(piece.group())
    ]
