"""Free text after an opening."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="free text that does not repeat itself (distinct-2)",
    data="generation",
    prompt=Prompt(text="{prompt}"),
    limits=frozenset({"max_perplexity"}),
    ask="pytest_eac.abilities.by_generation:stories",
)
