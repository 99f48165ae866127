"""One chain: edit, measure, edit, measure, ... and a record of it all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

from pytest_eac.cache.entries import Cache
from pytest_eac.cache.kinds import MEASUREMENTS
from pytest_eac.editing.controls import edit_at_random
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.interface import Work
from pytest_eac.editing.moment import Moment, projects
from pytest_eac.editing.prompts import make_contexts
from pytest_eac.editing.sequence import Step, edit_in_sequence, unchanged_by
from pytest_eac.errors import SpoiledModelError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.lm.weights import restored
from pytest_eac.measuring.checkpoint import edit_cost, find_metrics, measure_checkpoint
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.measuring.edited_layers import settle
from pytest_eac.measuring.feasibility import require_possible, require_room
from pytest_eac.measuring.notes import chain_notes
from pytest_eac.measuring.recall import EditedModel
from pytest_eac.measuring.time_left import Pace
from pytest_eac.measuring.unedited import AskOptions, Unedited, ask_unedited
from pytest_eac.records.run import (
    Chain,
    Checkpoint,
    CovarianceRecord,
    EditCost,
    Unfinished,
    converted,
)
from pytest_eac.scoring.asker import Answer
from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.spec import Spec, SpecMethod

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a chain besides the model, the spec and the method.

    Attributes:
        unedited: the unedited model's answers to this spec, if they are known already; the caller
            has then checked that the edits can be made (:mod:`pytest_eac.measuring.feasibility`).
        cache_dir: where statistics of the unedited model are kept; by default the user's cache.
        progress: called with (edits done, edits in all, what is being done).
        watch: called with each update while the model has it; it must change nothing.
        stopped: called with what was recorded so far if an error stops the chain while it edits;
            the error is still raised.
    """

    unedited: Unedited | None = None
    cache_dir: Path | None = None
    progress: Progress = lambda *_: None
    watch: Callable[[Step], None] | None = None
    stopped: Callable[[Unfinished], None] | None = None


def run_chain(
    loaded: LoadedModel,
    spec: Spec,
    method: SpecMethod,
    *,
    seed: int = 0,
    cache: Cache | None = None,
    options: RunOptions | None = None,
) -> Chain:
    """Edit a model step by step, measure it at the spec's checkpoints, and restore it.

    Args:
        loaded: the unedited model; it is unedited again afterwards, also when this raises.
        spec: the facts, the checkpoints and the scoring.
        method: one of the spec's methods.
        seed: of the contexts that are sampled.
        cache: where solved edits and measurements are cached; by default nowhere. Entries are
            those of the model as it was loaded: do not change its weights.
        options: see :class:`RunOptions`.

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
    options = options or RunOptions()
    report, watch, count = options.progress, options.watch, len(spec.edits)
    metrics = find_metrics(spec.checks.metrics)
    base = method.choice.base
    if options.unedited is None:
        require_possible(loaded, spec, method)
    statistics = _statistics(cache, options.cache_dir)
    settings, modules = settle(loaded, spec, method, cache=statistics, report=report)
    report(0, count, asking := "asking the unedited model")
    contexts = make_contexts(loaded, settings.contexts, seed=seed, cache=cache)
    require_room(loaded, spec, contexts)
    unedited = options.unedited or ask_unedited(
        loaded,
        spec,
        AskOptions(cache=cache),
        report=lambda name: report(0, count, f"{asking}, {name}"),
    )
    moments: dict[str, Moment] = {}
    if settings.covariance is not None:
        moments = second_moments(
            loaded,
            modules,
            settings.covariance,
            halves=projects(settings.update),
            cache=statistics,
            progress=partial(_report_covariance, report, count, Pace()),
        )
    begun = replace(
        unedited.record(spec, method.name, seed=seed),
        hyperparameters=settings.model_dump(mode="json"),
        contexts=contexts,
        # All layers' are measured on the same texts.
        covariance=next((converted(CovarianceRecord, each) for each in moments.values()), None),
        batch=spec.batch,
        notes=chain_notes(settings, loaded.shape, moments),
    )
    checkpoints: list[Checkpoint] = []
    costs: list[EditCost] = []
    right_after: list[Answer] = []

    def so_far() -> Chain:
        return replace(
            begun,
            checkpoints=tuple(checkpoints),
            per_edit=tuple(costs),
            seconds=perf_counter() - start,
            cached_measurements=cache.hits[MEASUREMENTS] - found_before if cache else 0,
        )

    with (
        _reported(so_far, options.stopped),
        preserved_random_state(),
        unchanged_by(loaded, base, modules, whole=base not in BUILT_IN) as require_unchanged,
        restored(loaded.model, modules) as originals,
    ):
        report(0, count, "editing")
        work = Work(
            contexts=contexts,
            seed=seed,
            edits=deepcopy(spec.edits),  # a method's own: other chains make these edits as well
            originals=originals,
            moments=moments,
        )
        run = edit_at_random if settings.control else edit_in_sequence
        for step in run(loaded, settings, work, batch=spec.batch, cache=cache):
            asker = unedited.answers.asker.after(step.name, originals)
            deviation = measure_deviation(loaded.model, originals)
            for index in step.indices:
                answer = asker.ask_in_words([unedited.answers.questions.targets[index].question])
                right_after += answer
                costs.append(edit_cost(step, index, answer[0].score, deviation.whole))
            if watch:
                with unchanged(loaded, "watch", modules):
                    watch(step)
            done = step.indices.stop
            if done in spec.checkpoints:
                report(done, count, "measuring")
                edited = EditedModel(
                    unedited=unedited.answers, asker=asker, count=done, right_after=right_after
                )
                checkpoints.append(
                    measure_checkpoint(
                        edited,
                        spec,
                        metrics,
                        abilities=unedited.abilities,
                        deviation=deviation,
                        report=lambda name: report(done, count, f"measuring, {name}"),  # noqa: B023
                    )
                )
            require_unchanged()
            report(done, count, "editing")
        loaded.require_files()
    return so_far()


def _statistics(cache: Cache | None, folder: Path | None) -> Cache:
    """Return the cache that holds statistics of the unedited model: the chain's own, if it can.

    One that cannot be written to says so once.
    """
    found = Cache(folder)
    return cache if cache is not None and cache.root == found.root else found


def _report_covariance(report: Progress, count: int, pace: Pace, tokens: int, total: int) -> None:
    read = f"{tokens:,} of {total:,} tokens{pace.left(tokens, total)}"
    report(0, count, f"measuring the covariance, {read}")


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
