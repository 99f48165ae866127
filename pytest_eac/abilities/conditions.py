"""What an instruction can ask of a text, one condition or count a function; see instructions.py."""

from __future__ import annotations

import json
import re

# Full stops that end no sentence: abbreviations, acronyms, the numbers of a list.
_NO_END = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|a\.m|p\.m)\.|\b(?:[A-Z]\.){2,}|^\s*\d+\.", re.MULTILINE
)
_END = re.compile(r"[.!?…]+[^\w\s]*(?:\s+|$)|\n\s*\n")
_FENCED = re.compile(r"^```(?:json)?|```$", re.IGNORECASE)


def holds(count: int, relation: str, number: int) -> bool:
    """Whether a count is "less than" or "at least" a number."""
    return count < number if relation == "less than" else count >= number


def count_sentences(text: str) -> int:
    """Return the number of sentences; an empty line ends one too."""
    return sum(bool(re.search(r"\w", part)) for part in _END.split(_NO_END.sub("x ", text)))


def count_bullets(text: str) -> int:
    """Return the number of lines that begin with ``*`` or ``-``."""
    return len(re.findall(r"^\s*(?:\*[^*]|-).*$", text, re.MULTILINE))


def count_highlights(text: str) -> int:
    """Return the number of passages ``*like this*``."""
    marked = re.findall(r"\*([^\n*]*)\*", text) + re.findall(r"\*\*([^\n*]*)\*\*", text)
    return sum(bool(each.strip()) for each in marked)


def count_keyword(text: str, keyword: str) -> int:
    """Return how often a keyword stands in a text, also within other words."""
    return text.lower().count(keyword.strip().lower())


def has_word(text: str, word: str) -> bool:
    """Whether a text has a word, on its own."""
    return bool(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE))


def _parts(text: str, separator: str) -> list[str] | None:
    """Split a text; an empty part at either end is dropped, elsewhere it makes the text void."""
    parts = [part.strip() for part in text.split(separator)]
    if not all(parts[1:-1]):
        return None
    return [part for part in parts if part]


def has_parts(text: str, separator: str, number: int) -> bool:
    """Whether a separator splits a text into so many parts."""
    parts = _parts(text, separator)
    return parts is not None and len(parts) == number


def two_responses(text: str) -> bool:
    """Whether a text is two different answers with six asterisks between them."""
    parts = _parts(text, "******")
    return parts is not None and len(parts) == 2 and parts[0] != parts[1]


def count_sections(text: str, name: str) -> int:
    """Return the number of headings such as ``SECTION 1``."""
    return len(re.findall(rf"\s?{re.escape(name)}\s?\d+\s?", text))


def has_postscript(text: str, marker: str) -> bool:
    """Whether a text has a postscript with the marker."""
    spelled = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
    pattern = spelled.get(marker, re.escape(marker.lower()))
    return bool(re.search(pattern, text.lower()))


def is_json(text: str) -> bool:
    """Whether a text is JSON, with or without a fence around it."""
    try:
        json.loads(_FENCED.sub("", text.strip()).strip())
    except (ValueError, RecursionError):
        return False
    return True


def has_title(text: str) -> bool:
    """Whether a text has a title ``<<like this>>``."""
    return any(title.strip("<> ") for title in re.findall(r"<<[^\n]+>>", text))


def has_first_word(text: str, number: int, at: int, first: str) -> bool:
    """Whether a text has so many paragraphs and the one at a place begins with a word."""
    paragraphs = [part.strip() for part in re.split(r"\n\n", text) if part.strip()]
    if len(paragraphs) != number or at > len(paragraphs):
        return False
    word = paragraphs[at - 1].split()[0].lstrip("'\"").lower()
    return re.split(r"[.,?!'\"]", word)[0] == first.lower()


def is_quoted(text: str) -> bool:
    """Whether a text stands in double quotation marks."""
    bare = text.strip()
    return len(bare) > 1 and bare.startswith('"') and bare.endswith('"')


def ends_with(text: str, phrase: str) -> bool:
    """Whether a text ends with a phrase, apart from case."""
    return text.strip().strip('"').lower().endswith(phrase.strip().lower())


def count_capital_words(text: str) -> int:
    """Return the number of words all in capital letters."""
    return sum(word.isupper() for word in re.findall(r"[\w'-]+", text))
