"""Word problems, in GSM8K's format."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="word problems",
    data="arithmetic",
    prompt=Prompt(text="Question: {question}\nAnswer:", shots=4),
    ask="pytest_eac.abilities.by_generation:problems",
    probability="pytest_eac.abilities.by_probability:problems",
)
