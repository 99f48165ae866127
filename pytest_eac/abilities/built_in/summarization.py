"""Summaries of dialogues, in SAMSum's format."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="summaries of dialogues (mean of ROUGE-1, -2 and -L)",
    data="summarization",
    prompt=Prompt(text="{dialogue}\nSummary:", shots=1),
    ask="pytest_eac.abilities.by_generation:summaries",
    probability="pytest_eac.abilities.by_probability:summaries",
)
