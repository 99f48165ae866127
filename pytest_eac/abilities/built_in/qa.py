"""Open questions."""

from pytest_eac.spec.registry_entries import WITH_EXAMPLES, Task

TASK = Task(
    asked="questions without a passage",
    data="qa",
    uses=WITH_EXAMPLES,
    ask="pytest_eac.abilities.by_generation:questions",
)
