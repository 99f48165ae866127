"""What is measured of an edited model at a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_eac.abilities.measure import measure_abilities
from pytest_eac.measuring.third_party_metrics import measure_third_party
from pytest_eac.records.run import Checkpoint
from pytest_eac.spec.metrics import BUILT_IN, RECALLED, find_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_eac.abilities.measure import UneditedAbilities
    from pytest_eac.measuring.recall import EditedModel
    from pytest_eac.records.run import Deviation
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
        spec: says which abilities are looked at after so many edits.
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


def _due(spec: Spec, done: int) -> list[str]:
    """Return the abilities that some check looks at after so many edits."""
    last = done == len(spec.edits)
    return [
        name
        for name, bounds in spec.checks.abilities.items()
        if bounds.at in {"every", done} or (bounds.at == "final" and last)
    ]
