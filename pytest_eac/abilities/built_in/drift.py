"""Next tokens of plain text, against the unedited model."""

from pytest_eac.spec.registry_entries import Task

TASK = Task(
    asked="the same likeliest next token as the unedited model's",
    formula="share of places where argmax p(W_k) = argmax p(W_0)",
    data="neutral",
    ask="pytest_eac.abilities.plain_text:drift",
)
