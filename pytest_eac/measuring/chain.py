"""One chain: edit, measure, edit, measure, ... and a record of it all."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from math import sqrt
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from pytest_eac.editing.contexts import make_contexts
from pytest_eac.editing.methods import edited_modules
from pytest_eac.editing.sequence import Step, edit_in_sequence
from pytest_eac.lm.weights import restored
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.measuring.recall import Recall
from pytest_eac.record import Chain, Checkpoint, EditCost, EditRecord, Miss, ModelRecord
from pytest_eac.spec.methods import resolve_settings

if TYPE_CHECKING:
    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.load import Method, Spec

Progress = Callable[[int, int, str], None]


def run_chain(
    loaded: LoadedModel,
    spec: Spec,
    method: Method,
    *,
    seed: int = 0,
    recall: Recall | None = None,
    progress: Progress | None = None,
) -> Chain:
    """Edit a model step by step, measure it at the spec's checkpoints, and restore it.

    Args:
        loaded: the unedited model; it is unedited again afterwards, also when this raises.
        spec: the facts, the checkpoints and the scoring.
        method: one of the spec's methods.
        seed: of the contexts that are sampled.
        recall: the unedited model's answers to this spec, if they are at hand already.
        progress: called with (edits done, edits in all, what is being done).

    Raises:
        SettingsError: the method lacks a hyperparameter for this model.
        EditError: an edit cannot be carried out.
        NonFiniteError: a loss, weight or logit is NaN or infinite.
    """
    start = perf_counter()
    tell = progress or (lambda *_: None)
    count = len(spec.edits)
    settings = resolve_settings(method.choice, loaded.shape)
    model_record = describe_model(loaded)
    tell(0, count, "asking the unedited model")
    recall = recall or Recall(loaded, spec.edits, spec.scoring.match)
    contexts = make_contexts(loaded, settings.contexts, seed=seed)
    checkpoints: list[Checkpoint] = []
    costs: list[EditCost] = []
    misses: list[Miss] = []
    with restored(loaded.model, edited_modules(loaded, settings)) as originals:
        tell(0, count, "editing")
        for step in edit_in_sequence(loaded, spec.edits, settings, contexts):
            score, miss = recall.efficacy(step.index)
            misses += [miss] if miss else []
            costs.append(_cost(step, score))
            done = step.index + 1
            if done in spec.checkpoints:
                tell(done, count, "measuring")
                checkpoints.append(
                    Checkpoint(
                        at=done,
                        efficacy=recall.summarize([cost.score for cost in costs], misses),
                        generalization=recall.generalization(done),
                        locality=recall.locality(done),
                        retention=recall.retention(done),
                        deviation=measure_deviation(loaded.model, originals),
                    )
                )
            tell(done, count, "editing")
    return Chain(
        spec=spec.file.as_posix(),
        method=method.name,
        seed=seed,
        model=model_record,
        scoring=spec.scoring.match,
        hyperparameters=settings.model_dump(mode="json"),
        contexts=contexts,
        edits=tuple(
            EditRecord(**asdict(edit), superseded_by=by)
            for edit, by in zip(spec.edits, recall.superseded, strict=True)
        ),
        known=recall.known,
        checkpoints=tuple(checkpoints),
        per_edit=tuple(costs),
        seconds=perf_counter() - start,
    )


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
    )


def describe_environment() -> dict[str, str]:
    """Return the versions and settings that can move a score."""
    packages = ("pytest-eac", "torch", "transformers", "tokenizers", "numpy", "pytest")
    return {
        **{name: version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
    }


def _cost(step: Step, score: float) -> EditCost:
    value = step.solved.value
    return EditCost(
        seconds=step.seconds,
        peak_bytes=_peak_bytes(step.solved.deltas[0].left.device),
        steps=tuple(len(stage) for stage in value.stages),
        loss=value.stages[-1][-1].total,
        reached=value.reached,
        anchors=value.anchors,
        delta_norm=sqrt(sum(delta.norm**2 for delta in step.solved.deltas)),
        swallowed=step.swallowed,
        score=score,
    )


def _peak_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows keeps no such count
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
