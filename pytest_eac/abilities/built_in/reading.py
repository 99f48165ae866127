"""Questions about a passage, in SQuAD's format."""

from pytest_eac.spec.registry_entries import WITH_EXAMPLES, Task

TASK = Task(
    asked="questions with a passage",
    data="reading",
    uses=WITH_EXAMPLES,
    ask="pytest_eac.abilities.by_generation:questions",
)
