"""Texts of a required form, in IFEval's format."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="texts of a form that was asked for",
    data="instructions",
    prompt=Prompt(text="{prompt}\n"),
    ask="pytest_eac.abilities.by_generation:instructions",
)
