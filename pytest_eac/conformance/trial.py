"""A method on trial: sequences of edits as a chain makes them."""

import inspect
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

import pytest
from pydantic import ValidationError
from torch import Tensor

from pytest_eac.cache.entries import Cache
from pytest_eac.conformance.bench import Bench, seeded
from pytest_eac.conformance.example_edits import ANOTHER, CONTEXTS, EDITS
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.interface import Solved, Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.moment import Moment
from pytest_eac.editing.sequence import edit_in_sequence, solve, unchanged_by
from pytest_eac.errors import EacError, SpoiledModelError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.state.snapshot import Snapshot
from pytest_eac.lm.weights import WeightDelta, apply_delta, restored
from pytest_eac.scoring.answers import force
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.methods import find_method
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.schema.settings import MethodSettings
from pytest_eac.text.spacing import Continuation

_UNUSUAL_SEED = 738_019  # that no method sets


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceResult:
    """What a sequence did: log-probabilities of the targets, changes, and weights at its end.

    ``asked`` are the edits whose targets were scored; ``after`` has a row of them for each update.
    """

    asked: tuple[Edit, ...]
    before: list[float]
    after: list[list[float]]
    deltas: tuple[WeightDelta, ...]
    weights: dict[str, Tensor]

    def gain(self, number: int = 0, *, update: int = -1) -> float:
        """Return by how much an edit's log-probability is above its first value."""
        return self.after[update][number] - self.before[number]


