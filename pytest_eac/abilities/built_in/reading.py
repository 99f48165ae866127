"""Questions about a passage, in SQuAD's format."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="questions with a passage",
    data="reading",
    prompt=Prompt(text="{context}\nQuestion: {question}\nAnswer:", shots=2),
    ask="pytest_eac.abilities.by_generation:questions",
    probability="pytest_eac.abilities.by_probability:questions",
)
