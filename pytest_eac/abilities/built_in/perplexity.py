"""Perplexity of plain text."""

from pytest_eac.spec.registry_entries import READ, Task

TASK = Task(
    asked="how well plain text is predicted",
    formula="kept = perplexity of W_0 / perplexity of W_k",
    data="neutral",
    uses=READ,
    ask="pytest_eac.abilities.plain_text:plain_text",
)
