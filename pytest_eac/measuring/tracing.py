"""Where a model keeps a spec's facts: causal tracing.

A fact's subject is drowned in noise, so that the answer is lost; then one part of the clean run is
put back at the subject's last token. How much of the answer's probability returns is the part's
*indirect effect*. ``docs/locate.md`` defines every number.

Source: Meng et al. (2022), section 2, and ``experiments/causal_trace.py`` of the authors' code.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from pytest_eac.cache.entries import Cache, Entry, digest
from pytest_eac.cache.kinds import TRACINGS
from pytest_eac.errors import EditError, ModelError, NonFiniteError
from pytest_eac.lm.forward.generate import sample
from pytest_eac.lm.forward.hooks import capture, patch
from pytest_eac.lm.forward.tail import FullWindow, open_windows
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.tokens import Located, decode, encode
from pytest_eac.records.json_files import to_json
from pytest_eac.records.tracing import (
    Effect,
    LayerEffect,
    SkippedFact,
    TracedFact,
    Tracing,
    layers_around,
    tracing_from_json,
)
from pytest_eac.scoring.answers import force
from pytest_eac.spec.edits import question
from pytest_eac.stats.intervals import student_between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from pytest_eac.lm.forward.shared_prefixes import Ids
    from pytest_eac.lm.forward.tail import Window
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.measuring.time_left import StepProgress
    from pytest_eac.spec.edits import Edit
    from pytest_eac.text.spacing import Continuation

# Part of the cache's key: raise it with every change that moves a number.
VERSION = 2
# Both as in the authors' code.
SAMPLES = 10
NOISE = 3.0
# Restorations of a layer that share a batch: MLP outputs, and the layer's whole output.
_KINDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownFact:
    """A fact that the model knows.

    Attributes:
        edit: which edit it belongs to.
        own: whether the answer is the model's own.
        text: the answer's text.
        answer: the answer's ids.
        row: the prompt's ids, followed by the answer's but the last.
        subject: the indices of the subject's tokens.
    """

    edit: int
    own: bool
    text: str
    answer: Ids
    row: Ids
    subject: range


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effects:
    """One fact's probabilities: clean, corrupted, and what each layer brings back of it."""

    clean: float
    corrupted: float
    mlp: tuple[float, ...]
    state: tuple[float, ...]


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
            where the result is at hand already.

    Raises:
        EditError: the model knows none of the facts, or a subject has no tokens of its own.
        ModelError: the model has one layer only.
        NonFiniteError: a logit is NaN or infinite.
    """
    depth = int(loaded.shape["num_hidden_layers"])
    window = window or default_window(depth)
    if depth < 2:
        raise ModelError(f"{loaded.id}: found one layer, expected at least two to choose from")
    key = {
        "version": VERSION,
        "weights": loaded.fingerprint,
        "facts": [(edit.subject, edit.start, edit.prompt, _truth(edit)) for edit in edits],
        "settings": [seed, samples, noise, window],
    }
    cache = cache or Cache()
    found = _read(cache, key)
    if found is None:
        with cache.working(TRACINGS, f"{digest(key)[:2]}-"):  # another run may be tracing the same
            found = _read(cache, key)
            if found is None:
                found = _trace(
                    loaded,
                    edits,
                    seed=seed,
                    samples=samples,
                    noise=noise,
                    window=window,
                    progress=progress or (lambda *_: None),
                )
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
    loaded: LoadedModel,
    edits: Sequence[Edit],
    *,
    seed: int,
    samples: int,
    noise: float,
    window: int,
    progress: StepProgress,
) -> Tracing:
    facts, skipped = _known_facts(loaded, edits)
    if not facts:
        raise EditError(_nothing_known(loaded, skipped))
    std = _embedding_std(loaded, edits)
    depth = int(loaded.shape["num_hidden_layers"])
    generator = torch.Generator().manual_seed(seed)
    effects: list[_Effects] = []
    for fact in facts:
        size = (samples, len(fact.subject), int(loaded.shape["hidden_size"]))
        run = _FactRun(loaded, fact, noise * std * torch.randn(size, generator=generator))
        done, total = len(effects) * depth, len(facts) * depth
        effects.append(run.effects(window, partial(_tell, progress, done, total)))
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
        window=window,
        samples=samples,
        noise=noise,
        embedding_std=std,
        seed=seed,
    )


def _tell(progress: StepProgress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _mean(values: Sequence[float]) -> Effect:
    """Return the mean of differences of two probabilities, with its interval."""
    low, high = student_between(values) or (None, None)
    return Effect(value=fmean(values), low=low, high=high)


def _known_facts(
    loaded: LoadedModel, edits: Sequence[Edit]
) -> tuple[list[_KnownFact], list[SkippedFact]]:
    """Ask the model for every fact; tell those that can be traced from those that cannot."""
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
    facts: list[_KnownFact] = []
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
            _KnownFact(
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


class _FactRun:
    """One fact's runs, all noise samples in one batch.

    Rows have one length, so a place counted from the end is the same in a whole row and in a tail.
    """

    def __init__(self, loaded: LoadedModel, fact: _KnownFact, noise: Tensor) -> None:
        """Prepare the runs; ``noise`` is (samples, tokens of the subject, width)."""
        self._loaded = loaded
        self._fact = fact
        self._depth = int(loaded.shape["num_hidden_layers"])
        self._last = fact.subject[-1] - len(fact.row)
        self._answer = torch.tensor(fact.answer, device=loaded.device)
        self._noise = torch.zeros(len(noise), len(fact.row), noise.shape[-1])
        self._noise[:, fact.subject.start : fact.subject.stop] = noise
        self._noise = self._noise.to(loaded.device, loaded.dtype)

    def effects(self, window: int, progress: Callable[[int], None]) -> _Effects:
        """Run everything, one layer's restorations in one batch."""
        layers = range(self._depth)
        layout = self._loaded.layout
        mlps = [layout.down.format(layer) for layer in layers]
        states = [layout.layer.format(layer) for layer in layers]
        clean, values = self._clean((*mlps, *states))
        samples = len(self._noise)
        rows = [self._fact.row] * (_KINDS * samples)
        starts = [self._fact.subject[-1]] * len(rows)
        noise = self._noise.repeat(_KINDS, 1, 1)
        embedding = self._loaded.model.get_input_embeddings()
        found = []
        # A tail takes its first layer's input from the noisy pass, whatever its embeddings are.
        with patch(embedding, lambda output: output + noise[:, -output.shape[1] :]):
            windows = open_windows(self._loaded, rows, starts, layers=layers)
            corrupted = self._probabilities(windows[self._depth - 1])[:samples].mean()
            for layer in layers:
                span = layers_around(layer, window=window, depth=self._depth)
                put_back = ([mlps[each] for each in span], [states[layer]])
                with ExitStack() as stack:
                    for kind, paths in enumerate(put_back):
                        where = slice(kind * samples, (kind + 1) * samples)
                        for path in paths:
                            put = partial(_put, rows=where, place=self._last, value=values[path])
                            stack.enter_context(patch(find_module(self._loaded.model, path), put))
                    restored = self._probabilities(windows[span[0]]).view(_KINDS, samples)
                found.append(restored.mean(dim=1) - corrupted)
                progress(layer + 1)
        mlp, state = torch.stack(found, dim=1).tolist()
        return _Effects(clean=clean, corrupted=float(corrupted), mlp=tuple(mlp), state=tuple(state))

    def _clean(self, paths: Sequence[str]) -> tuple[float, dict[str, Tensor]]:
        """Return the answer's probability, and what modules give at the subject's last token."""
        with ExitStack() as stack:
            seen = {
                path: stack.enter_context(capture(find_module(self._loaded.model, path)))
                for path in paths
            }
            clean = self._probabilities(FullWindow(self._loaded, [self._fact.row]))
        return float(clean), {path: each.output[0, self._last] for path, each in seen.items()}

    def _probabilities(self, window: Window) -> Tensor:
        """Return each row's probability of the whole answer, under teacher forcing."""
        length = len(self._fact.row)
        places = torch.arange(length - len(self._answer), length, device=self._loaded.device)
        rows = torch.arange(len(window.offset), device=self._loaded.device)
        logits = window.logits(rows.repeat_interleave(len(places)), places.repeat(len(rows)))
        logits = logits.float().unflatten(0, (len(rows), -1))
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteError("the model's logits are not finite while a fact is traced")
        likely = logits.log_softmax(dim=-1)[:, torch.arange(len(self._answer)), self._answer]
        probabilities: Tensor = likely.sum(dim=1).exp()
        return probabilities


def _put(output: Tensor, *, rows: slice, place: int, value: Tensor) -> Tensor:
    changed = output.clone()
    changed[rows, place] = value
    return changed
