"""pytest-xdist: the checks of a chain go to one worker, so that the chain runs once."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

_SPEC = (".yaml", ".yml")


class ChainScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out whole chains; whatever is not of a spec goes item by item, as without this.

    Comparisons read several chains: a spec that has some stays on one worker whole.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, rest = nodeid.partition("::")
        if not file.endswith(_SPEC):
            return nodeid
        start = f"{file}::compare::"
        if any(each.startswith(start) for each in self.collection or ()):
            return file
        return f"{file}::{rest.partition('::')[0]}"
