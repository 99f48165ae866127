"""What an instruction can ask of a text, one condition a function; see instructions.py.

A condition takes the text and the instruction's arguments by the names that IFEval gives them.
"""

import json
import re

# Full stops that end no sentence: abbreviations, acronyms, the numbers of a list.
_NO_END = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|a\.m|p\.m)\.|\b(?:[A-Z]\.){2,}|^\s*\d+\.", re.MULTILINE
)
_END = re.compile(r"[.!?…]+[^\w\s]*(?:\s+|$)|\n\s*\n")
_FENCED = re.compile(r"^```(?:json)?|```$", re.IGNORECASE)
_OPINIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def _holds(count: int, relation: str, number: int) -> bool:
    """Whether a count is "less than" or "at least" a number."""
    return count < number if relation == "less than" else count >= number


def _count(text: str, keyword: str) -> int:
    """Count a keyword in a text, also within other words."""
    return text.lower().count(keyword.strip().lower())


def _parts(text: str, separator: str) -> list[str] | None:
    """Split a text; an empty part at either end is dropped, elsewhere it makes the text void."""
    parts = [part.strip() for part in text.split(separator)]
    if not all(parts[1:-1]):
        return None
    return [part for part in parts if part]


def has_keywords(text: str, keywords: list[str]) -> bool:
    """Whether a text has all of the keywords."""
    return all(_count(text, keyword) for keyword in keywords)


def keyword_frequency(text: str, relation: str, keyword: str, frequency: int) -> bool:
    """Whether a text has a keyword that often."""
    return _holds(_count(text, keyword), relation, frequency)


def has_none_of(text: str, forbidden_words: list[str]) -> bool:
    """Whether a text has none of the words, on its own."""
    return not any(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
        for word in forbidden_words
    )


def letter_frequency(text: str, let_relation: str, letter: str, let_frequency: int) -> bool:
    """Whether a text has a letter that often."""
    return _holds(text.lower().count(letter.lower()), let_relation, let_frequency)


def number_words(text: str, relation: str, num_words: int) -> bool:
    """Whether a text has that many words."""
    return _holds(len(re.findall(r"\w+", text)), relation, num_words)


def number_sentences(text: str, relation: str, num_sentences: int) -> bool:
    """Whether a text has that many sentences; an empty line ends one too."""
    sentences = (part for part in _END.split(_NO_END.sub("x ", text)) if re.search(r"\w", part))
    return _holds(len(list(sentences)), relation, num_sentences)


def number_paragraphs(text: str, num_paragraphs: int) -> bool:
    """Whether three asterisks split a text into that many paragraphs."""
    parts = _parts(text, "***")
    return parts is not None and len(parts) == num_paragraphs


def two_responses(text: str) -> bool:
    """Whether a text is two different answers with six asterisks between them."""
    parts = _parts(text, "******")
    return parts is not None and len(parts) == 2 and parts[0] != parts[1]


def has_first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Whether a text has that many paragraphs and the n-th of them begins with a word."""
    paragraphs = [part.strip() for part in re.split(r"\n\n", text) if part.strip()]
    if len(paragraphs) != num_paragraphs or nth_paragraph > len(paragraphs):
        return False
    word = paragraphs[nth_paragraph - 1].split()[0].lstrip("'\"").lower()
    return re.split(r"[.,?!'\"]", word)[0] == first_word.lower()


def number_bullets(text: str, num_bullets: int) -> bool:
    """Whether that many lines begin with ``*`` or ``-``."""
    return len(re.findall(r"^\s*(?:\*[^*]|-).*$", text, re.MULTILINE)) == num_bullets


def number_highlights(text: str, num_highlights: int) -> bool:
    """Whether a text has at least that many passages ``*like this*``."""
    marked = re.findall(r"\*([^\n*]*)\*", text) + re.findall(r"\*\*([^\n*]*)\*\*", text)
    return sum(bool(each.strip()) for each in marked) >= num_highlights


def number_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    """Whether a text has at least that many headings such as ``SECTION 1``."""
    return len(re.findall(rf"\s?{re.escape(section_spliter)}\s?\d+\s?", text)) >= num_sections


def number_placeholders(text: str, num_placeholders: int) -> bool:
    """Whether a text has at least that many ``[placeholders]``."""
    return len(re.findall(r"\[.*?\]", text)) >= num_placeholders


def is_opinion(text: str) -> bool:
    """Whether a text says yes, no or maybe in the required words."""
    return any(opinion in text for opinion in _OPINIONS)


def has_postscript(text: str, postscript_marker: str) -> bool:
    """Whether a text has a postscript with the marker."""
    spelled = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
    pattern = spelled.get(postscript_marker, re.escape(postscript_marker.lower()))
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


def repeats_prompt(text: str, prompt_to_repeat: str) -> bool:
    """Whether a text begins with the prompt, apart from case."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def is_quoted(text: str) -> bool:
    """Whether a text stands in double quotation marks."""
    bare = text.strip()
    return len(bare) > 1 and bare.startswith('"') and bare.endswith('"')


def ends_with(text: str, end_phrase: str) -> bool:
    """Whether a text ends with a phrase, apart from case."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def capital_word_frequency(text: str, capital_relation: str, capital_frequency: int) -> bool:
    """Whether a text has that many words all in capital letters."""
    count = sum(word.isupper() for word in re.findall(r"[\w'-]+", text))
    return _holds(count, capital_relation, capital_frequency)


def has_no_comma(text: str) -> bool:
    """Whether a text has no comma."""
    return "," not in text
