"""How much one spec may ask for; docs/limits.md has the numbers."""

from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.spec import SpecMethod

MAX_ITEMS = 10_000
"""How many items one spec may have; each check of a chain is one."""
MAX_SCORES = 1_000_000
"""How many edits a chain may ask about, summed over its checkpoints: at each, all made so far.

Where every prompt is missed, each takes about 800 bytes of the record, and four times that in
memory when the record is read.
"""


def too_many_items(draft: Draft, methods: tuple[SpecMethod, ...]) -> bool:
    """Report more items than ``MAX_ITEMS``; say whether there are."""
    written = draft.written
    orders = written.orderings.properties(written.checks) if written.orderings else ()
    seeds, compared = len(written.seeds), len(written.checks.compare)
    checks = max(1, len(written.checks.named()) + len(orders))
    total = len(methods) * seeds * checks + compared
    if total <= MAX_ITEMS:
        return False
    parts = {"methods": len(methods), "seeds": seeds, "checks": checks + compared}
    draft.complain(
        (max(parts, key=lambda part: parts[part]),),
        f"found {total:,} items ({len(methods):,} methods x {seeds:,} seeds x {checks:,} checks, "
        f"and {compared:,} comparisons), expected at most {MAX_ITEMS:,}: write several specs",
    )
    return True


def too_many_scores(draft: Draft, count: int) -> bool:
    """Report checkpoints at which ``count`` edits are asked about too often; say whether so."""
    checkpoints = set(draft.written.sequence.checkpoints)
    scores = sum(min(at, count) for at in checkpoints)
    if scores <= MAX_SCORES:
        return False
    draft.complain(
        ("sequence", "checkpoints"),
        f"found {len(checkpoints):,} checkpoints for {count:,} edits: since each asks about every "
        f"edit made so far, {scores:,} answers; expected at most {MAX_SCORES:,}: take fewer",
    )
    return True
