"""Summaries of dialogues, in SAMSum's format."""

from pytest_eac.spec.registry_entries import WITH_EXAMPLES, Task

TASK = Task(
    asked="summaries of dialogues (mean of ROUGE-1, -2 and -L)",
    data="summarization",
    uses=WITH_EXAMPLES,
    ask="pytest_eac.abilities.by_generation:summaries",
)
