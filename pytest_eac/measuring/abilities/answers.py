"""Answers against what was expected: short answers, numbers, summaries."""

from __future__ import annotations

import re
import string
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NEXT_QUESTION = re.compile(r"\bQ(?:uestion)?\s*:")
# A minus behind a number or a bracket, or before a space, is a subtraction and no sign.
_SIGN = r"(?:(?<![\w)\]])[-\u2212])?"
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+"
_NUMBER = re.compile(rf"({_SIGN})(?:[$€£¥]\s?)?({_SIGN})({_DIGITS})")
_FINAL = "####"


def normalize(text: str) -> str:
    """Lower the case and drop punctuation, articles and superfluous white space.

    Source: the evaluation script of SQuAD 1.1 (Rajpurkar et al. 2016).
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(text: str, aliases: Sequence[str]) -> bool:
    """Whether an answer is one of the accepted ones after :func:`normalize`.

    Answers of which nothing is left then ("A", "+") are compared as they are, apart from case.
    """
    return any(_comparable(text) == _comparable(alias) for alias in aliases)


def _comparable(text: str) -> str:
    return normalize(text) or text.strip().lower()


def first_answer(text: str) -> str:
    """Return the first line that is not empty, up to a next question that the model asks itself.

    Returns:
        The line without white space around it; empty where there is no answer.
    """
    line = text.strip().partition("\n")[0]
    return _NEXT_QUESTION.split(line, maxsplit=1)[0].strip()


def last_number(text: str) -> str | None:
    """Return the number that a solution ends in.

    Source: GSM8K (Cobbe et al. 2021), where ``#### N`` marks it; of several such marks the first
    counts, since what follows is another problem. Without a mark it is the last number.

    Returns:
        Its digits, with a minus and a decimal point where it has them and nothing else; ``None``
        where there is no number.
    """
    marked = text.partition(_FINAL)[2].strip().partition("\n")[0]
    if found := _NUMBER.search(marked):
        return _plain(found)
    every = list(_NUMBER.finditer(text))
    return _plain(every[-1]) if every else None


def _plain(found: re.Match[str]) -> str:
    before, behind, digits = found.groups()
    return ("-" if before or behind else "") + digits.replace(",", "")


def same_number(a: str, b: str) -> bool:
    """Whether two texts each write one number, and the same one: "$1,000.00" and "1000"."""
    numbers = [_NUMBER.fullmatch(text.strip().rstrip(".")) for text in (a, b)]
    one, two = (Decimal(_plain(found)) if found else None for found in numbers)
    return one is not None and one == two


def rouge(text: str, reference: str) -> float:
    """Return the mean of the F1 of ROUGE-1, ROUGE-2 and ROUGE-L, between 0 and 1.

    Words are runs of ASCII letters and digits, in lower case and not stemmed; other scripts score
    0. Source: Lin 2004, as in Google's rouge-score.
    """
    scores = _scorer().score(reference, text)
    return float(sum(score.fmeasure for score in scores.values()) / len(scores))


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
