"""Natural language inference, in RTE's format."""

from pytest_eac.spec.registry_entries import LABELLED, Task

TASK = Task(
    asked="does the second sentence follow from the first?",
    data="nli",
    uses=LABELLED,
    ask="pytest_eac.abilities.by_likelihood:entailment",
)
