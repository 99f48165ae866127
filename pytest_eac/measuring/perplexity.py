"""How well a model predicts plain text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_eac.lm.tokens import encode
from pytest_eac.measuring.scoring import force_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.lm.load import LoadedModel


def perplexity(loaded: LoadedModel, texts: Sequence[str]) -> float:
    """Return ``exp`` of the mean negative log-likelihood over all tokens but each text's first.

    Every text stands alone, with the tokenizer's own special tokens; tokens weigh the same,
    whichever text they are in.

    Raises:
        EditError: a text has more tokens than the model takes.
        NonFiniteError: a logit is not finite.
        ValueError: no text has a second token.
    """
    rows = [encode(loaded.tokenizer, text) for text in texts]
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        raise ValueError("no text of two tokens or more to measure on")
    scores = force_ids(loaded, [(row[:1], row[1:]) for row in rows])
    total = sum(each.log_likelihood * len(each.wanted) for each in scores)
    return math.exp(-total / sum(len(each.wanted) for each in scores))
