"""Free text after an opening."""

from pytest_eac.spec.registry_entries import PROMPTED, Task

TASK = Task(
    asked="free text that does not repeat itself (distinct-2)",
    data="generation",
    uses=PROMPTED | {"max_perplexity"},
    ask="pytest_eac.abilities.by_generation:stories",
)
