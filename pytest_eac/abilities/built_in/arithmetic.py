"""Word problems, in GSM8K's format."""

from pytest_eac.spec.registry_entries import WITH_EXAMPLES, Task

TASK = Task(
    asked="word problems",
    data="arithmetic",
    uses=WITH_EXAMPLES,
    ask="pytest_eac.abilities.by_generation:problems",
)
