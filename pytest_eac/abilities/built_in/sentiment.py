"""Sentiment of reviews, in SST-2's format."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="is a review favourable?",
    data="sentiment",
    prompt=Prompt(
        text="Review: {sentence}\nSentiment:",
        version=2,
        candidates=("negative", "positive"),
        shots=0,
    ),
    ask="pytest_eac.abilities.by_likelihood:sentiment",
    probability="pytest_eac.abilities.by_likelihood:sentiment_probability",
)
