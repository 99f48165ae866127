"""Instructions that a program can check: IFEval's names, arguments and conditions.

Source: Zhou et al. 2023, arXiv 2311.07911, and the code published with it. Three things differ, so
that nothing has to be downloaded and no word is taken for a pattern: sentences and words are split
by rules and not by a trained model, the language of a text is not looked at, and keywords are taken
literally.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pytest_eac.abilities import conditions
from pytest_eac.errors import DataError
from pytest_eac.spec.nearest_name import closest
from pytest_eac.strict_json import shown

Arguments = Mapping[str, Any]


def follows(
    text: str, instruction_id: str, kwargs: Mapping[str, Any], *, loose: bool = False
) -> bool:
    """Whether a text does as it was told. An empty text never does.

    Args:
        text: the answer.
        instruction_id: one of :data:`KNOWN`.
        kwargs: the instruction's arguments; those that are ``None`` count as not given.
        loose: IFEval's loose reading: one of the text, the text without its first line, its last
            or both, each with and without its asterisks, has to do as told.

    Raises:
        DataError: there is no such instruction, or its arguments are not those that it takes.
    """
    if instruction_id not in _TABLE:
        raise DataError(
            f"found the instruction {instruction_id!r}{closest(instruction_id, sorted(KNOWN))}"
        )
    check, takes = _TABLE[instruction_id]
    given = {name: value for name, value in kwargs.items() if value is not None}
    _check_arguments(instruction_id, given, takes)
    return any(
        bool(reading.strip()) and check(reading, given)
        for reading in (_readings(text) if loose else (text,))
    )


def _readings(text: str) -> list[str]:
    lines = text.split("\n")
    parts = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [each for part in (text, *parts) for each in (part, part.replace("*", ""))]


_Kind = tuple[str, Callable[[Any], bool]]

_NUMBER: _Kind = (
    "a whole number of at least 0",
    lambda found: isinstance(found, int) and not isinstance(found, bool) and found >= 0,
)
_POSITION: _Kind = (
    "a whole number of at least 1",
    lambda found: isinstance(found, int) and not isinstance(found, bool) and found >= 1,
)
_TEXT: _Kind = ("a text", lambda found: isinstance(found, str) and bool(found.strip()))
_LETTER: _Kind = ("one character", lambda found: isinstance(found, str) and len(found) == 1)
_TEXTS: _Kind = (
    "a list of texts",
    lambda found: isinstance(found, list | tuple) and bool(found) and all(map(_TEXT[1], found)),
)
_RELATION: _Kind = (
    "'less than' or 'at least'",
    lambda found: isinstance(found, str) and found in {"less than", "at least"},
)


def _check_arguments(instruction_id: str, given: Arguments, takes: Mapping[str, _Kind]) -> None:
    where = f"instruction {instruction_id!r}"
    if given.keys() != takes.keys():
        raise DataError(
            f"{where}: found the arguments {', '.join(given) or '(none)'}; "
            f"expected {', '.join(takes) or '(none)'}"
        )
    for name, (expected, fits) in takes.items():
        if not fits(given[name]):
            raise DataError(f"{where}: {name}: found {shown(given[name])}; expected {expected}")


_OPINIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")

# For each instruction, the check and the arguments that it takes.
_TABLE: dict[str, tuple[Callable[[str, Arguments], bool], dict[str, _Kind]]] = {
    "keywords:existence": (
        lambda text, given: all(conditions.count_keyword(text, word) for word in given["keywords"]),
        {"keywords": _TEXTS},
    ),
    "keywords:frequency": (
        lambda text, given: conditions.holds(
            conditions.count_keyword(text, given["keyword"]), given["relation"], given["frequency"]
        ),
        {"relation": _RELATION, "keyword": _TEXT, "frequency": _NUMBER},
    ),
    "keywords:forbidden_words": (
        lambda text, given: (
            not any(conditions.has_word(text, word) for word in given["forbidden_words"])
        ),
        {"forbidden_words": _TEXTS},
    ),
    "keywords:letter_frequency": (
        lambda text, given: conditions.holds(
            text.lower().count(given["letter"].lower()),
            given["let_relation"],
            given["let_frequency"],
        ),
        {"let_relation": _RELATION, "letter": _LETTER, "let_frequency": _NUMBER},
    ),
    "length_constraints:number_words": (
        lambda text, given: conditions.holds(
            len(re.findall(r"\w+", text)), given["relation"], given["num_words"]
        ),
        {"relation": _RELATION, "num_words": _NUMBER},
    ),
    "length_constraints:number_sentences": (
        lambda text, given: conditions.holds(
            conditions.count_sentences(text), given["relation"], given["num_sentences"]
        ),
        {"relation": _RELATION, "num_sentences": _NUMBER},
    ),
    "length_constraints:number_paragraphs": (
        lambda text, given: conditions.has_parts(text, "***", given["num_paragraphs"]),
        {"num_paragraphs": _NUMBER},
    ),
    "length_constraints:nth_paragraph_first_word": (
        lambda text, given: conditions.has_first_word(
            text, given["num_paragraphs"], given["nth_paragraph"], given["first_word"]
        ),
        {"num_paragraphs": _NUMBER, "nth_paragraph": _POSITION, "first_word": _TEXT},
    ),
    "detectable_format:number_bullet_lists": (
        lambda text, given: conditions.count_bullets(text) == given["num_bullets"],
        {"num_bullets": _NUMBER},
    ),
    "detectable_format:number_highlighted_sections": (
        lambda text, given: conditions.count_highlights(text) >= given["num_highlights"],
        {"num_highlights": _NUMBER},
    ),
    "detectable_format:multiple_sections": (
        lambda text, given: (
            conditions.count_sections(text, given["section_spliter"]) >= given["num_sections"]
        ),
        {"section_spliter": _TEXT, "num_sections": _NUMBER},
    ),
    "detectable_format:constrained_response": (
        lambda text, _: any(opinion in text for opinion in _OPINIONS),
        {},
    ),
    "detectable_format:json_format": (lambda text, _: conditions.is_json(text), {}),
    "detectable_format:title": (lambda text, _: conditions.has_title(text), {}),
    "detectable_content:number_placeholders": (
        lambda text, given: len(re.findall(r"\[.*?\]", text)) >= given["num_placeholders"],
        {"num_placeholders": _NUMBER},
    ),
    "detectable_content:postscript": (
        lambda text, given: conditions.has_postscript(text, given["postscript_marker"]),
        {"postscript_marker": _TEXT},
    ),
    "combination:repeat_prompt": (
        lambda text, given: (
            text.strip().lower().startswith(given["prompt_to_repeat"].strip().lower())
        ),
        {"prompt_to_repeat": _TEXT},
    ),
    "combination:two_responses": (lambda text, _: conditions.two_responses(text), {}),
    "startend:end_checker": (
        lambda text, given: conditions.ends_with(text, given["end_phrase"]),
        {"end_phrase": _TEXT},
    ),
    "startend:quotation": (lambda text, _: conditions.is_quoted(text), {}),
    "change_case:english_capital": (lambda text, _: text.isupper(), {}),
    "change_case:english_lowercase": (lambda text, _: text.islower(), {}),
    "change_case:capital_word_frequency": (
        lambda text, given: conditions.holds(
            conditions.count_capital_words(text),
            given["capital_relation"],
            given["capital_frequency"],
        ),
        {"capital_relation": _RELATION, "capital_frequency": _NUMBER},
    ),
    "punctuation:no_comma": (lambda text, _: "," not in text, {}),
}

KNOWN = frozenset(_TABLE)
