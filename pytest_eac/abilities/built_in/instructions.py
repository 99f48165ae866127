"""Texts of a required form, in IFEval's format."""

from pytest_eac.spec.registry_entries import PROMPTED, Task

TASK = Task(
    asked="texts of a form that was asked for",
    data="instructions",
    uses=PROMPTED,
    ask="pytest_eac.abilities.by_generation:instructions",
)
