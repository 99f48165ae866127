"""Edits that do not count in efficacy, retention and generalization, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_eac.record import Chain, Excluded

COUNTED = ("efficacy", "generalization", "retention")
"""The metrics in which an excluded edit does not count."""
_WORDS: dict[Excluded, str] = {
    "already held": "already held before the edits",
    "target is truth": "with the truth as the target",
}


def excluded_text(chain: Chain, at: int | None = None) -> str:
    """Say how many of a chain's edits do not count, and why; empty if all count.

    Args:
        chain: the chain.
        at: after how many edits; by default at the end.
    """
    found = [edit.excluded for edit in chain.edits[:at]]
    parts = [f"{found.count(why)} {text}" for why, text in _WORDS.items() if why in found]
    return f"not counted: {', '.join(parts)}" if parts else ""
