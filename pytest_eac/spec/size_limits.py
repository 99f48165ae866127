"""How much one spec may ask for; docs/limits.md has the numbers."""

from collections.abc import Sequence

from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.spec import SpecMethod
from pytest_eac.spec.yaml.places import Where

MAX_ITEMS = 10_000
"""How many items one spec may have; each check of a chain is one."""
MAX_SCORES = 1_000_000
"""How many edits a chain may ask about, summed over its checkpoints: at each, all made so far.

Where every prompt is missed, each takes about 800 bytes of the record, and four times that in
memory when the record is read.
"""
MAX_DRAWN = 1_000_000
"""How many edits all sets of edits may have together."""


def too_many_drawn(draft: Draft, sizes: Sequence[int]) -> bool:
    """Report sets of edits that are too large together; say whether so.

    Args:
        draft: the spec.
        sizes: how many edits of a set are from each source.
    """
    samples, size = draft.written.sequence.samples, sum(sizes)
    if samples * size <= MAX_DRAWN:
        return False
    draft.complain(
        ("sequence", "samples"),
        f"found {samples:,} sets of {size:,} edits, expected at most {MAX_DRAWN:,} edits in all: "
        "take fewer edits or fewer samples",
    )
    return True


def too_many_items(draft: Draft, methods: tuple[SpecMethod, ...]) -> bool:
    """Report more items than ``MAX_ITEMS``; say whether there are."""
    written = draft.written
    orders = written.orderings.properties(written.checks) if written.orderings else ()
    seeds, compared = len(written.seeds), len(written.checks.compare)
    samples, named = written.sequence.samples, len(written.checks.named())
    checks = max(1, named + len(orders))
    pooled = len(methods) * len(written.checks.pooled()) if samples > 1 else 0
    total = len(methods) * seeds * samples * checks + pooled + compared
    if total <= MAX_ITEMS:
        return False
    parts: dict[Where, int] = {
        ("methods",): len(methods),
        ("seeds",): seeds,
        ("sequence", "samples"): samples,
        ("checks",): checks + compared,
    }
    drawn = f" x {samples:,} samples" if samples > 1 else ""
    over = f", {pooled:,} over all samples," if pooled else ","
    draft.complain(
        max(parts, key=lambda part: parts[part]),
        f"found {total:,} items ({len(methods):,} methods x {seeds:,} seeds{drawn} x {checks:,} "
        f"checks{over} and {compared:,} comparisons), expected at most {MAX_ITEMS:,}: write "
        "several specs",
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
