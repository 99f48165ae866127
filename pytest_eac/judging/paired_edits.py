"""The same edits (items, seeds) under two methods, in two runs, or with two settings."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_eac.spec.metrics import DEVIATION, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_eac.records.run import Ability, Chain, EditRecord
    from pytest_eac.spec.registry_entries import Metric

PairKey = tuple[tuple[str, ...], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Two columns of numbers, row by row of the same thing.

    Attributes:
        unit: what a row is: ``edits``, ``items`` or ``seeds``.
        one: the numbers of the first side.
        two: those of the other.
        shares: whether all numbers are scores between 0 and 1.
    """

    unit: str
    one: tuple[float, ...]
    two: tuple[float, ...]
    shares: bool

    @property
    def has_test(self) -> bool:
        """Whether a test holds: items without a known range have none for their mean.

        Seeds are tested for whether most of them are above, since all of them must be.
        """
        return self.shares or self.unit == "seeds"


def pair(
    one: Sequence[Chain], two: Sequence[Chain], metric: str, *, absolute: bool = False
) -> Pairs:
    """Put the final numbers of two sides next to each other.

    Scores of edits are matched as :func:`edit_keys` says, those of abilities item by item, each
    as its mean over the seeds: it is the edits that stand for others of their kind. A deviation, or
    another number of the model, is one per chain, so there it is the seeds, in their order; seeds
    that give the very same numbers count once.

    Args:
        one: the chains of one side, one per seed.
        two: those of the other side; for a number per chain, as many.
        metric: a metric or an ability that was measured at the end.
        absolute: whether a deviation is ``||W_t - W_0||`` itself, not its share of ``||W_0||``.
    """
    measured = [chain.measured(metric) for chain in (*one, *two)]
    if metric == DEVIATION or any(each and each.is_number for each in measured):
        columns = (
            [final_number(chain, metric, absolute=absolute) for chain in side]
            for side in (one, two)
        )
        rows = dict.fromkeys(zip(*columns, strict=True))
        known = [(a, b) for a, b in rows if a is not None and b is not None]
        return _pairs("seeds", known, shares=False)
    if any(measured):
        hashed = any(edit.absent for chain in (*one, *two) for edit in chain.edits)
        first, second = (_by_edit(side, metric, hashed=hashed) for side in (one, two))
        return _pairs("edits", [(first[key], second[key]) for key in first if key in second])
    rows_of_items = list(zip(_by_item(one, metric), _by_item(two, metric), strict=True))
    shares = all(0 <= number <= 1 for row in rows_of_items for number in row)
    return _pairs("items", rows_of_items, shares=shares)


def _pairs(unit: str, rows: Sequence[tuple[float, float]], *, shares: bool = True) -> Pairs:
    one, two = tuple(first for first, _ in rows), tuple(second for _, second in rows)
    return Pairs(unit=unit, one=one, two=two, shares=shares)


def final_number(chain: Chain, metric: str, *, absolute: bool = False) -> float | None:
    """Return a metric at the end of a chain; ``None`` where there is nothing of it.

    A deviation is L1: relative, or with ``absolute`` ``||W_t - W_0||`` itself.
    """
    if metric == DEVIATION:
        last = chain.checkpoints[-1].deviation
        return last.l1 if absolute else last.l1_relative
    measured = chain.measured(metric)
    return measured.value if measured else None


def last_abilities(chain: Chain) -> dict[str, Ability]:
    """Return each ability of a chain at the last checkpoint that has it."""
    return {name: each for point in chain.checkpoints for name, each in point.abilities.items()}


def metrics_of(chains: Iterable[Chain]) -> tuple[Metric, ...]:
    """Return the entries of all built-in metrics, and of the others that chains hold."""
    last = (point for chain in chains for point in chain.checkpoints[-1:])
    return in_order(name for point in last for name in point.metrics)


def edit_keys(edits: Sequence[EditRecord], *, hashed: bool) -> Iterator[PairKey]:
    """Name each edit; the same edit made again is another one.

    Args:
        edits: in their order.
        hashed: whether to go by the hash of all their texts, since texts of some are not at hand;
            else by subject, prompt and target.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    for edit in edits:
        texts = edit.texts
        name = (edit.sha256,) if hashed else (texts.subject, texts.prompt, texts.target)
        yield name, seen[name]
        seen[name] += 1


def _by_edit(chains: Sequence[Chain], metric: str, *, hashed: bool) -> dict[PairKey, float]:
    """Return each edit's mean over the chains; an edit that is made again counts by itself."""
    scores: defaultdict[PairKey, list[float]] = defaultdict(list)
    for chain in chains:
        measured = chain.measured(metric)
        scored = measured.scores if measured else ()
        for key, score in zip(edit_keys(chain.edits, hashed=hashed), scored, strict=False):
            if score is not None:
                scores[key].append(score)
    return {key: fmean(each) for key, each in scores.items()}


def _by_item(chains: Sequence[Chain], ability: str) -> list[float]:
    """Return each item's mean over the chains.

    A perplexity's scores are log-likelihoods, the higher the better; they change their signs, so
    that less is better as it is for the perplexity itself.
    """
    measured = [chain.checkpoints[-1].abilities[ability].scores for chain in chains]
    means = [fmean(scores) for scores in zip(*measured, strict=True)]
    return [-mean for mean in means] if ability == "perplexity" else means
