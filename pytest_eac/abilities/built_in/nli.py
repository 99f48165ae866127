"""Natural language inference, in RTE's format."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="does the second sentence follow from the first?",
    data="nli",
    prompt=Prompt(
        text="{sentence1}\nQuestion: {sentence2} True or False?\nAnswer:",
        candidates=("True", "False"),
        shots=0,
    ),
    ask="pytest_eac.abilities.by_likelihood:entailment",
    probability="pytest_eac.abilities.by_likelihood:entailment_probability",
)
