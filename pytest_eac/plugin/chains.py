"""The outcome of each chain of a run: its record, or the error that stopped it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pytest_eac.errors import SpoiledModelError, UnavailableError
from pytest_eac.plugin.collection_order import CollectionOrder
from pytest_eac.plugin.workers import SharedFolder
from pytest_eac.records.run import Chain, ChainKey, Record, Unfinished, Verdict
from pytest_eac.spec.spec import Spec, SpecMethod


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedChain:
    """A chain that a spec asks for: one of its methods, with a seed, on the spec's sample."""

    spec: Spec
    method: SpecMethod
    seed: int

    @property
    def name(self) -> str:
        """How the chain is called within its spec."""
        return self.key.name

    @property
    def key(self) -> ChainKey:
        """The key of its record."""
        return ChainKey(self.spec.file.as_posix(), self.method.name, self.seed, self.spec.sample)


class Chains:
    """Runs each chain once and keeps its record, with the verdicts reached on it.

    Args:
        order: the order of collection.
        workers: where the workers of pytest-xdist find each other's chains.
        ended: called whenever a chain has ended.
    """

    def __init__(
        self, order: CollectionOrder, workers: SharedFolder, ended: Callable[[], None]
    ) -> None:
        self._order = order
        self._workers = workers
        self._ended = ended
        self._outcomes: dict[ChainKey, Chain | Exception] = {}
        self._stopped: dict[ChainKey, Unfinished] = {}
        self._fresh: list[Chain | Unfinished] = []
        self._first_read: dict[tuple[str, int], Chain] = {}  # a chain of each spec and sample

    def once(self, key: ChainKey, run: Callable[[], Chain]) -> Chain:
        """Return a chain's record, running the chain if no worker has run it yet.

        Whatever the first run raised is raised again for every other check of the chain.
        """
        if key not in self._outcomes:
            self._outcomes[key] = self._outcome(key, run)
            self._ended()
        outcome = self._outcomes[key]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _outcome(self, key: ChainKey, run: Callable[[], Chain]) -> Chain | Exception:
        try:
            chain, is_own = self._workers.chain(key, run)
        except Exception as error:  # it is raised to every check of the chain
            if isinstance(error, SpoiledModelError):
                _drop_frames(error)
            if stopped := self._stopped.get(key):  # an error may be reworded on its way here
                self._stopped[key] = replace(stopped, reason=str(error))
                self._fresh.append(self._stopped[key])
            return error
        if is_own:
            self._fresh.append(chain)
        return chain

    def note_stopped(self, stopped: Unfinished) -> None:
        """Note what a chain had recorded when an error stopped it."""
        self._stopped[stopped.chain.key] = stopped

    def keep(self, chain: Chain, verdict: Verdict | None = None) -> None:
        """Replace a chain's record, with a verdict added or replaced."""
        if verdict is not None:
            others = (each for each in chain.verdicts if each.check != verdict.check)
            chain = replace(chain, verdicts=(*others, verdict))
        self._outcomes[chain.key] = chain

    def take_fresh(self) -> Record | None:
        """Return the chains that have ended since the last call, if any has.

        A worker of pytest-xdist hands them over at once: if it is killed, only the chain that it
        was running is lost.
        """
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return None
        return Record(
            environment={},
            chains=tuple(each for each in fresh if isinstance(each, Chain)),
            unfinished=tuple(each for each in fresh if isinstance(each, Unfinished)),
        )

    def absorb(self, chain: Chain) -> str | None:
        """Take over a chain from a worker; one that two workers ran counts once.

        Returns:
            What is wrong, if workers have read different edits from the chain's spec.
        """
        known = self._outcomes.get(chain.key)
        wrong = self._different_edits(chain)
        if isinstance(known, Chain):
            verdicts = {each.check: each for each in (*known.verdicts, *chain.verdicts)}
            orders = chain.orders or known.orders  # of the worker that tried them
            chain = replace(chain, verdicts=tuple(verdicts.values()), orders=orders)
        self.keep(chain)
        return wrong

    def _different_edits(self, chain: Chain) -> str | None:
        from pytest_eac.judging.comparable import describe, edit_mismatches

        first = self._first_read.setdefault((chain.spec, chain.sample), chain)
        if found := tuple(edit_mismatches(first.edits, chain.edits)):
            return (
                f"{chain.spec}: {first.name} and {chain.name} were made with other edits, since a "
                f"file was changed while the workers of pytest-xdist read it ({describe(found)}); "
                "run again"
            )
        return None

    @property
    def completed(self) -> tuple[Chain, ...]:
        """The chains that ran to their end, in the order of collection."""
        ended = (each for each in self._outcomes.values() if isinstance(each, Chain))
        return self._order.sorted(ended, lambda chain: (chain.spec, chain.name))

    @property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """The chains that an error stopped, unless another worker has completed them."""
        done = {each.key for each in self.completed}
        stopped = (each for key, each in self._stopped.items() if key not in done)
        return self._order.sorted(stopped, lambda each: (each.chain.spec, each.chain.name))

    def unavailable(self) -> Iterator[tuple[str, UnavailableError]]:
        """Yield spec and error of each chain that needs something that is not available here."""
        for (spec, *_), error in self._outcomes.items():
            if isinstance(error, UnavailableError):
                yield spec, error


def _drop_frames(error: BaseException) -> None:
    """Drop what an error's frames hold, such as the model, which will be loaded again."""
    errors: list[BaseException | None] = [error]
    seen = set()
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            errors += [each.__context__, each.__cause__]
