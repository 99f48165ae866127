"""pytest-xdist: the checks of a chain go to one worker, so that the chain runs once."""

from __future__ import annotations

from functools import cached_property

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
        if chain == "compare" or (file, chain.rpartition("-s")[0]) in self._compared:
            return f"{file}::compare"
        return f"{file}::{chain}"

    @cached_property
    def _compared(self) -> set[tuple[str, str]]:
        """Specs and their compared methods, read off ids: ``FILE::compare::METRIC-ONE-than-OTHER``.

        Items are dealt out once all workers have collected the same ones.
        """
        found = set()
        for nodeid in self.collection:
            file, _, rest = nodeid.partition("::")
            if file.endswith(_SPEC) and rest.startswith("compare::"):
                one, _, other = rest.partition("-")[2].partition("-than-")
                found |= {(file, one), (file, other)}
        return found
