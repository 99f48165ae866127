"""What is measured of an edited model: right after an edit, and at a checkpoint."""

from collections.abc import Callable, Iterable
from math import isfinite, sqrt

from pytest_eac.abilities.measure import UneditedAbilities, measure_abilities
from pytest_eac.abilities.third_party import plain_result, shares
from pytest_eac.editing.sequence import Step
from pytest_eac.errors import EacError, NonFiniteError, SettingsError
from pytest_eac.lm.state.process import preserved_random_state
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.measuring.probes import summarize_scores
from pytest_eac.measuring.recall import EditedModel
from pytest_eac.records.run import Checkpoint, Deviation, EditCost, Measurement, Norms
from pytest_eac.spec.metrics import BUILT_IN, RECALLED, find_metric
from pytest_eac.spec.registry_entries import Metric
from pytest_eac.spec.spec import Spec


def find_metrics(names: Iterable[str]) -> tuple[Metric, ...]:
    """Return the metrics of these names.

    Raises:
        SettingsError: one is not registered, or is not callable.
    """
    found = tuple(find_metric(name) for name in names)
    for each in found:
        each.resolve()
    return found


def measure_checkpoint(
    edited: EditedModel,
    spec: Spec,
    metrics: Iterable[Metric],
    *,
    abilities: UneditedAbilities,
    deviation: Deviation,
    report: Callable[[str], None],
) -> Checkpoint:
    """Measure an edited model.

    Args:
        edited: the model as it is now.
        spec: says which abilities are checked after this number of edits.
        metrics: what is measured besides the built-in ones.
        abilities: the unedited model's.
        deviation: how far the weights are from the original ones.
        report: called with the name of an ability that is about to be measured.

    Raises:
        SettingsError: a metric or an ability of another package returned something else than it
            must.
        NonFiniteError: a logit or a number is not finite.
        SpoiledModelError: a metric or ability left something behind.
    """
    return Checkpoint(
        at=edited.count,
        deviation=deviation,
        metrics={
            **{name: BUILT_IN[name].resolve()(edited) for name in RECALLED},
            **{each.name: measure_third_party(each, edited) for each in metrics},
        },
        abilities=measure_abilities(
            abilities, _due(spec, edited.count), edited.asker.state, report=report
        ),
    )


def edit_cost(step: Step, index: int, score: float | None, deviation: Norms) -> EditCost:
    """Return the record of one edit of an update: what it cost, and what it came to.

    Args:
        step: the update.
        index: the edit's place in the sequence.
        score: how well the model gave its target right after the update.
        deviation: how far the weights were from the original ones then.
    """
    solved, value, diagnostics = step.solved, None, None
    if solved.values:
        value = solved.values[index - step.indices.start]
    if solved.diagnostics:
        diagnostics = solved.diagnostics[index - step.indices.start]
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
        diagnostics=diagnostics,
    )


def _due(spec: Spec, done: int) -> list[str]:
    """Return the abilities that are checked after ``done`` edits."""
    last = done == len(spec.edits)
    return [
        name
        for name, bounds in spec.checks.abilities.items()
        if bounds.at in {"every", done} or (bounds.at == "final" and last)
    ]


def measure_third_party(metric: Metric, edited: EditedModel) -> Measurement:
    """Call a metric and put its result in the record's form, with an interval.

    Raises:
        SettingsError: it returned neither a number nor one score between 0 and 1 per edit, or not
            what its entry says.
        NonFiniteError: a number is NaN or infinite.
        SpoiledModelError: it left something behind.
    """
    loaded, edits = edited.asker.state.loaded, edited.unedited.questions.edits[: edited.count]
    name = metric.name
    try:
        with preserved_random_state(), unchanged(loaded, "it", whole=True):
            result = metric.resolve()(loaded, edits)
    except EacError as error:
        raise type(error)(f"metric {name!r}: {error}") from error
    result = plain_result(result)
    returned = f"metric {name!r} returned {str(result)[:60]!r}"
    is_number = isinstance(result, int | float)
    if metric.kind not in {None, "number" if is_number else "share"}:
        raise SettingsError(f"{returned}, but its kind is {metric.kind!r}")
    if isinstance(result, int | float):
        if not isfinite(result):
            raise NonFiniteError(f"metric {name!r} is {result}")
        return Measurement(value=float(result), n=0, low=None, high=None, scores=(), misses=())
    scores = shares(result)
    if scores is None or len(scores) != len(edits):
        raise SettingsError(
            f"{returned}, expected a number, or for each of the {len(edits)} edits a score between "
            "0 and 1 or None"
        )
    return summarize_scores(scores, confidence=edited.unedited.confidence)
