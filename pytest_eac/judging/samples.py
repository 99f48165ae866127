"""A method's checks over several sets of edits: the mean of the sets' means against the limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from pytest_eac.judging.checks import cases_of, judge_one
from pytest_eac.judging.hypotheses import Correction, corrected_fields, rest
from pytest_eac.judging.limits import Case, Decision, Limit, decide_by_p
from pytest_eac.judging.suite import judged_with_corrections
from pytest_eac.records.run import Chain, Pooled
from pytest_eac.spec.schema.checks import AnyBounds, Checks, Stats
from pytest_eac.stats.foreseen import Foreseen, most_of
from pytest_eac.stats.paired import Interval
from pytest_eac.stats.samples import inference, mean_of_samples, needed_samples, p_over_samples


def judge_samples(
    chains: Sequence[Chain], checks: Checks, stats: Stats | None = None, *, suite: int = 0
) -> tuple[Pooled, ...]:
    """Judge a method by its chains on several sets of edits; needs no model.

    The number of a set is the mean over its seeds, and what is held against a limit is the mean
    over the sets. It is the sets that stand for others: with a confidence, the mean of other sets
    must be within the limit as well (:mod:`pytest_eac.stats.samples`).

    Args:
        chains: all of the method: one per set and seed.
        checks: what must hold.
        stats: how p-values are corrected; by default as in a spec that does not say.
        suite: how many p-values the whole run has, if they are corrected over all of it.

    Returns:
        One verdict per check of :func:`pytest_eac.spec.schema.checks.Checks.pooled`.
    """
    judge = partial(_judge_one, chains)
    return judged_with_corrections(checks.pooled(), judge, stats, suite=suite)


_SAME = "all samples give the same number, which does not show how others would vary"


@dataclass(frozen=True, slots=True, kw_only=True)
class _SampledNumber:
    """A number that has a limit, of each set of edits.

    Attributes:
        at: after how many edits.
        limit: that its mean must be within.
        means: one per set, each the mean over seeds; ``None`` where a set has none.
        counts: for shares of edits, how many edits each is of; else ``None``.
    """

    at: int
    limit: Limit
    means: tuple[float | None, ...]
    counts: tuple[int, ...] | None

    @property
    def known(self) -> list[float]:
        return [each for each in self.means if each is not None]

    @property
    def value(self) -> float:
        return round(fmean(self.known), 12)  # a mean that is at its limit is not below it

    @property
    def p(self) -> float | None:
        """The p-value: with two limits the weaker one counts."""
        found = [p_over_samples(*side, counts=self.counts) for side in self._sides()]
        known = [each for each in found if each is not None]
        return max(known) if known and len(known) == len(found) else None

    @property
    def inference(self) -> str:
        return inference(len(self.known), shares=self.counts is not None)

    def interval(self, level: float) -> Interval:
        return mean_of_samples(self.known, counts=self.counts, confidence=level)

    def needs(self, level: float) -> Foreseen | None:
        found = (needed_samples(*s, level=level, counts=self.counts) for s in self._sides())
        return most_of(found)

    def _sides(self) -> list[tuple[list[float], float]]:
        """Return numbers and limit for each end, turned round so that more is better."""
        sides, top = [], 1.0 if self.counts is not None else 0.0
        if self.limit.low is not None:
            sides.append((self.known, self.limit.low))
        if self.limit.high is not None:
            sides.append(([top - each for each in self.known], top - self.limit.high))
        return sides


def _judge_one(
    chains: Sequence[Chain], name: str, bounds: AnyBounds, correction: Correction | None = None
) -> Pooled:
    first, numbers = chains[0], _numbers(chains, name, bounds)
    samples = len({chain.sample for chain in chains})
    seeds = len(chains) // samples
    head = f"{name} of {first.method} over {samples} samples: "
    confidence = getattr(bounds, "confidence", None)
    if not numbers:
        return Pooled(
            check=name,
            outcome="undecided",
            observed=None,
            required="",
            message=head + judge_one(first, name, bounds).message,
            spec=first.spec,
            method=first.method,
            seeds=seeds,
        )
    failed = [each for each in numbers if not each.limit.allows(each.value)]
    shown, p = (failed or numbers)[0 if failed else -1], None
    if confidence is not None:
        weakest = max(numbers, key=lambda each: 2.0 if each.p is None else each.p)
        shown, p = shown if failed else weakest, weakest.p
    decision = Decision(outcome="failed" if failed else "passed")
    if confidence is not None and not failed:
        decision = _decide(shown, p, rest(confidence), correction)
    required = str(shown.limit) + (f" with confidence {confidence:g}" if confidence else "")
    tested = f" (p={p:.2g}{correction or ''})" if p is not None else ""
    found = shown.interval(first.confidence)
    return Pooled(
        check=name,
        outcome=decision.outcome,
        observed=shown.value,
        required=required,
        message=(
            f"{head}{decision.reason}{_in_words(shown, found, first, seeds)}, required "
            f"{required}{tested}\n  by sample: {', '.join(map(_number, shown.means))}"
        ),
        n=len(shown.known),
        low=found.low,
        high=found.high,
        p=p,
        needs=decision.needs,
        spec=first.spec,
        method=first.method,
        seeds=seeds,
        means=shown.means,
        inference=None if found.low is None else shown.inference,
        **corrected_fields(correction, p),
    )


def _numbers(chains: Sequence[Chain], name: str, bounds: AnyBounds) -> list[_SampledNumber]:
    """Put together what the chains have of the same checkpoint and limit."""
    found: dict[tuple[int, str], dict[int, list[Case]]] = {}
    samples = list(dict.fromkeys(chain.sample for chain in chains))
    for chain in chains:
        for case in cases_of(chain, name, bounds):
            of_case = found.setdefault((case.at, str(case.limit)), {each: [] for each in samples})
            of_case[chain.sample] += [case] if case.value is not None else []
    return [_sampled(by_sample) for by_sample in found.values() if any(by_sample.values())]


def _sampled(by_sample: dict[int, list[Case]]) -> _SampledNumber:
    some = next(each[0] for each in by_sample.values() if each)
    known = [each for each in by_sample.values() if each]
    are_shares = some.unit == "edits" and all(case.n for cases in known for case in cases)
    return _SampledNumber(
        at=some.at,
        limit=some.limit,
        means=tuple(
            fmean(case.value or 0.0 for case in cases) if cases else None
            for cases in by_sample.values()
        ),
        counts=tuple(max(case.n or 0 for case in cases) for cases in known) if are_shares else None,
    )


def _decide(
    number: _SampledNumber, p: float | None, level: float, correction: Correction | None
) -> Decision:
    """Decide by the confidence, for a mean that is within its limit."""
    if p is None:
        if len(number.known) < 2:
            return Decision(
                outcome="undecided", reason="undecided: needs 2 samples or more; ", needs=2
            )
        return Decision.undecided(None, "samples", otherwise=_SAME)
    return decide_by_p(p, level, correction, number.needs, "samples")


def _in_words(number: _SampledNumber, found: Interval, chain: Chain, seeds: int) -> str:
    kind = "f" if number.counts is not None else "g"
    shown = number.limit.digits(number.value, kind, 3 if kind == "f" else 4)
    where = f"after {number.at} of {len(chain.edits)} edits"
    if number.at == 0:
        where = "before the first edit"
    size = f"{len(chain.edits)} edits" + (f" and {seeds} seeds" if seeds > 1 else "")
    ends = "no interval"
    if found.low is not None and found.high is not None:
        ends = (
            f"{100 * chain.confidence:g}% interval {found.low:.3g} to {found.high:.3g} by "
            f"{number.inference}"
        )
    return f"{shown} {where} (n={len(number.known)} samples of {size}, {ends})"


def _number(value: float | None) -> str:
    return "nothing to measure" if value is None else f"{value:.4g}"
