"""How many edits do not count in a metric, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain, Excluded

_WORDS: dict[Excluded, str] = {
    "already held": "already held before the edits",
    "target is truth": "with the truth as the target",
}
_REASONS: dict[str, tuple[Excluded, ...]] = {
    "known": ("target is truth",),
    "efficacy": tuple(_WORDS),
    "generalization": tuple(_WORDS),
    "retention": tuple(_WORDS),
}


def excluded_text(chain: Chain, *, metric: str = "efficacy", at: int | None = None) -> str:
    """Return how many of a chain's edits do not count in a metric, and why; empty if all count.

    Args:
        chain: the chain.
        metric: the metric; those of other packages count all edits.
        at: after how many edits; by default at the end.
    """
    found = [edit.excluded for edit in chain.edits[:at]]
    whys = [why for why in _REASONS.get(metric, ()) if why in found]
    parts = [f"{found.count(why)} {_WORDS[why]}" for why in whys]
    return f"not counted: {', '.join(parts)}" if parts else ""
