"""Multiple choice, in ARC's format."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="multiple choice",
    data="choice",
    prompt=Prompt(text="Question: {question}\nAnswer:", shots=0),
    ask="pytest_eac.abilities.by_likelihood:multiple_choice",
    probability="pytest_eac.abilities.by_likelihood:multiple_choice_probability",
)
