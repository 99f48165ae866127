"""pytest-xdist: the checks of a chain go to one worker, so that the chain runs once.

The only module that overrides private methods of pytest-xdist: it offers no other way to put items
together by more than their file, class or mark.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from pytest_eac.records.run import SAMPLES

_SPEC = (".yaml", ".yml")
_COMPARE = "compare"  # no chain's name: those end in a seed


class ChainScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out whole chains; whatever is not of a spec goes item by item, as without this.

    Verdicts over several chains come after all of these, on whichever worker is free. It gets the
    chains of the other workers from them (:meth:`pytest_eac.plugin.chains.Chains.once`), and waits
    for one that is still running. A worker that runs a chain waits for no other, so there is no
    deadlock.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, rest = nodeid.partition("::")
        return f"{file}::{rest.partition('::')[0]}" if file.endswith(_SPEC) else nodeid

    def _reschedule(self, node: WorkerController) -> None:
        """Leave out a worker that is still collecting: it has taken the place of one that died."""
        if node in self.registered_collections:
            super()._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        first = next((scope for scope in self.workqueue if not _is_of_several(scope)), None)
        if first is not None:
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


def _is_of_several(scope: str) -> bool:
    file, _, name = scope.partition("::")
    return (name == _COMPARE or name.endswith(SAMPLES)) and file.endswith(_SPEC)
