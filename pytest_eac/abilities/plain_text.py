"""Abilities that need no answers: how well plain text is predicted, and how far that has moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_eac.abilities.asking import Asked, Replies
from pytest_eac.abilities.data_items import text
from pytest_eac.errors import DataError, NonFiniteError
from pytest_eac.lm.forward.packed import read
from pytest_eac.lm.tokens import encode
from pytest_eac.scoring.perplexity import log_likelihoods, require_writable
from pytest_eac.stats.paired import Interval, resampled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from pytest_eac.abilities.data_items import Row
    from pytest_eac.lm.forward.shared_prefixes import Ids
    from pytest_eac.lm.loading.load import LoadedModel

# What the unedited model's log-probabilities may take, in float32.
_HELD_BYTES = 2**28


@dataclass(frozen=True, kw_only=True)
class Perplexity(Asked):
    """Texts to predict; scores are mean log-likelihoods of their tokens, which all weigh the same.

    Attributes:
        rows: the token ids of each text, two or more.
    """

    rows: tuple[Ids, ...]

    @property
    def items(self) -> Sequence[Any]:
        """The texts' tokens."""
        return self.rows

    @property
    def _tokens(self) -> list[int]:
        return [len(row) - 1 for row in self.rows]

    def ask(self, loaded: LoadedModel) -> Replies:
        """Score every text."""
        return Replies(scores=tuple(log_likelihoods(loaded, self.rows)))

    def value(self, scores: Sequence[float], *, confidence: float = 0.95) -> Interval:
        """Return the perplexity with its bootstrap interval over texts."""

        def perplexity(scores: Any, tokens: Any) -> Any:
            return np.exp(-(scores * tokens).sum(axis=-1) / tokens.sum(axis=-1))

        with np.errstate(over="ignore"):
            found = resampled(perplexity, scores, self._tokens, confidence=confidence)
        require_writable(found.value, *(end for end in (found.low, found.high) if end is not None))
        return found

    def kept(
        self, base: Sequence[float], edited: Sequence[float], *, confidence: float = 0.95
    ) -> Interval:
        """Return the unedited perplexity over the edited one, with a paired bootstrap interval.

        It has no ends where no text has changed: that does not show how others would.
        """
        if tuple(base) == tuple(edited):
            return Interval(value=1.0, low=None, high=None)

        def ratio(base: Any, edited: Any, tokens: Any) -> Any:
            return np.exp(((edited - base) * tokens).sum(axis=-1) / tokens.sum(axis=-1))

        return resampled(ratio, base, edited, self._tokens, confidence=confidence)

    def signal(self, base: Sequence[float]) -> bool:
        """Every model has a perplexity to lose."""
        return bool(base)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drift(Asked):
    """Next-token predictions on texts, held against the unedited model's.

    A text's score is the share of its places where the likeliest token is the same as before.

    Attributes:
        rows: the token ids of each text.
        places: (row, position) of each prediction that is compared, in order; every row has some.
        before: (places, vocabulary), the unedited model's log-probabilities in float32.
    """

    rows: tuple[Ids, ...]
    places: tuple[tuple[int, int], ...]
    before: Tensor

    @property
    def items(self) -> Sequence[Any]:
        """The texts' tokens, and where they are looked at."""
        return [*self.rows, *self.places]

    def ask(self, loaded: LoadedModel) -> Replies:
        """Compare all predictions; ``about`` has the mean KL(unedited || edited) in nats."""
        same: dict[int, list[bool]] = {}
        total = 0.0
        for index, now in _log_probs(loaded, self.rows, self.places):
            row, before = self.places[index][0], self.before[index]
            same.setdefault(row, []).append(bool(now.argmax() == before.argmax()))
            total += float((before.exp() * (before - now)).sum(dtype=torch.float64))
        return Replies(
            scores=tuple(sum(each) / len(each) for _, each in sorted(same.items())),
            about={"kl": max(total / len(self.places), 0.0)},
        )

    def signal(self, base: Sequence[float]) -> bool:
        """The unedited model agrees with itself."""
        return bool(base)


def plain_text(loaded: LoadedModel, rows: Sequence[Row]) -> Perplexity:
    """Read texts to predict.

    Raises:
        DataError: a text has fewer than two tokens.
    """
    return Perplexity(rows=_encoded(loaded, rows))


def drift(loaded: LoadedModel, rows: Sequence[Row]) -> Drift:
    """Record the unedited model's predictions on texts.

    As many as fit 256 MB are looked at, spread evenly over each text and over all of them.

    Raises:
        DataError: a text has fewer than two tokens.
    """
    texts = _encoded(loaded, rows)
    vocabulary = loaded.shape["vocab_size"]
    places = spread([len(each) - 1 for each in texts], _HELD_BYTES // (4 * vocabulary))
    before = torch.empty(len(places), vocabulary)
    for index, now in _log_probs(loaded, texts, places):
        before[index] = now
    return Drift(rows=texts[: places[-1][0] + 1], places=places, before=before)


def spread(lengths: Sequence[int], room: int) -> tuple[tuple[int, int], ...]:
    """Return (row, position) of at most ``room`` places, at least one a row while there is room.

    Args:
        lengths: how many places each row has, at least one.
        room: how many are wanted, at least one.
    """
    share = min(1.0, room / sum(lengths))
    wanted = [max(1, int(length * share)) for length in lengths]
    places = [
        (row, (2 * step + 1) * length // (2 * count))
        for row, (length, count) in enumerate(zip(lengths, wanted, strict=True))
        for step in range(count)
    ]
    return tuple(places[:room])


def _encoded(loaded: LoadedModel, rows: Sequence[Row]) -> tuple[Ids, ...]:
    found = tuple(encode(loaded.tokenizer, text(row, "text")) for row in rows)
    for row, ids in zip(rows, found, strict=True):
        if len(ids) < 2:
            raise DataError(f"{row.origin}: text: found {len(ids)} token, expected at least two")
    return found


@torch.no_grad()
def _log_probs(
    loaded: LoadedModel, rows: Sequence[Ids], places: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, Tensor]]:
    """Yield each place's index and its next-token log-probabilities, (vocabulary,), in any order.

    Raises:
        NonFiniteError: a logit is not finite.
    """
    wanted: dict[int, list[int]] = {}
    for index, (row, _) in enumerate(places):
        wanted.setdefault(row, []).append(index)
    chosen = list(wanted)
    firsts = [places[wanted[row][0]][1] for row in chosen]
    for done in read(loaded, [rows[row] for row in chosen], firsts):
        for segment, logits in zip(done.segments, done.logits, strict=True):
            for number in segment.rows:
                for index in wanted[chosen[number]]:
                    position = places[index][1]
                    if segment.start <= position < segment.end:
                        found = logits[position - segment.end].float().cpu().log_softmax(dim=-1)
                        if not bool(torch.isfinite(found.sum())):
                            raise NonFiniteError(
                                "the model's logits are not finite while it reads a text"
                            )
                        yield index, found
