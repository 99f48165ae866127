"""Sentiment of reviews, in SST-2's format."""

from pytest_eac.spec.registry_entries import LABELLED, Task

TASK = Task(
    asked="is a review favourable?",
    data="sentiment",
    uses=LABELLED,
    ask="pytest_eac.abilities.by_likelihood:sentiment",
)
