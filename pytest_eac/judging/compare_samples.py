"""Two methods of a spec compared over several sets of edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from pytest_eac.judging.compare_checks import (
    incomparable,
    label,
    reaches,
    required_words,
    tested_pairs,
)
from pytest_eac.judging.hypotheses import corrected_fields, rest
from pytest_eac.judging.limits import Decision, interval
from pytest_eac.judging.paired_edits import Pairs, final_number, pair
from pytest_eac.judging.suite import correction_of
from pytest_eac.records import run
from pytest_eac.records.run import Chain
from pytest_eac.spec.schema.checks import CompareCheck
from pytest_eac.stats.differences import Difference, needed
from pytest_eac.stats.foreseen import Foreseen, most_of
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.samples import inference, mean_of_samples, needed_samples, p_over_samples


def compare_over_samples(
    name: str,
    comparison: CompareCheck,
    subject: Sequence[Chain],
    other: Sequence[Chain],
    *,
    level: float = 0.95,
    suite: int = 0,
) -> run.Comparison:
    """Judge whether one method is below (or above) the other in the mean over the sets of edits.

    Both methods made the edits of each set, so that each set gives one difference, of the means
    over seeds. With a confidence, the differences of the sets must show it
    (:mod:`pytest_eac.stats.samples`); where edits or items have scores, so must these, since sets
    that happen to give the same difference do not show how others would vary.

    Args:
        name: the check's name in node ids.
        comparison: the metric, the direction, the methods, the least difference, the confidence.
        subject: the chains of the method that must be below or above: one per set and seed.
        other: the chains of the other method, in the same order.
        level: of the interval that is shown, where the comparison has no confidence.
        suite: how many p-values the whole run has, if they are corrected over all of it.
    """
    required = required_words(comparison)
    samples = len({chain.sample for chain in subject})
    if undecided := incomparable(name, comparison, (*subject, *other), samples=samples):
        return undecided
    found = _OverSamples.of(comparison, subject, other, comparison.confidence or level)
    decision = Decision(outcome="passed")
    if not found.reaches:
        decision = Decision(outcome="failed")
    elif comparison.confidence is not None:
        decision = _decide(found, rest(comparison.confidence) / (suite or 1))
    sign = -1 if comparison.less else 1
    effect = -found.effect if comparison.less else found.effect
    edits = found.edits
    gained, lost = (edits.gained, edits.lost)[::sign] if edits else (None, None)
    tests = found.tests
    p = next(iter(tests.values()), None)
    correction = correction_of(comparison, p, suite)
    return run.Comparison(
        spec=subject[0].spec,
        check=name,
        outcome=decision.outcome,
        observed=None,
        required=required,
        message="\n".join(
            [
                f"{label(comparison)} after {len(subject[0].edits)} edits, mean of {samples} "
                f"samples: {decision.reason}{comparison.subject} {fmean(found.subject):.4g}, "
                f"{comparison.than} {fmean(found.other):.4g}; required {required}",
                *_by_sample(found),
                f"{_described(found, effect, comparison.confidence or level)}{correction or ''}",
            ]
        ),
        needs=decision.needs,
        n=samples,
        low=effect.low,
        high=effect.high,
        p=p,
        effect=effect.value,
        gained=gained,
        lost=lost,
        tests=tests,
        samples=samples,
        **corrected_fields(correction),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OverSamples:
    """Two methods over sets of edits.

    Attributes:
        comparison: what is asked.
        subject: the number of each set under the one method, mean over seeds.
        other: that under the other one.
        pairs: scores of all edits or items; those of a number per chain have the unit ``seeds``.
        edits: the test of these; ``None`` for a number per chain.
        level: of the interval.
    """

    comparison: CompareCheck
    subject: tuple[float, ...]
    other: tuple[float, ...]
    pairs: Pairs
    edits: Difference | None
    level: float

    @classmethod
    def of(
        cls, asked: CompareCheck, subject: Sequence[Chain], other: Sequence[Chain], level: float
    ) -> _OverSamples:
        """Put the chains together, set by set."""
        means = []
        for sample in dict.fromkeys(chain.sample for chain in subject):
            mine, its = ([c for c in side if c.sample == sample] for side in (subject, other))
            means.append(_means(asked, mine, its))
        sides = (other, subject) if asked.less else (subject, other)
        pairs = pair(*sides, asked.metric, absolute=asked.absolute)
        edits = None if pairs.unit == "seeds" else tested_pairs(asked, pairs, level)
        one, two = zip(*means, strict=True)
        return cls(comparison=asked, subject=one, other=two, pairs=pairs, edits=edits, level=level)

    @property
    def by(self) -> float:
        return self.comparison.by or 0.0

    @property
    def gaps(self) -> list[float]:
        """The difference of each set; that the method is on the right side is above 0."""
        sign = -1 if self.comparison.less else 1
        return [sign * (a - b) for a, b in zip(self.subject, self.other, strict=True)]

    @property
    def reaches(self) -> bool:
        """Whether the mean difference is as large as required."""
        return reaches(fmean(self.gaps), self.by)

    @property
    def effect(self) -> Interval:
        """The mean difference; its interval has those over samples and over edits in it."""
        over = mean_of_samples(self.gaps, confidence=self.level)
        inner = self.edits.mean if self.edits else over
        lows = [each.low for each in (over, inner) if each.low is not None]
        highs = [each.high for each in (over, inner) if each.high is not None]
        low, high = min(lows, default=None), max(highs, default=None)
        if self.pairs.shares and low is not None and high is not None:
            low, high = max(-1.0, low), min(1.0, high)
        return Interval(value=over.value, low=low, high=high)

    @property
    def tests(self) -> dict[str, float]:
        """The p-values, the one that decides first: the larger one of those that there are."""
        p = p_over_samples(self.gaps, self.by)
        found = {} if p is None else {f"{inference(len(self.gaps))} over samples": p}
        if self.edits is not None and self.edits.tests:
            test = next(iter(self.edits.tests))
            found[f"{test} over {self.pairs.unit}"] = self.edits.p
        return dict(sorted(found.items(), key=lambda each: -each[1]))

    def needs(self, level: float) -> Foreseen | None:
        """Return about how many samples would decide; ``None`` where no number would.

        Of edits, as many as the samples needed for them have; more samples bring no more items.
        """
        found = []
        if p_over_samples(self.gaps, self.by) is not None:
            found.append(needed_samples(self.gaps, self.by, level=level))
        if self.pairs.unit == "edits":
            one, two, shares = self.pairs.one, self.pairs.two, self.pairs.shares
            edits = needed(one, two, level=level, by=self.by, shares=shares)
            each = len(one) / len(self.gaps)
            found.append(edits and Foreseen(count=ceil(edits.count / each)))
        return most_of(found) if found else None


def _means(
    asked: CompareCheck, subject: Sequence[Chain], other: Sequence[Chain]
) -> tuple[float, float]:
    """Return the numbers of two methods on one set of edits, each as its mean over seeds."""
    pairs = pair(subject, other, asked.metric, absolute=asked.absolute)
    if pairs.unit == "seeds":
        one, two = (
            [final_number(chain, asked.metric, absolute=asked.absolute) for chain in side]
            for side in (subject, other)
        )
        return fmean(a for a in one if a is not None), fmean(b for b in two if b is not None)
    return fmean(pairs.one), fmean(pairs.two)


def _decide(found: _OverSamples, level: float) -> Decision:
    """Decide by the confidence, for a mean difference that is as required."""
    p = next(iter(found.tests.values()), None)
    if p is not None and p <= level:
        return Decision(outcome="passed")
    if p is None:
        reason = "all samples give the same difference, which does not show how others would vary"
        return Decision.undecided(None, "samples", otherwise=reason)
    never = "no number of such samples decides it"
    return Decision.undecided(found.needs(level), "samples", otherwise=never)


def _by_sample(found: _OverSamples) -> list[str]:
    names = (found.comparison.subject, found.comparison.than)
    return [
        f"  {name} by sample: {', '.join(f'{each:.4g}' for each in numbers)}"
        for name, numbers in zip(names, (found.subject, found.other), strict=True)
    ]


def _described(found: _OverSamples, effect: Interval, level: float) -> str:
    """Write the difference with its interval and its tests."""
    asked = found.comparison
    shown = interval(effect.low, effect.high, level)
    tests = [f"{test} p={p:.2g}" for test, p in found.tests.items()] or ["no p-value"]
    return (
        f"  {asked.subject} - {asked.than}: {effect.value:+.4g} (n={len(found.gaps)} samples, "
        f"{shown}); {'; '.join(tests)}"
    )
