"""How the metrics of a chain have changed from one record to another, and in which edits."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from pytest_eac.judging.comparable import different_matrices
from pytest_eac.judging.paired_edits import edit_keys, final_number, last_abilities, metrics_of
from pytest_eac.records.run import Ability, Chain, Measurement
from pytest_eac.spec.metrics import DEVIATION, described
from pytest_eac.stats.differences import difference

# A change that noise alone would make at least this often is not counted as one.
LEVEL = 0.05
# A mean of several full scores may miss 1 by this much.
_ROUNDING = 1e-9
# A deviation that differs by less, as a share, is the same one.
_RELATIVE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScore:
    """The scores of one edit, or one item of an ability, in two records.

    Attributes:
        item: which edit of the newer chain, or item of the ability, counted from 0.
        name: the edit's prompt; empty for an item of an ability.
        old: its score in the older record.
        new: its score in the newer one.
    """

    item: int
    name: str
    old: float
    new: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a metric has moved from an older record to a newer one, at the end of the sequence.

    Attributes:
        metric: its name.
        kind: ``edits`` and ``items`` have a score each, in pairs; ``relative`` is the change of a
            single number as a share of it; of a plain ``number`` it is not known which way is
            better.
        rising_is_worse: whether the metric is better the lower it is.
        old: the older number; a mean over the pairs.
        new: the newer one.
        n: how many pairs; 0 for a single number.
        change: ``new - old``; for ``relative``, as a share of ``old`` (``None`` if that is 0).
        low: lower end of the 95 % interval of ``change``; ``None`` where there is none.
        high: its upper end.
        chance: the one-sided p-value: how often noise alone would move it as far this way;
            ``None`` without pairs.
        lost: pairs whose score was full and is no longer.
        gained: pairs whose score is full and was not.
        reason: why the two numbers cannot be compared; empty where they can.
    """

    metric: str
    kind: Literal["edits", "items", "relative", "number"]
    old: float
    new: float
    n: int = 0
    change: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    lost: tuple[PairedScore, ...] = ()
    gained: tuple[PairedScore, ...] = ()
    reason: str = ""
    rising_is_worse: bool = False

    @property
    def worsening(self) -> float:
        """By how much it has become worse; below 0 if it is better."""
        moved = self.change
        if moved is None:
            moved = math.copysign(math.inf, self.new - self.old)
        return moved if self.rising_is_worse else -moved

    @property
    def p(self) -> float | None:
        """The two-sided p-value; ``None`` without pairs."""
        return None if self.chance is None else min(1.0, 2 * self.chance)

    @property
    def direction(self) -> Literal["better", "worse"] | None:
        """Where it has gone, if that is more than chance; without pairs, more than rounding."""
        if self.reason:
            return None
        if self.kind == "relative":
            is_noise = abs(self.worsening) < _RELATIVE
        else:
            is_noise = self.chance is None or self.chance >= LEVEL
        return None if is_noise else "worse" if self.worsening > 0 else "better"


def metric_names(chains: Iterable[Chain]) -> tuple[str, ...]:
    """Return the metrics of the edited model that chains hold, the built-in ones first."""
    held = tuple(chains)
    metrics = (each.name for each in metrics_of(held) if each.asked != "unedited")
    abilities = (name for chain in held for name in chain.abilities)
    return tuple(dict.fromkeys((*metrics, *abilities)))


def changes(old: Chain, new: Chain) -> tuple[Change, ...]:
    """Return how each metric that both chains hold has moved."""
    found = (change_of(name, old, new) for name in metric_names((old, new)))
    return tuple(each for each in found if each is not None)


def change_of(metric: str, old: Chain, new: Chain) -> Change | None:
    """Return how a metric has moved; ``None`` if the chains have nothing of it in common.

    Edits are paired by their texts, the items of an ability by their order, if both chains were
    asked the same ones.
    """
    before, after = last_abilities(old).get(metric), last_abilities(new).get(metric)
    if before is not None and after is not None:
        return _of_items(metric, before, after)
    one, two = old.measured(metric), new.measured(metric)
    if metric == DEVIATION or (one and two and one.is_number and two.is_number):
        found = _of_numbers(metric, final_number(old, metric), final_number(new, metric))
        reason = different_matrices({"there": old, "here": new}) if metric == DEVIATION else None
        return replace(found, change=None, reason=reason) if found and reason else found
    return _of_edits(metric, old, one, new, two) if one and two else None


def _of_numbers(metric: str, old: float | None, new: float | None) -> Change | None:
    """Compare single numbers: as a share of the older, if one way is known to be better."""
    if old is None or new is None:
        return None
    better = described(metric).better
    if better is None:
        return Change(metric=metric, kind="number", old=old, new=new, change=new - old)
    change = (new - old) / abs(old) if old else 0.0 if old == new else None
    lower = better == "lower"
    return Change(
        metric=metric, kind="relative", old=old, new=new, change=change, rising_is_worse=lower
    )


def _of_items(metric: str, old: Ability, new: Ability) -> Change | None:
    if (old.sha256, old.template, old.n) != (new.sha256, new.template, new.n):
        return _of_numbers(metric, old.value, new.value)
    scores = enumerate(zip(old.scores, new.scores, strict=True))
    pairs = [PairedScore(item=item, name="", old=was, new=now) for item, (was, now) in scores]
    return _paired(metric, "items", pairs)


def _of_edits(
    metric: str, old: Chain, one: Measurement, new: Chain, two: Measurement
) -> Change | None:
    hashed = any(edit.absent for edit in (*old.edits, *new.edits))
    before = dict(zip(edit_keys(old.edits, hashed=hashed), one.scores, strict=False))
    after = zip(edit_keys(new.edits, hashed=hashed), two.scores, strict=False)
    pairs = [
        PairedScore(item=index, name=new.edits[index].texts.prompt, old=was, new=score)
        for index, (key, score) in enumerate(after)
        if score is not None and (was := before.get(key)) is not None
    ]
    return _paired(metric, "edits", pairs) if pairs else None


def _paired(metric: str, kind: Literal["edits", "items"], pairs: Sequence[PairedScore]) -> Change:
    old, new = [pair.old for pair in pairs], [pair.new for pair in pairs]
    shares = all(0 <= score <= 1 for score in (*old, *new))  # log-likelihoods are not
    falls = fmean(new) < fmean(old)
    moved = difference(*((old, new) if falls else (new, old)), shares=shares, noise=True)
    mean = -moved.mean if falls else moved.mean
    return Change(
        metric=metric,
        kind=kind,
        old=fmean(old),
        new=fmean(new),
        n=len(pairs),
        change=mean.value,
        low=mean.low,
        high=mean.high,
        chance=moved.p,
        rising_is_worse=kind == "edits" and described(metric).better == "lower",
        lost=tuple(pair for pair in pairs if _is_full(pair.old) and not _is_full(pair.new)),
        gained=tuple(pair for pair in pairs if _is_full(pair.new) and not _is_full(pair.old)),
    )


def _is_full(score: float) -> bool:
    return score >= 1 - _ROUNDING
