"""What runs of the same chain have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_eac.records.run import Chain


def without_cache(chain: Chain) -> Chain:
    """Return a chain without what tells that it came from a cache."""
    costs = tuple(replace(cost, cached=False) for cost in chain.per_edit)
    return replace(chain, seconds=0.0, cached_measurements=0, per_edit=costs)


def timeless(chain: Chain) -> Chain:
    """Return a chain without what differs from run to run: time, memory, the cache's share."""
    chain = without_cache(chain)
    costs = tuple(replace(cost, seconds=0.0, peak_bytes=0) for cost in chain.per_edit)
    return replace(chain, per_edit=costs)