@dataclass(kw_only=True)
class Trial:
    """A method that is being tried.

    Attributes:
        name: the method's.
        bench: of the model.
        trouble: what is wrong with a plain edit, if anything; all other tests are then skipped.
        left: what a plain edit leaves behind; all other tests are then skipped.
        spoils: whether a later edit has left something behind; the rest is then skipped.
    """

    name: str
    bench: Bench
    trouble: str | None = None
    left: list[str] = field(default_factory=list)
    spoils: bool = False
    method: Method = field(init=False)
    settings: MethodSettings = field(init=False)
    modules: tuple[str, ...] = ()
    moments: Mapping[str, Moment] = field(default_factory=dict)

    @property
    def loaded(self) -> LoadedModel:
        """The unedited model."""
        return self.bench.loaded

    def prepare(self) -> None:
        """Fill in the settings, measure what the method needs, and make a plain edit.

        Raises whatever shows that the method cannot be used.
        """
        self.method = find_method(self.name)
        choice = MethodChoice.model_validate(self.bench.choice(self.name, self.method))
        self.settings = resolve_settings(choice, self.loaded.shape)
        self.modules = edited_modules(self.loaded, self.settings)
        for path in self.modules:
            find_module(self.loaded.model, path)
        if (covariance := self.settings.covariance) is not None:
            cache = Cache(self.bench.cache_dir)
            self.moments = second_moments(self.loaded, self.modules, covariance, cache=cache)
        before = Snapshot(self.loaded, self.modules, whole=True)
        with seeded(_UNUSUAL_SEED) as used:
            solved = self.solve(EDITS[:1])
            numbers = used()
        changed, self.left = before.written(), before.differences()
        self.left += [f"{name}'s global random numbers moved on" for name in numbers]
        self.left += [
            f"the delta of {delta.module} holds its graph of gradients"
            for delta in solved.deltas
            if delta.left.requires_grad or (delta.right is not None and delta.right.requires_grad)
        ]
        before.put_back()
        if changed:
            self.trouble = _advice(
                f"{self.name} was asked to solve one edit and wrote into the model: "
                + ", ".join(changed),
                "solving leaves every weight bit for bit as it was; what it returns is applied "
                "later",
                "work on copies, or inside `with restored(model.model, modules):`",
            )
        if self.left:
            return
        with restored(self.loaded.model, self.modules):
            for delta in solved.deltas:
                apply_delta(self.loaded.model, delta)  # refuses what does not fit or is not finite

    def ready(self) -> LoadedModel:
        """Return the model, for a method that makes a plain edit as it should; else skip."""
        if self.trouble:
            pytest.skip(
                f"{self.name} does not make a plain edit: see test_changes_only_what_it_declares"
            )
        if self.left or self.spoils:
            seen = "test_does_not_leak" if self.left else "the test that failed"
            pytest.skip(f"{self.name} leaves something behind: see {seen}")
        return self.loaded

    def batches(self) -> tuple[int, ...]:
        """Return how many edits to make in one update: one by one, and two at once."""
        return (1, 2) if self.method.many_edits else (1,)

    def work(self, edits: tuple[Edit, ...], originals: Mapping[str, Tensor]) -> Work:
        """Return the start of a sequence."""
        return Work(contexts=CONTEXTS, edits=edits, originals=originals, moments=self.moments)

    def solve(self, edits: tuple[Edit, ...], work: Work | None = None) -> Solved:
        """Call the method, on the model as it is."""
        if work is None:
            with restored(self.loaded.model, self.modules) as originals:
                pass
            work = self.work(edits, originals)
        return solve(self.loaded, edits, self.settings, work)

    def sequence(
        self, edits: tuple[Edit, ...], *, batch: int = 1, asked: tuple[Edit, ...] = ()
    ) -> SequenceResult:
        """Make edits as a chain does, and put the declared modules back.

        Args:
            edits: what is made.
            batch: edits of an update.
            asked: whose targets are scored; by default those that are made.
        """
        asked = asked or edits
        pairs = [(edit.prompt, edit.ending) for edit in asked]
        before = self._scores(pairs)
        after: list[list[float]] = []
        deltas: list[WeightDelta] = []
        how = f"in updates of {batch}" if batch > 1 else "one by one"
        with (
            self.working(f"making {len(edits)} edits {how}"),
            unchanged_by(self.loaded, self.name, self.modules, whole=True),
            restored(self.loaded.model, self.modules) as originals,
        ):
            work = self.work(edits, originals)
            for step in edit_in_sequence(self.loaded, self.settings, work, batch=batch):
                deltas += step.solved.deltas
                after.append(self._scores(pairs))
            weights = self._weights()
        return SequenceResult(
            asked=asked, before=before, after=after, deltas=tuple(deltas), weights=weights
        )

    def one_by_one(self, edits: tuple[Edit, ...]) -> dict[str, Tensor]:
        """Call the method for one edit after another, with another sequence's edit in between."""
        with (
            self.working("making edits by hand"),
            restored(self.loaded.model, self.modules) as originals,
        ):
            work = self.work(edits, originals)
            for done, edit in enumerate(edits):
                solved = self.solve((edit,), replace(work, done=done))
                self.solve((ANOTHER,), self.work((ANOTHER,), originals))
                for delta in solved.deltas:
                    apply_delta(self.loaded.model, delta)
                work = replace(work, state=solved.state)
            return self._weights()

    def _weights(self) -> dict[str, Tensor]:
        found = {path: self.loaded.model.get_parameter(f"{path}.weight") for path in self.modules}
        return {path: weight.detach().clone() for path, weight in found.items()}

    def _scores(self, pairs: list[tuple[str, Continuation]]) -> list[float]:
        return [each.log_likelihood for each in force(self.loaded, pairs)]

    @contextmanager
    def working(self, doing: str) -> Iterator[None]:
        """Report an error of the method as a failure, without a traceback through this suite."""
        try:
            yield
        except SpoiledModelError as error:
            self.spoils = True
            pytest.fail(
                _advice(
                    f"{self.name}, {doing}: {error}",
                    "a sequence of edits changes the weights of the declared modules "
                    f"({', '.join(self.modules)}) and nothing else",
                    "return every change as a WeightDelta; declare further modules by "
                    "Method(modules=...); remove hooks in `finally`",
                ),
                pytrace=False,
            )
        except Exception as error:
            pytest.fail(self.reason(doing, error), pytrace=False)

    def reason(self, doing: str, error: Exception) -> str:
        """Describe an error: one that is not ours with the last place in the method's own file."""
        if isinstance(error, EacError | ValidationError):
            return f"{self.name}, {doing}: {error}"
        frames = traceback.extract_tb(error.__traceback__)
        try:
            own = inspect.getsourcefile(self.method.resolve())
        except (AttributeError, ImportError, TypeError):
            own = None
        frame = next((each for each in reversed(frames) if each.filename == own), frames[-1])
        place = f"{frame.filename}:{frame.lineno}: in {frame.name}: {frame.line}"
        return f"{self.name}, {doing}: {type(error).__name__}: {error}\n  {place}"

    def fail(self, found: str, expected: str, remedy: str) -> NoReturn:
        """Fail with what the method did, what was expected, and what to do."""
        pytest.fail(_advice(f"{self.name} {found}", expected, remedy), pytrace=False)


def _advice(found: str, expected: str, remedy: str) -> str:
    return f"{found}\nexpected: {expected}\nto do: {remedy}"
