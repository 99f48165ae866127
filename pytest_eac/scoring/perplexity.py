"""How well a model predicts plain text."""

import math
from collections.abc import Sequence

from pytest_eac.errors import NonFiniteError
from pytest_eac.lm.forward.shared_prefixes import Ids
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import encode
from pytest_eac.scoring.answers import force, force_ids
from pytest_eac.strict_json import LARGEST
from pytest_eac.text.spacing import as_continuation

_TOO_MUCH = 700  # of which exp is just below the largest float


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
    means = log_likelihoods(loaded, rows)
    counts = [len(row) - 1 for row in rows]
    total = sum(mean * count for mean, count in zip(means, counts, strict=True))
    return _exp(-total / sum(counts))


def continued_perplexity(loaded: LoadedModel, pairs: Sequence[tuple[str, str]]) -> float:
    """Return the perplexity of continuations, each after its prompt, over all their tokens.

    Args:
        loaded: the model.
        pairs: (prompt, continuation), one or more; white space around a continuation is dropped,
            and one space put in front where the script has spaces.

    Raises:
        EditError: a pair has more tokens than the model takes.
        NonFiniteError: a logit is not finite.
    """
    rows = [(prompt.rstrip(), text) for prompt, text in pairs]
    read = force(loaded, [(prompt, as_continuation(prompt, text)) for prompt, text in rows])
    total = sum(each.log_likelihood * len(each.wanted) for each in read)
    return _exp(-total / sum(len(each.wanted) for each in read))


def require_writable(*perplexities: float) -> None:
    """Raise if a perplexity is larger than what a record can hold.

    Raises:
        NonFiniteError: one is; the model that it is of predicts nothing any more.
    """
    if not max(perplexities) <= LARGEST:
        raise NonFiniteError("the perplexity is too large for a number")


def _exp(loss: float) -> float:
    found = math.exp(loss) if loss < _TOO_MUCH else math.inf
    require_writable(found)
    return found


def log_likelihoods(loaded: LoadedModel, rows: Sequence[Ids]) -> list[float]:
    """Return the mean log-likelihood of each row's tokens but the first, two tokens or more.

    Raises:
        EditError: a row has more tokens than the model takes.
        NonFiniteError: a logit is not finite.
    """
    return [each.log_likelihood for each in force_ids(loaded, [(row[:1], row[1:]) for row in rows])]
