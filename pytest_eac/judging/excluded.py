"""How many edits do not count in a metric, in words."""

from pytest_eac.records.run import Chain, Excluded
from pytest_eac.spec.metrics import described

_WORDS: dict[Excluded, str] = {
    "already held": "already held before the edits",
    "target is truth": "with the truth as the target",
}


def excluded_text(chain: Chain, *, metric: str | None = None, at: int | None = None) -> str:
    """Return how many of a chain's edits do not count in a metric, and why; empty if all count.

    Args:
        chain: the chain.
        metric: the metric; by default, any.
        at: after how many edits; by default at the end.
    """
    found = [edit.excluded for edit in chain.edits[:at]]
    reasons = tuple(_WORDS) if metric is None else described(metric).leaves_out
    whys = [why for why in reasons if why in found]
    parts = [f"{found.count(why)} {_WORDS[why]}" for why in whys]
    return f"not counted: {', '.join(parts)}" if parts else ""
