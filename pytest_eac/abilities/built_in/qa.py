"""Open questions."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="questions without a passage",
    data="qa",
    prompt=Prompt(text="Question: {question}\nAnswer:", shots=4),
    ask="pytest_eac.abilities.by_generation:questions",
    probability="pytest_eac.abilities.by_probability:questions",
)
