"""pytest-xdist: the checks of a chain go to one worker, so that the chain runs once."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

_SPEC = (".yaml", ".yml")


class ChainScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out whole chains; whatever is not of a spec goes item by item, as without this.

    Chains that are compared with one another go together, with their comparisons.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, rest = nodeid.partition("::")
        if not file.endswith(_SPEC):
            return nodeid
        chain = rest.partition("::")[0]
        method = chain.rpartition("-s")[0]
        if chain == "compare" or method in self._compared(f"{file}::compare::"):
            return f"{file}::compare"
        return f"{file}::{chain}"

    def _compared(self, start: str) -> set[str]:
        """Return the methods in a spec's comparisons, read off ids: ``METRIC-ONE-than-OTHER``."""
        pairs = [
            each.removeprefix(start).partition("-")[2].partition("-than-")
            for each in self.collection or ()
            if each.startswith(start)
        ]
        return {name for one, _, other in pairs for name in (one, other)}
