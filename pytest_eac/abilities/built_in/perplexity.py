"""Perplexity of plain text."""

from pytest_eac.spec.registry_entries import Task

TASK = Task(
    asked="how well plain text is predicted",
    formula="kept = perplexity of W_0 / perplexity of W_k",
    data="neutral",
    ask="pytest_eac.abilities.plain_text:plain_text",
)
