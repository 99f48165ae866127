"""Scores of answers: against what was expected, and for how varied a text is."""

import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from math import log2
from typing import Any

import regex

from pytest_eac.text.spacing import UNSPACED_LETTER

_ARTICLES = regex.compile(r"\b(a|an|the)\b")
_PUNCTUATION = regex.compile(r"[\p{P}$+<=>^`|~]")
_NEXT_QUESTION = regex.compile(r"\bQ(?:uestion)?\s*:")
# A minus after a number, a bracket or a letter, or before a space, is a subtraction and no sign;
# after a letter of a script without spaces it may be either, and counts as a sign.
_SIGN = rf"(?:(?<![[\w)\]]--{UNSPACED_LETTER}])[-\u2212])?"
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+"
_OTHER_DIGIT = regex.compile(r"(?![0-9])\p{Nd}")
_NUMBER = regex.compile(rf"({_SIGN})(?:[$€£¥]\s?)?({_SIGN})({_DIGITS})", regex.V1)
_FINAL = "####"
# A loop: a phrase of at least that many tokens, that many times in a row.
_PHRASE, _TIMES = 2, 3


def normalize(text: str) -> str:
    """Lower the case and drop punctuation, articles and superfluous white space.

    Source: the evaluation script of SQuAD 1.1 (Rajpurkar et al. 2016); the punctuation is that of
    all scripts, as in MLQA's (Lewis et al. 2020).
    """
    bare = unicodedata.normalize("NFC", text).lower()
    words: str = " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub("", bare)).split())
    return words


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
    answer: str = _NEXT_QUESTION.split(line, maxsplit=1)[0]
    return answer.strip()


def last_number(text: str) -> str | None:
    """Return the number that a solution ends in.

    Source: GSM8K (Cobbe et al. 2021), where ``#### N`` marks it; of several such marks the first
    counts, since what follows is another problem. Without a mark it is the last number.

    Returns:
        Its digits (0 to 9, whichever script wrote it), with a minus and a decimal point where it
        has them and nothing else; ``None`` where there is no number.
    """
    text = _ascii_digits(text)
    marked = text.partition(_FINAL)[2].strip().partition("\n")[0]
    if found := _NUMBER.search(marked):
        return _plain(found)
    every = list(_NUMBER.finditer(text))
    return _plain(every[-1]) if every else None


def _ascii_digits(text: str) -> str:
    plain: str = _OTHER_DIGIT.sub(lambda found: str(unicodedata.digit(found[0])), text)
    return plain


def _plain(found: regex.Match[str]) -> str:
    before, behind, digits = found.groups()
    plain: str = digits.replace(",", "")
    return f"-{plain}" if before or behind else plain


def same_number(a: str, b: str) -> bool:
    """Whether two texts each write one number, and the same one: "$1,000.00" and "1000"."""
    numbers = [_NUMBER.fullmatch(_ascii_digits(text).strip().rstrip(".")) for text in (a, b)]
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


def ngram_entropy(tokens: Sequence[Hashable], n: int) -> float:
    """Return the entropy of a text's n-grams, ``-sum p log2 p``, in bits.

    0 for a text of fewer than ``n + 1`` tokens. Source: Ent-n of Zhang et al. 2018, arXiv
    1809.05972; Meng et al. 2022, arXiv 2202.05262, weigh n = 2 and 3 into their fluency.

    Args:
        tokens: the tokens, ids or words.
        n: length of the n-grams, at least 1.
    """
    counts = Counter(_ngrams(tokens, n))
    total = counts.total()
    return sum(count / total * log2(total / count) for count in counts.values())


def distinct(tokens: Sequence[Hashable], n: int) -> float:
    """Return how many of a text's n-grams are different ones, as a share between 0 and 1.

    0 for a text of fewer than ``n`` tokens. Source: Li et al. 2016, arXiv 1510.03055.

    Args:
        tokens: the tokens, ids or words.
        n: length of the n-grams, at least 1.
    """
    counts = Counter(_ngrams(tokens, n))
    return len(counts) / max(counts.total(), 1)


def loops(tokens: Sequence[Hashable]) -> bool:
    """Whether a text ends in a loop: a phrase of two tokens or more, three times in a row.

    A fourth time may be cut off: then the text ends in the phrase's rotation, three times. Source:
    Holtzman et al. 2020, arXiv 1904.09751.
    """
    total = len(tokens)
    return any(
        all(tokens[at] == tokens[at - length] for at in range(-1, -(_TIMES - 1) * length - 1, -1))
        for length in range(_PHRASE, total // _TIMES + 1)
    )


def _ngrams(tokens: Sequence[Hashable], n: int) -> Iterator[tuple[Hashable, ...]]:
    return zip(*(tokens[start:] for start in range(n)), strict=False)
