"""Instructions that a program can check: IFEval's names, arguments and conditions.

Source: Zhou et al. 2023, arXiv 2311.07911, and the code published with it. Three things differ, so
that nothing has to be downloaded and no word is taken for a pattern: sentences and words are split
by rules and not by a trained model, the language of a text is not looked at, and keywords are taken
literally.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from pytest_eac.abilities import instruction_conditions
from pytest_eac.errors import DataError
from pytest_eac.spec.nearest_name import closest
from pytest_eac.strict_json import shown


def follows(
    text: str, instruction_id: str, kwargs: Mapping[str, Any], *, loose: bool = False
) -> bool:
    """Whether a text follows an instruction. An empty text never does.

    Args:
        text: the answer.
        instruction_id: one of :data:`KNOWN`.
        kwargs: the instruction's arguments; those that are ``None`` count as not given.
        loose: IFEval's loose reading: one of the text, the text without its first line, its last
            or both, each with and without its asterisks, has to follow it.

    Raises:
        DataError: there is no such instruction, or its arguments are not those that it takes.
    """
    if instruction_id not in _CHECKS:
        raise DataError(
            f"found the instruction {instruction_id!r}{closest(instruction_id, sorted(KNOWN))}"
        )
    check = _CHECKS[instruction_id]
    given = {name: value for name, value in kwargs.items() if value is not None}
    _, *takes = signature(check).parameters
    _check_arguments(instruction_id, given, takes)
    return any(
        bool(reading.strip()) and check(reading, **given)
        for reading in (_readings(text) if loose else (text,))
    )


def _readings(text: str) -> list[str]:
    lines = text.split("\n")
    parts = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [each for part in (text, *parts) for each in (part, part.replace("*", ""))]


def _check_arguments(instruction_id: str, given: Mapping[str, Any], takes: Sequence[str]) -> None:
    where = f"instruction {instruction_id!r}"
    if given.keys() != set(takes):
        raise DataError(
            f"{where}: found the arguments {', '.join(given) or '(none)'}; "
            f"expected {', '.join(takes) or '(none)'}"
        )
    for name in takes:
        expected, fits = _ARGUMENTS[name]
        if not fits(given[name]):
            raise DataError(f"{where}: {name}: found {shown(given[name])}; expected {expected}")


_Kind = tuple[str, Callable[[Any], bool]]


def _whole(least: int) -> _Kind:
    return (
        f"a whole number of at least {least}",
        lambda found: isinstance(found, int) and not isinstance(found, bool) and found >= least,
    )


_TEXT: _Kind = ("a text", lambda found: isinstance(found, str) and bool(found.strip()))
_TEXTS: _Kind = (
    "a list of texts",
    lambda found: isinstance(found, list | tuple) and bool(found) and all(map(_TEXT[1], found)),
)
_RELATION: _Kind = (
    "'less than' or 'at least'",
    lambda found: isinstance(found, str) and found in {"less than", "at least"},
)
_COUNTS = ("frequency", "let_frequency", "capital_frequency", "num_words", "num_sentences")
_COUNTED = ("num_paragraphs", "num_bullets", "num_highlights", "num_sections", "num_placeholders")
_WORDING = ("keyword", "first_word", "section_spliter", "postscript_marker", "end_phrase")
_ARGUMENTS: dict[str, _Kind] = {
    **dict.fromkeys((*_COUNTS, *_COUNTED), _whole(0)),
    "nth_paragraph": _whole(1),
    **dict.fromkeys(("relation", "let_relation", "capital_relation"), _RELATION),
    "letter": ("one character", lambda found: isinstance(found, str) and len(found) == 1),
    **dict.fromkeys((*_WORDING, "prompt_to_repeat"), _TEXT),
    **dict.fromkeys(("keywords", "forbidden_words"), _TEXTS),
}
# For each instruction, its check: of the text, and of the arguments by IFEval's names.
_CHECKS: dict[str, Callable[..., bool]] = {
    "keywords:existence": instruction_conditions.has_keywords,
    "keywords:frequency": instruction_conditions.keyword_frequency,
    "keywords:forbidden_words": instruction_conditions.has_none_of,
    "keywords:letter_frequency": instruction_conditions.letter_frequency,
    "length_constraints:number_words": instruction_conditions.number_words,
    "length_constraints:number_sentences": instruction_conditions.number_sentences,
    "length_constraints:number_paragraphs": instruction_conditions.number_paragraphs,
    "length_constraints:nth_paragraph_first_word": instruction_conditions.has_first_word,
    "detectable_format:number_bullet_lists": instruction_conditions.number_bullets,
    "detectable_format:number_highlighted_sections": instruction_conditions.number_highlights,
    "detectable_format:multiple_sections": instruction_conditions.number_sections,
    "detectable_format:constrained_response": instruction_conditions.is_opinion,
    "detectable_format:json_format": instruction_conditions.is_json,
    "detectable_format:title": instruction_conditions.has_title,
    "detectable_content:number_placeholders": instruction_conditions.number_placeholders,
    "detectable_content:postscript": instruction_conditions.has_postscript,
    "combination:repeat_prompt": instruction_conditions.repeats_prompt,
    "combination:two_responses": instruction_conditions.two_responses,
    "startend:end_checker": instruction_conditions.ends_with,
    "startend:quotation": instruction_conditions.is_quoted,
    "change_case:english_capital": str.isupper,
    "change_case:english_lowercase": str.islower,
    "change_case:capital_word_frequency": instruction_conditions.capital_word_frequency,
    "punctuation:no_comma": instruction_conditions.has_no_comma,
}

KNOWN = frozenset(_CHECKS)
