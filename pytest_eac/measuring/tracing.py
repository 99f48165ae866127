"""Where a model keeps a spec's facts: causal tracing.

A fact's subject is corrupted with noise, so that the answer is lost; then one part of the clean
run is restored at the subject's last token. How much of the answer's probability returns is the
part's *indirect effect*. ``docs/locate.md`` defines every number.

Source: Meng et al. (2022), section 2, and ``experiments/causal_trace.py`` of the authors' code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import count
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from pytest_eac.cache.entries import Cache, Entry, digest
from pytest_eac.cache.kinds import TRACINGS
from pytest_eac.errors import EditError, ModelError
from pytest_eac.lm.forward.generate import sample
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.tokens import Located, decode, encode
from pytest_eac.measuring.fact_run import FactRun, KnownFact
from pytest_eac.measuring.time_left import StepProgress
from pytest_eac.records.json_files import to_json
from pytest_eac.records.tracing import (
    Effect,
    LayerEffect,
    SkippedFact,
    TracedFact,
    Tracing,
    tracing_from_json,
)
from pytest_eac.scoring.answers import force
from pytest_eac.spec.edits import Edit, question
from pytest_eac.stats.intervals import student_between
from pytest_eac.text.spacing import Continuation

# Part of the cache's key: raise it with every change that moves a number.
VERSION = 2
# Both as in the authors' code.
SAMPLES = 10
NOISE = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What of :func:`trace`'s arguments a tracing depends on, apart from model and facts."""

    seed: int
    samples: int
    noise: float
    window: int


def default_window(depth: int) -> int:
    """Return how many layers' MLPs to put back together: the authors' 10 of 48, to scale."""
    return max(1, round(depth / 5))


def trace(
    loaded: LoadedModel,
    edits: Sequence[Edit],
    *,
    seed: int = 0,
    samples: int = SAMPLES,
    noise: float = NOISE,
    window: int | None = None,
    cache: Cache | None = None,
    progress: StepProgress | None = None,
) -> Tracing:
    """Trace the facts that edits are about, on the model before any edit.

    A fact takes part if the model gives its truth under teacher forcing. Where an edit has no
    truth, the likeliest next token is the answer, as in the authors' code.

    Args:
        loaded: the unedited model; it is left as it is.
        edits: the facts; their targets play no part.
        seed: of the noise.
        samples: how many times to run each fact with different noise.
        noise: the noise's standard deviation, as a multiple of that of the subjects' embeddings.
        window: how many layers' MLP outputs to put back together; by default a fifth of them.
        cache: where results are kept; by default the user's cache folder.
        progress: called with (layers done, layers in all), both over all facts; never called
            if the result is cached.

    Raises:
        EditError: the model knows none of the facts, or a subject has no tokens of its own.
        ModelError: the model has one layer only.
        NonFiniteError: a logit is NaN or infinite.
    """
    depth = int(loaded.shape["num_hidden_layers"])
    window = window or default_window(depth)
    if depth < 2:
        raise ModelError(f"{loaded.id}: found one layer, expected at least two to choose from")
    settings = _Settings(seed=seed, samples=samples, noise=noise, window=window)
    key = {
        "version": VERSION,
        "weights": loaded.fingerprint,
        "facts": [(edit.subject, edit.start, edit.prompt, _truth(edit)) for edit in edits],
        "settings": astuple(settings),
    }
    cache = cache or Cache()
    found = _read(cache, key)
    if found is None:
        with cache.working(TRACINGS, f"{digest(key)[:2]}-"):  # another run may be tracing the same
            found = _read(cache, key)
            if found is None:
                found = _trace(loaded, edits, settings, progress or (lambda *_: None))
                cache.write(TRACINGS, key, Entry(data=to_json(found)))
    return found


def _read(cache: Cache, key: Mapping[str, Any]) -> Tracing | None:
    """Return a tracing that is kept, unless another version wrote it in another form."""
    kept = cache.read(TRACINGS, key)
    try:
        return tracing_from_json(kept.data) if kept else None
    except ValueError:
        return None


