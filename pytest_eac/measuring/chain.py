"""One chain: edit, measure, edit, measure, ... and a record of it all."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from math import sqrt
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from pytest_eac.abilities.measure import Abilities
from pytest_eac.cache.entries import Cache
from pytest_eac.cache.kinds import MEASUREMENTS
from pytest_eac.editing.contexts import make_contexts
from pytest_eac.editing.controls import edit_at_random
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.interface import Work
from pytest_eac.editing.recipes import edited_modules
from pytest_eac.editing.sequence import Step, edit_in_sequence, unchanged_by
from pytest_eac.errors import SpoiledModelError
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.lm.weights import restored
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.measuring.feasibility import require_possible, require_room
from pytest_eac.measuring.metrics import Point, find_metrics
from pytest_eac.measuring.recall import Recall
from pytest_eac.measuring.time_left import Pace
from pytest_eac.measuring.tracing import trace
from pytest_eac.records.run import (
    Chain,
    Checkpoint,
    CovarianceRecord,
    EditCost,
    Miss,
    ModelRecord,
    Norms,
    Unfinished,
)
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.methods import BUILT_IN, find_method

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.editing.covariance import Moment
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.metrics import Metric
    from pytest_eac.spec.schema.settings import MethodSettings
    from pytest_eac.spec.spec import Spec, SpecMethod

# How many layers ``layers: auto`` gives to methods that share an edit out: MEMIT's number.
AUTO_LAYERS = 5

Progress = Callable[[int, int, str], None]


def run_chain(
    loaded: LoadedModel,
    spec: Spec,
    method: SpecMethod,
    *,
    seed: int = 0,
    recall: Recall | None = None,
    abilities: Abilities | None = None,
    progress: Progress | None = None,
    cache_dir: Path | None = None,
    cache: Cache | None = None,
    metrics: Sequence[Metric] | None = None,
    watch: Callable[[Step], None] | None = None,
    stopped: Callable[[Unfinished], None] | None = None,
) -> Chain:
    """Edit a model step by step, measure it at the spec's checkpoints, and restore it.

    Args:
        loaded: the unedited model; it is unedited again afterwards, also when this raises.
        spec: the facts, the checkpoints and the scoring.
        method: one of the spec's methods.
        seed: of the contexts that are sampled.
        recall: the unedited model's answers to this spec, if they are known already; the caller has
            then checked that the edits can be made (:mod:`pytest_eac.measuring.feasibility`).
        abilities: the unedited model's abilities that this spec asks for, likewise.
        progress: called with (edits done, edits in all, what is being done).
        metrics: further metrics; by default those that the spec's checks name.
        cache_dir: where statistics of the unedited model are kept; by default the user's cache.
        cache: where solved edits and measurements are looked up and kept; by default nowhere. What
            is found there stands for the model as it was loaded: leave its weights alone.
        watch: called with each update while the model has it; it must change nothing.
        stopped: called with what was recorded so far if an error stops the chain while it edits;
            the error is still raised.

    Raises:
        SettingsError: the method lacks a hyperparameter for this model.
        EditError: an edit cannot be made; one error for all such edits where that is known before
            the first edit.
        DataError: the items of an ability cannot be read.
        UnavailableError: they are not on this machine.
        ModelError: a file that the model was loaded from has changed since.
        NonFiniteError: a loss, weight or logit is NaN or infinite.
        SpoiledModelError: a method, metric or ability has left the model, its tokenizer or the
            process changed: load the model again.
    """
    start = perf_counter()
    loaded.require_files()
    found_before = cache.hits[MEASUREMENTS] if cache else 0
    tell = progress or (lambda *_: None)
    count = len(spec.edits)
    model_record = describe_model(loaded)
    if metrics is None:
        metrics = find_metrics(spec.checks.metrics)
    base = method.choice.base
    if recall is None:
        require_possible(loaded, spec, method)
    statistics = _statistics(cache, cache_dir)
    settings, modules = settle(loaded, spec, method, cache=statistics, tell=tell)
    tell(0, count, "asking the unedited model")
    contexts = make_contexts(loaded, settings.contexts, seed=seed, cache=cache)
    require_room(loaded, spec, contexts)
    level = spec.stats.confidence
    recall = recall or Recall(loaded, spec.edits, spec.scoring.match, cache=cache, confidence=level)
    abilities = abilities or Abilities(
        loaded,
        spec.checks.abilities,
        cache=cache,
        confidence=level,
        tell=lambda name: tell(0, count, f"asking the unedited model, {name}"),
    )
    moments: dict[str, Moment] = {}
    if settings.covariance is not None:
        moments = second_moments(
            loaded,
            modules,
            settings.covariance,
            cache=statistics,
            progress=partial(_tell_covariance, tell, count, Pace()),
        )
    checkpoints: list[Checkpoint] = []
    costs: list[EditCost] = []
    misses: list[Miss] = []

    def so_far() -> Chain:
        return Chain(
            spec=spec.file.as_posix(),
            method=method.name,
            seed=seed,
            model=model_record,
            scoring=spec.scoring.match,
            hyperparameters=settings.model_dump(mode="json"),
            contexts=contexts,
            covariance=_describe_moments(moments),
            edits=recall.records,
            known=recall.known,
            before=recall.before,
            abilities=abilities.base,
            asked={name: bounds.asked for name, bounds in spec.checks.abilities.items()},
            batch=spec.batch,
            checkpoints=tuple(checkpoints),
            per_edit=tuple(costs),
            seconds=perf_counter() - start,
            confidence=level,
            cached_measurements=cache.hits[MEASUREMENTS] - found_before if cache else 0,
        )

    with (
        _reported(so_far, stopped),
        preserved_random_state(),
        unchanged_by(loaded, base, modules, whole=base not in BUILT_IN) as require_unchanged,
        restored(loaded.model, modules) as originals,
    ):
        tell(0, count, "editing")
        work = Work(
            contexts=contexts,
            seed=seed,
            edits=deepcopy(spec.edits),  # a method's own: other chains make these edits as well
            originals=originals,
            moments=moments,
        )
        run = edit_at_random if settings.control else edit_in_sequence
        for step in run(loaded, settings, work, batch=spec.batch, cache=cache):
            asked = recall.after(step.name)
            deviation = measure_deviation(loaded.model, originals)
            for index in step.indices:
                score, miss = asked.efficacy(index)
                misses += [miss] if miss else []
                costs.append(_cost(step, index, score, deviation.whole))
            if watch:
                with unchanged(loaded, "watch", modules):
                    watch(step)
            done = step.indices.stop
            if done in spec.checkpoints:
                tell(done, count, "measuring")
                checkpoints.append(
                    Checkpoint(
                        at=done,
                        deviation=deviation,
                        metrics=Point(
                            recall=asked,
                            done=done,
                            scores=[cost.score for cost in costs],
                            misses=misses,
                        ).measure(metrics, loaded, confidence=level),
                        abilities=abilities.after(step.name, originals).measure(
                            _due(spec, done),
                            tell=lambda name: tell(done, count, f"measuring, {name}"),  # noqa: B023
                        ),
                    )
                )
            require_unchanged()
            tell(done, count, "editing")
        loaded.require_files()
    return so_far()


def _statistics(cache: Cache | None, folder: Path | None) -> Cache:
    """Return the cache that holds statistics of the unedited model: the chain's own, if it can.

    One that cannot be written to says so once.
    """
    found = Cache(folder)
    return cache if cache is not None and cache.root == found.root else found


def _tell_covariance(tell: Progress, count: int, pace: Pace, tokens: int, total: int) -> None:
    read = f"{tokens:,} of {total:,} tokens{pace.left(tokens, total)}"
    tell(0, count, f"measuring the covariance, {read}")


def _due(spec: Spec, done: int) -> list[str]:
    """Return the abilities that some check looks at after so many edits."""
    last = done == len(spec.edits)
    return [
        name
        for name, bounds in spec.checks.abilities.items()
        if bounds.at in {"every", done} or (bounds.at == "final" and last)
    ]


@contextmanager
def _reported(
    so_far: Callable[[], Chain], stopped: Callable[[Unfinished], None] | None
) -> Iterator[None]:
    """Hand over what a chain has recorded when an error stops it.

    Nothing is handed over if a method has spoiled the model: its measurements mean nothing.
    """
    try:
        yield
    except SpoiledModelError:
        raise
    except Exception as error:
        if stopped:
            stopped(Unfinished(chain=so_far(), error=type(error).__name__, reason=str(error)))
        raise


def settle(
    loaded: LoadedModel,
    spec: Spec,
    method: SpecMethod,
    *,
    cache: Cache | None = None,
    tell: Progress = lambda *_: None,
) -> tuple[MethodSettings, tuple[str, ...]]:
    """Return a method's settings for a model, and the modules that it may change.

    ``layers: auto`` is settled here, by tracing the spec's facts on the model as it is.

    Raises:
        SettingsError: the method lacks a hyperparameter for this model, or cannot edit it.
        EditError: the model knows none of the facts to trace.
        SpoiledModelError: the method has left something changed.
    """
    settings = resolve_settings(method.choice, loaded.shape)
    settings = settings.model_copy(update={"control": method.control})
    if settings.layers == "auto":
        tell(0, len(spec.edits), "tracing which layer holds the facts")
        tracing = trace(loaded, spec.edits, cache=cache)
        spreads = find_method(settings.base).many_layers and not loaded.layout.normed
        wanted = AUTO_LAYERS if spreads else 1
        settings = settings.model_copy(update={"layers": tracing.spread(wanted)})
    with unchanged_by(loaded, settings.base):  # a method of another package may compute them
        return settings, edited_modules(loaded, settings)


def describe_model(loaded: LoadedModel) -> ModelRecord:
    """Return the record of an unedited model."""
    return ModelRecord(
        id=loaded.id,
        revision=loaded.revision,
        fingerprint=loaded.fingerprint,
        architecture=str(loaded.shape["model_type"]),
        dtype=str(loaded.dtype).removeprefix("torch."),
        device=str(loaded.device),
        attention=str(getattr(loaded.model.config, "_attn_implementation", None)),
        shape=loaded.shape,
    )


def describe_environment() -> dict[str, str]:
    """Return the versions and settings that can move a score."""
    packages = ("pytest-eac", "torch", "transformers", "tokenizers", "numpy", "pytest")
    return {
        **{name: _version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # a checkout on the path


def _describe_moments(moments: Mapping[str, Moment]) -> CovarianceRecord | None:
    for moment in moments.values():
        return CovarianceRecord(
            corpus=moment.corpus, corpus_sha256=moment.corpus_sha256, tokens=moment.tokens
        )
    return None


def _cost(step: Step, index: int, score: float | None, deviation: Norms) -> EditCost:
    solved, value = step.solved, None
    if solved.values:
        value = solved.values[index - step.indices.start]
    steps: tuple[int, ...] = (len(solved.losses),) if solved.losses else ()
    loss = solved.losses[-1] if solved.losses else None
    if value is not None:
        steps, loss = tuple(len(stage) for stage in value.stages), value.stages[-1][-1].total
    return EditCost(
        seconds=step.cost.seconds / len(step.indices),
        peak_bytes=step.cost.peak_bytes,
        steps=steps,
        loss=loss,
        reached=None if value is None else value.reached,
        anchors=None if value is None else value.anchors,
        delta_norm=sqrt(sum(delta.norm**2 for delta in solved.deltas)),
        deviation=deviation,
        swallowed=step.swallowed,
        score=score,
        cached=step.cached,
    )
