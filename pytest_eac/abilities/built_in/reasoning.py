"""Multiple choice, in ARC's format."""

from pytest_eac.spec.registry_entries import WITH_EXAMPLES, Task

TASK = Task(
    asked="multiple choice",
    data="choice",
    uses=WITH_EXAMPLES,
    ask="pytest_eac.abilities.by_likelihood:multiple_choice",
)