@torch.no_grad()
def _trace(
    loaded: LoadedModel, edits: Sequence[Edit], settings: _Settings, progress: StepProgress
) -> Tracing:
    facts, skipped = _known_facts(loaded, edits)
    if not facts:
        raise EditError(_nothing_known(loaded, skipped))
    std = _embedding_std(loaded, edits)
    depth = int(loaded.shape["num_hidden_layers"])
    generator = torch.Generator().manual_seed(settings.seed)
    done = count(1)
    effects = []
    for fact in facts:
        size = (settings.samples, len(fact.subject), int(loaded.shape["hidden_size"]))
        noise = settings.noise * std * torch.randn(size, generator=generator)
        run = FactRun(loaded, fact, noise)
        effects.append(
            run.effects(settings.window, lambda: progress(next(done), len(facts) * depth))
        )
    return Tracing(
        fingerprint=loaded.fingerprint,
        facts=tuple(
            TracedFact(
                edit=fact.edit,
                prompt=edits[fact.edit].prompt,
                subject=edits[fact.edit].subject,
                answer=fact.text,
                own=fact.own,
                clean=each.clean,
                corrupted=each.corrupted,
                mlp=each.mlp,
            )
            for fact, each in zip(facts, effects, strict=True)
        ),
        skipped=tuple(skipped),
        layers=tuple(
            LayerEffect(
                layer=layer,
                mlp=_mean([each.mlp[layer] for each in effects]),
                state=_mean([each.state[layer] for each in effects]),
            )
            for layer in range(depth)
        ),
        embedding_std=std,
        **asdict(settings),
    )


def _mean(values: Sequence[float]) -> Effect:
    """Return the mean of differences of two probabilities, with its interval."""
    low, high = student_between(values) or (None, None)
    return Effect(value=fmean(values), low=low, high=high)


def _known_facts(
    loaded: LoadedModel, edits: Sequence[Edit]
) -> tuple[list[KnownFact], list[SkippedFact]]:
    """Ask the model for every fact; return those that can be traced, and those that cannot."""
    tokenizer = loaded.tokenizer
    prompts = [encode(tokenizer, edit.prompt) for edit in edits]
    truths = [(index, truth) for index, edit in enumerate(edits) if (truth := _truth(edit))]
    forced = force(loaded, [(edits[index].prompt, truth) for index, truth in truths])
    answers = {
        index: (each.wanted, each.predicted)
        for (index, _), each in zip(truths, forced, strict=True)
    }
    rest = [index for index in range(len(edits)) if index not in answers]
    if rest:
        own = sample(loaded, [prompts[index] for index in rest], tokens=1)
        answers |= {index: (ids, ids) for index, ids in zip(rest, own, strict=True)}
    facts: list[KnownFact] = []
    skipped: list[SkippedFact] = []
    first: dict[str, int] = {}
    for index, edit in enumerate(edits):
        answer, predicted = answers[index]
        text = edit.truth or decode(tokenizer, answer).strip()
        reason = None
        if predicted != answer:
            said = decode(tokenizer, predicted).strip()
            reason = f"the model says {said!r}, not {text!r}"
        elif answer[0] in loaded.stop_ids:
            reason = "the model ends the text instead of answering"
        elif question(edit.prompt) in first:
            reason = f"asks the same as edit {first[question(edit.prompt)] + 1}"
        if reason is not None:
            skipped.append(SkippedFact(edit=index, prompt=edit.prompt, reason=reason))
            continue
        first[question(edit.prompt)] = index
        facts.append(
            KnownFact(
                edit=index,
                own=edit.truth is None,
                text=text,
                answer=answer,
                row=(*prompts[index], *answer[:-1]),
                subject=Located.encode(tokenizer, edit.prompt).tokens_of(edit.subject_place),
            )
        )
    return facts, skipped


def _truth(edit: Edit) -> Continuation | None:
    """Return the truth as it follows the prompt."""
    return None if edit.truth is None else edit.after(edit.prompt, edit.truth)


def _nothing_known(loaded: LoadedModel, skipped: Sequence[SkippedFact]) -> str:
    shown = [f"\n  {each.prompt!r}: {each.reason}" for each in skipped[:3]]
    more = [f"\n  and {len(skipped) - 3} more"] if len(skipped) > 3 else []
    return (
        f"{loaded.id} knows none of the facts (asked: {len(skipped)}), so there is nothing to "
        "trace; give facts that it knows, each truth as the model says it, or leave truth out to "
        f"trace the model's own answer{''.join((*shown, *more))}"
    )


def _embedding_std(loaded: LoadedModel, edits: Sequence[Edit]) -> float:
    """Return the standard deviation of all entries of the embeddings of all subjects' tokens."""
    ids = []
    for edit in edits:
        row = Located.encode(loaded.tokenizer, edit.prompt)
        ids += [row.ids[place] for place in row.tokens_of(edit.subject_place)]
    table: Tensor = loaded.model.get_input_embeddings().weight
    return float(table[torch.tensor(ids, device=table.device)].float().std())
