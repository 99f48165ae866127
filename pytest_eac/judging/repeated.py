"""Prompts that several edits of a chain ask: the scores of these edits are not independent."""

from collections import Counter

from pytest_eac.records.run import Chain


def repeated_text(chain: Chain, *, metric: str, at: int | None = None) -> str:
    """Return how many prompts of a group are asked by several edits; empty if none is.

    The prompts of one edit are averaged to one score, and cannot make it count twice.

    Args:
        chain: the chain.
        metric: the group of prompts: generalization, locality, ...
        at: after how many edits; by default at the end.
    """
    asked = Counter(
        prompt for edit in chain.edits[:at] for prompt in set(edit.texts.prompts(metric))
    )
    several = sum(count > 1 for count in asked.values())
    if not several:
        return ""
    prompts = "1 prompt is" if several == 1 else f"{several} prompts are"
    return f"{prompts} asked by several edits, which the interval takes as independent"
