"""The record of a run: plain, frozen, serialisable. Checks and reports read nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, TypeVar

from pytest_eac.records.checkpoint_diff import Changes
from pytest_eac.records.diagnostics import Diagnostics
from pytest_eac.strict_json import Count, Level, Number, Share, Size

EDITED = "edited"
"""What stands for the names of a method and a chain where a released model is measured."""

SAMPLES = "-samples"
"""How a node ends that is of several chains of a method; a chain's ends in a number."""

Excluded = Literal["already held", "target is truth"]
Converted = TypeVar("Converted")


def converted(kind: type[Converted], value: Any, **others: Any) -> Converted:
    """Return a value as another dataclass, of whose fields it has all but ``others``."""
    names = [each.name for each in fields(kind) if each.name not in others]  # type: ignore[arg-type]
    return kind(**{name: getattr(value, name) for name in names}, **others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A prompt whose answer was not as asked; its texts are the edit's (``EditRecord.asked``).

    Attributes:
        edit: which edit it belongs to, counted from 0.
        group: the group of probes that it is of; ``prompt`` for the edit's own prompt, asked for
            the target, and ``truth`` for the same, asked for the truth.
        index: which prompt of the group it is, counted from 0.
        before: what the unedited model wrote, where the answer was to stay as it was.
        got: what the model wrote.
        score: how much of the answer was right.
    """

    edit: Count
    group: str
    index: Count = 0
    before: str | None = None
    got: str
    score: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A mean of per-edit scores, each between 0 and 1, or one number for the model as a whole.

    Attributes:
        value: the mean over edits; ``None`` when no edit has anything to measure.
        n: the number of edits in the mean; 0 for a number of the model as a whole.
        low: lower end of the interval.
        high: upper end of the interval.
        scores: one score per edit so far, ``None`` where an edit has nothing to measure or a later
            edit has overwritten it.
        misses: every prompt that did not score in full.
    """

    value: Number | None
    n: Count
    low: Number | None
    high: Number | None
    scores: tuple[Share | None, ...]
    misses: tuple[Miss, ...]

    @property
    def is_number(self) -> bool:
        """Whether it is one number for the model as a whole."""
        return self.value is not None and not self.scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Norms:
    """How far weights are from the original ones: ``||W_t - W_0||``, plain and over ``||W_0||``."""

    l1: Size
    l1_relative: Size
    frobenius: Size
    frobenius_relative: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation(Norms):
    """Deviation over all edited matrices taken as one, and for each by its name.

    A matrix is edited if at least one entry has changed; ``by_parameter`` has no others.
    """

    by_parameter: dict[str, Norms]

    @property
    def whole(self) -> Norms:
        """That of all matrices together, alone."""
        return converted(Norms, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What a model can do apart from the edited facts, held against the unedited model.

    Attributes:
        value: the mean of the scores; for ``perplexity`` the perplexity.
        low: lower end of the interval of ``value``; ``None`` where there is none.
        high: its upper end.
        base: the unedited model's ``value``.
        kept: the share of ``base`` that is left, above 1 for a better model; ``None`` if ``base``
            is 0.
        kept_low: lower end of the interval of ``kept``; ``None`` where the unedited scores are too
            near to 0 for one, or all items have kept the same share.
        kept_high: its upper end.
        n: the number of items.
        unparsable: how many answers had nothing in them that could be scored; they score 0.
        chance: the score of guessing; ``None`` where guessing is no option.
        majority: the score of the one answer that is right most often; ``None`` likewise.
        signal: whether ``base`` is above what chance and majority make, at 95 %.
        scores: one per item, the higher the better; for ``perplexity``, the mean log-likelihood of
            its tokens.
        about: further numbers by name.
        template: the prompt's name and version, or what the spec has in its place; ``None`` where
            nothing is asked.
        data: where the items are from; ``None`` for the abilities of other packages.
        sha256: of the items; ``None`` likewise.
    """

    value: Number
    low: Number | None
    high: Number | None
    base: Number
    kept: Number | None
    kept_low: Number | None
    kept_high: Number | None
    n: Count
    unparsable: Count
    chance: Share | None
    majority: Share | None
    signal: bool
    scores: tuple[Number, ...]
    about: dict[str, Number]
    template: str | None
    data: str | None
    sha256: str | None

    @property
    def floor(self) -> float:
        """What a model scores that understands nothing."""
        return max(self.chance or 0.0, self.majority or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What was measured after ``at`` edits.

    ``metrics`` are the built-in ones, and those of other packages that the spec asks for;
    ``abilities`` are those that the spec asks for here.
    """

    at: Count
    metrics: dict[str, Measurement]
    deviation: Deviation
    abilities: dict[str, Ability] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePrompt:
    """A prompt that is asked besides an edit's own.

    Attributes:
        prompt: the prompt.
        answer: its true answer; ``None`` where the edit's target, or the unedited model's own
            answer, is expected.
    """

    prompt: str
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTexts:
    """The texts of an edit.

    Attributes:
        subject: who or what it is about.
        start: where the subject starts in the prompt, in code points.
        prompt: the fact up to its object.
        target: the new object.
        truth: the object before the edit, if known.
        probes: the other prompts, by their group: ``generalization`` has the paraphrases,
            ``locality`` the neighborhood.
    """

    subject: str
    start: Count
    prompt: str
    target: str
    truth: str | None
    probes: dict[str, tuple[ProbePrompt, ...]]

    @classmethod
    def of(cls, texts: Mapping[str, Any]) -> EditTexts:
        """Return the texts that ``pytest_eac.spec.edits.Edit.texts`` has."""
        probes = {
            group: tuple(ProbePrompt(**each) for each in prompts)
            for group, prompts in texts["probes"].items()
        }
        return cls(**{**texts, "probes": probes})

    def prompts(self, group: str) -> tuple[str, ...]:
        """Return the prompts that a miss may be of, by its group."""
        if group == "prompt" or (group == "truth" and self.truth is not None):
            return (self.prompt,)
        return tuple(each.prompt for each in self.probes.get(group, ()))

    @property
    def sha256(self) -> str:
        """SHA-256 of the texts as JSON: keys sorted, no white space, ASCII."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()


def stand_in(origin: str, why: str = "text not stored") -> EditTexts:
    """Return what reports show of an edit whose texts are not at hand."""
    name = f"edit at {PurePath(origin).name}, {why}"
    return EditTexts(subject=name, start=0, prompt=name, target=why, truth=None, probes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRecord:
    """An edit of a chain.

    Attributes:
        texts: its texts, or what reports show in their place.
        absent: SHA-256 of the texts, where they are not at hand.
        origin: the file and line that it was written in.
        space: whether a space was to be put before its answers: always, never or auto.
        spaced: whether there is one between the prompt and the target, as ``space`` has decided.
        superseded_by: the later edit that overwrites it, counted from 0.
        excluded: why it does not count in efficacy, retention and generalization: the unedited
            model already gives the target (``already held``), or the target is the truth and is
            scored against it (``target is truth``); ``None`` for an edit that counts.
    """

    texts: EditTexts
    absent: str | None = None
    origin: str
    space: str = "auto"
    spaced: bool = True
    superseded_by: Count | None = None
    excluded: Excluded | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the texts."""
        return self.absent or self.texts.sha256

    def asked(self, miss: Miss) -> tuple[str, str]:
        """Return the prompt of a miss, and the answer that was expected."""
        texts = self.texts
        prompt = texts.prompt if self.absent else texts.prompts(miss.group)[miss.index]
        if miss.before is not None:
            return prompt, miss.before
        return prompt, (texts.truth if miss.group == "truth" else None) or texts.target


@dataclass(frozen=True, slots=True, kw_only=True)
class EditCost:
    """How an edit went.

    Attributes:
        seconds: wall time of the edit, measuring excluded; in a batch, its share of the batch's.
        peak_bytes: the process's peak resident memory during the edit (in a batch, during the
            whole batch); on a GPU, the peak of the memory allocated there; ``None`` where the
            platform does not report it.
        steps: optimisation steps in each stage; empty for methods that take none.
        loss: the loss at the last step; ``None`` for methods that have none.
        reached: whether the search for the value came to its stopping point; ``None`` for methods
            that solve for no value.
        anchors: the dimensions that carry the edit; ``None`` for editors without anchors.
        delta_norm: Frobenius norm of the change of the weights (in a batch, of the whole batch's).
        deviation: how far the edited matrices are from the original ones after the edit (in a
            batch, after its batch).
        swallowed: share of the entries meant to move that rounding left where they were.
        score: efficacy right after the edit, also of an edit that does not count.
        cached: whether the edit was taken from the cache; what it cost is then what it cost when it
            was solved.
        diagnostics: how well its problem was posed, and whether its value was met; ``None`` for
            methods that solve for no value, and for those that do not say.
    """

    seconds: Size
    peak_bytes: Count | None
    steps: tuple[Count, ...]
    loss: Number | None
    reached: bool | None
    anchors: tuple[Count, ...] | None
    delta_norm: Size
    deviation: Norms
    swallowed: Share
    score: Share | None
    cached: bool = False
    diagnostics: Diagnostics | None = None


class ChainKey(NamedTuple):
    """What identifies a chain in a record.

    Attributes:
        spec: the spec's file.
        method: the method's name in it.
        seed: the chain's.
        sample: which of the sets of edits that were drawn from a source; 0 for the only one.
    """

    spec: str
    method: str
    seed: int
    sample: int = 0

    @property
    def name(self) -> str:
        """The chain's name in node ids: ``rome-eac-s0``, ``rome-eac-s0-e1``."""
        return f"{self.method}-s{self.seed}" + (f"-e{self.sample}" if self.sample else "")


def samples_id(method: str) -> str:
    """Name what is judged of a method over several sets of edits: ``rome-eac-samples``."""
    return f"{method}{SAMPLES}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """Which model it was.

    ``fingerprint`` is a SHA-256 over the weights; ``shape`` has the configuration values that
    presets go by.
    """

    id: str
    revision: str | None
    fingerprint: str
    architecture: str
    dtype: str
    device: str
    attention: str
    shape: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CovarianceRecord:
    """What the second moments of a method's layers were measured on."""

    corpus: str
    corpus_sha256: str
    tokens: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRun:
    """What came of the edits in another order, at its end.

    Attributes:
        order: the edits by their number, counted from 1; ``-k`` takes edit ``k`` back.
        solved: how many of them had to be solved; the others were at hand.
        metrics: the value of each, as at a checkpoint; ``None`` where there was nothing to measure.
        deviation: L1, relative.
    """

    order: tuple[int, ...]
    solved: Count
    metrics: dict[str, Number | None]
    deviation: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedOrders:
    """Which orders of a chain's edits a verdict rests on; the written one is not counted.

    Attributes:
        uniform: how many were drawn uniformly, each order as likely as any other.
        every: whether these are all orders that there are.
        broke: how many of these break what must hold.
        searched: how many orders were tried besides, by the search for one that breaks it.
        simplifying: how many were tried to simplify one that breaks it.
        at_most: upper bound of the share of all orders that break it, one-sided, at the chain's
            ``confidence``, by those drawn uniformly (Clopper and Pearson); ``None`` where none were
            drawn, or one of them leaves it undecided.
        simplest: the simplest order that breaks it, if one was found.
        worst: the order that breaks it most, or comes nearest to it.
    """

    uniform: Count
    every: bool
    broke: Count
    searched: Count
    simplifying: Count
    at_most: Share | None
    simplest: tuple[int, ...] | None
    worst: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check says: ``passed``, ``failed``, or ``undecided`` when the data cannot say.

    Attributes:
        check: the check's name.
        outcome: what it says.
        observed: the number that was held against the limit.
        required: the limit in words.
        message: all of it in words.
        n: how many edits (items, samples) ``observed`` is the mean of; ``None`` where it is none.
        low: lower end of the interval of ``observed``, in a comparison of the difference.
        high: its upper end.
        p: the p-value, where a confidence is asked for.
        p_adjusted: the same, corrected.
        correction: by what: ``holm``, ``bh``, or ``none``.
        corrected_over: of how many checks' p-values ``p`` is one.
        needs: about how many edits (items, samples) would decide what is undecided.
        orders: the orders of the edits that it rests on; ``None`` where it rests on the written one
            alone, and in files from before they were recorded.
    """

    check: str
    outcome: str
    observed: Number | None
    required: str
    message: str
    n: Count | None = None
    low: Number | None = None
    high: Number | None = None
    p: Share | None = None
    p_adjusted: Share | None = None
    correction: str | None = None
    corrected_over: Count | None = None
    needs: Count | None = None
    orders: TriedOrders | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Verdict):
    """What a check between two methods of a spec says.

    Attributes:
        spec: the spec file.
        effect: mean difference over edits (items, seeds) of the two methods' numbers.
        gained: how many the one has right and the other has not; ``None`` where there is more than
            right and wrong.
        lost: the other way round.
        tests: p-values by the test's name; the first is ``p``.
        samples: over how many sets of edits, where there are several; ``n`` is then their number.
    """

    spec: str
    effect: Number | None = None
    gained: Count | None = None
    lost: Count | None = None
    tests: dict[str, Share] = field(default_factory=dict)
    samples: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled(Verdict):
    """What a check says of a method over several sets of edits; ``n`` is how many sets.

    Attributes:
        spec: the spec file.
        method: the method's name in it.
        seeds: how many chains the number of each set is the mean of.
        means: the number of each set, in their order; ``None`` where it has none.
        inference: what interval and p-value come from; ``None`` where there are none.
    """

    spec: str
    method: str
    seeds: Count
    means: tuple[Number | None, ...] = ()
    inference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainResults:
    """All of a chain but its model and its edits, which chains share.

    Attributes:
        spec: the spec's file.
        method: the method's name in it.
        seed: the chain's.
        sample: which of the sets of edits that were drawn from a source; 0 for the only one.
        scoring: how answers are scored.
        hyperparameters: all of them.
        contexts: the templates that the edits were solved in.
        known: how many of the truths the unedited model gives.
        checkpoints: what was measured, in the order of the edits.
        per_edit: how each edit went.
        seconds: wall time of the chain.
        covariance: what the layers' second moments were measured on, if the method has any.
        before: what the unedited model writes after each edit's prompt.
        abilities: the unedited model's.
        asked: how the spec has them asked.
        batch: the number of edits of an update.
        cached_measurements: how many were measured, sampled or asked in an earlier run.
        confidence: the level of all intervals in it.
        orders: those tried besides the written one.
        verdicts: what the checks said.
        notes: what to know before comparing its numbers with others, a sentence each.
    """

    spec: str
    method: str
    seed: Count
    sample: Count = 0
    scoring: str
    hyperparameters: dict[str, Any]
    contexts: tuple[str, ...]
    known: Measurement
    checkpoints: tuple[Checkpoint, ...]
    per_edit: tuple[EditCost, ...]
    seconds: Size
    covariance: CovarianceRecord | None = None
    before: tuple[str, ...] = ()
    abilities: dict[str, Ability] = field(default_factory=dict)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch: Count = 1
    cached_measurements: Count = 0
    confidence: Level = 0.95
    orders: tuple[OrderRun, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(ChainResults):
    """One method with one seed, from the unedited model to the last edit.

    ``released`` is a model that somebody else has edited: then nothing was edited here, and there
    is one checkpoint, after all edits.
    """

    model: ModelRecord
    edits: tuple[EditRecord, ...]
    released: ModelRecord | None = None

    @property
    def name(self) -> str:
        """The chain's name in node ids: ``rome-eac-s0``; ``edited`` for a released model."""
        return self.method if self.released else self.key.name

    @property
    def key(self) -> ChainKey:
        """What identifies the chain in its record."""
        return ChainKey(self.spec, self.method, self.seed, self.sample)

    def measured(self, metric: str) -> Measurement | None:
        """Return a metric at the end, if it was measured; ``deviation`` has its own field."""
        if metric == "known":
            return self.known
        return self.checkpoints[-1].metrics.get(metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A chain that an error stopped: it is not judged, not compared, and no baseline.

    Attributes:
        chain: what was recorded up to there: ``edits`` are all that were asked for, ``per_edit``
            and ``checkpoints`` those that were made and measured.
        error: the kind of error, such as ``NonFiniteError``.
        reason: its text.
    """

    chain: Chain
    error: str
    reason: str

    @property
    def brief(self) -> str:
        """How far it got, for places that show the error itself nearby."""
        made, count = len(self.chain.per_edit), len(self.chain.edits)
        return f"{self.chain.name}: stopped after {made} of {count} edits by {self.error}"

    def __str__(self) -> str:
        return f"{self.brief}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A released checkpoint held against its base, for the edits of one spec.

    Attributes:
        spec: the spec's file.
        base: id of the base.
        edited: what the release was given as.
        changes: what differs.
        manifest: whether it has an ``edit-manifest.json``.
        broken_promises: where its manifest says other than is found, a line each.
        signature: what is wrong with its signature, a line each; empty if none is asked for.
        verdict: what the check ``changed`` says.
    """

    spec: str
    base: str
    edited: str
    changes: Changes
    manifest: bool
    broken_promises: tuple[str, ...] = ()
    signature: tuple[str, ...] = ()
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What runs have measured; ``chains`` are those that ran to their end."""

    environment: dict[str, str]
    chains: tuple[Chain, ...]
    comparisons: tuple[Comparison, ...] = ()
    releases: tuple[Release, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    pooled: tuple[Pooled, ...] = ()

    def changed(self, change: Callable[[Chain], Chain]) -> Record:
        """Return the same with a change of every chain."""
        stopped = (replace(each, chain=change(each.chain)) for each in self.unfinished)
        return replace(self, chains=tuple(map(change, self.chains)), unfinished=tuple(stopped))
