"""How varied a generated text is, and whether it got stuck."""

from __future__ import annotations

from collections import Counter
from math import log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

_PHRASE = 2
_TIMES = 3


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
