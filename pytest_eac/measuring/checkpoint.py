"""What is measured of an edited model at a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pytest_eac.abilities.measure import measure_abilities
from pytest_eac.measuring.recall import RECALL, EditedModel
from pytest_eac.measuring.third_party_metrics import third_party_metrics
from pytest_eac.records.run import Checkpoint, Measurement

if TYPE_CHECKING:
    from pytest_eac.abilities.measure import UneditedAbilities
    from pytest_eac.records.run import Deviation
    from pytest_eac.spec.spec import Spec

Metrics = Mapping[str, Callable[[EditedModel], Measurement]]


def find_metrics(names: Iterable[str]) -> Metrics:
    """Return the built-in metrics and those of other packages that have these names.

    Raises:
        SettingsError: one is not registered, or is not callable.
    """
    return RECALL | third_party_metrics(names)


def measure_checkpoint(
    edited: EditedModel,
    spec: Spec,
    metrics: Metrics,
    *,
    abilities: UneditedAbilities,
    deviation: Deviation,
    tell: Callable[[str], None],
) -> Checkpoint:
    """Measure an edited model.

    Args:
        edited: the model as it is now.
        spec: says which abilities are looked at after so many edits.
        metrics: what is measured, by name.
        abilities: the unedited model's.
        deviation: how far the weights are from the original ones.
        tell: called with the name of an ability that is about to be measured.

    Raises:
        SettingsError: a metric or an ability of another package returned something else than it
            must.
        NonFiniteError: a logit or a number is not finite.
        SpoiledModelError: a metric or ability left something behind.
    """
    return Checkpoint(
        at=edited.count,
        deviation=deviation,
        metrics={name: measure(edited) for name, measure in metrics.items()},
        abilities=measure_abilities(
            abilities, _due(spec, edited.count), edited.asker.state, tell=tell
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
