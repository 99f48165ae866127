"""How fast edits are, against the plain way of making them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch as replaced

import torch

from benchmarks.plain import PlainObjective
from benchmarks.timing import Result, in_turns, seconds, times_faster
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.interface import Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.locate_then_edit import _Solver
from pytest_eac.editing.objective import Objective
from pytest_eac.editing.prompts import make_contexts, prepare
from pytest_eac.editing.recipe import Recipe
from pytest_eac.editing.sequence import solve, unchanged_by
from pytest_eac.editing.updates.memit import memit
from pytest_eac.lm.devices import peak_memory, resident_bytes
from pytest_eac.lm.weights import apply_delta, restored
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.schema.settings import ContextSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.settings import MethodSettings

# Ten sampled prefixes, half of 5 and half of 10 tokens, and the bare prompt.
_CONTEXTS = ContextSettings(lengths=((5, 5), (10, 5)))
_MANY = 32
_MANY_STEPS = 8


class Editing:
    """The facts to edit in, and a method's settings with eleven contexts."""

    def __init__(self, loaded: LoadedModel, edits: tuple[Edit, ...]) -> None:
        self.loaded = loaded
        self.edits = edits
        _ = loaded.fingerprint  # reads every weight, so that all are resident
        self.resident = resident_bytes()
        self.contexts = make_contexts(loaded, _CONTEXTS, seed=0)

    def settings(self, method: str) -> MethodSettings:
        """Return a method's settings for the model."""
        return resolve_settings(MethodChoice.model_validate({"base": method}), self.loaded.shape)

    def work(self, settings: MethodSettings) -> Work:
        """Return the sequence before its first edit."""
        paths = edited_modules(self.loaded, settings)
        moments = {}
        if settings.covariance is not None:
            moments = second_moments(self.loaded, paths, settings.covariance)
        return Work(contexts=self.contexts, edits=self.edits, moments=moments)

    def results(self) -> Iterator[Result]:
        """Measure everything in this file; the memory first, before anything has used more."""
        yield self.memory("rome-eac", 1)
        yield self.memory("memit-eac", _MANY)
        yield from self.step()
        yield self.whole_edit()
        yield self.many()
        yield self.deviation()
        yield self.guard()

    def memory(self, method: str, count: int) -> Result:
        """The peak of resident memory during an update, over that with the model loaded."""
        settings = self.few_steps(self.settings(method))
        work = replace(self.work(settings), edits=(self.edits * count)[:count])
        with peak_memory(self.loaded.device) as peak:
            self.edit(settings, work)
        over = "not told here"
        if peak.bytes and self.resident:
            over = f"{(peak.bytes - self.resident) / 2**20:.0f} MB over the loaded model"
        name = f"peak memory, {count} edit{'s' * (count > 1)} by {method}"
        return Result(name=name, measured=over, goal="400 MB")

    def few_steps(self, settings: MethodSettings) -> MethodSettings:
        """Return the same settings for a search of a few steps, none of which is the last."""
        value = settings.value.model_copy(update={"steps": _MANY_STEPS, "stop_loss": 0.0})
        changed: dict[str, object] = {"value": value}
        if settings.anchors is not None:
            changed["anchors"] = settings.anchors.model_copy(update={"steps": 1})
        return settings.model_copy(update=changed)

    def step(self, repeats: int = 3) -> Iterator[Result]:
        """One step of the search, forward and backward, for each fact."""
        layer = self.settings("rome-eac").layers[0]
        site = self.loaded.layout.down.format(layer)
        pairs, apart = [], 0.0
        for edit in self.edits:
            prompts = [prepare(self.loaded, edit, self.contexts)]
            plain = PlainObjective(self.loaded, prompts, layer=int(layer), site=site)
            tail = Objective(self.loaded, prompts, layer=int(layer), site=site)
            losses = [_step(each) for each in (plain, tail)]
            apart = max(apart, abs(losses[0] - losses[1]))
            pairs += in_turns(lambda: _step(plain), lambda: _step(tail), repeats)  # noqa: B023
        about = f"layer {layer}, {len(self.contexts)} contexts, {len(self.edits)} facts"
        yield Result(
            name="tail step / plain step", measured=times_faster(pairs), goal="5x", about=about
        )
        yield Result(
            name="  largest difference of losses", measured=f"{apart:.1e}", goal="1e-5 or less"
        )

    def whole_edit(self, count: int = 2) -> Result:
        """One edit with ``rome-eac``, from its text to its update."""
        settings = self.settings("rome-eac")
        work = self.work(settings)
        pairs = []
        for edit in self.edits[:count]:
            work = replace(work, edits=(edit,))
            fast = seconds(lambda: self.edit(settings, work))  # noqa: B023
            with replaced("pytest_eac.editing.locate_then_edit.Objective", PlainObjective):
                pairs.append((seconds(lambda: self.edit(settings, work)), fast))  # noqa: B023
        return Result(name="tail edit / plain edit", measured=times_faster(pairs), goal="5x")

    def edit(self, settings: MethodSettings, work: Work) -> None:
        """Solve one update."""
        solve(self.loaded, work.edits, settings, work)

    def many(self, repeats: int = 2) -> Result:
        """The values of 32 edits, together against one by one."""
        settings = self.few_steps(self.settings("memit"))
        solver = _Solver(self.loaded, settings, self.work(settings), Recipe(rule=memit))
        edits = (self.edits * _MANY)[:_MANY]
        prompts = [prepare(self.loaded, edit, self.contexts) for edit in edits]
        pairs = [
            (
                seconds(lambda: [solver.values([each], 0) for each in prompts]),
                seconds(lambda: solver.values(prompts, 0)),
            )
            for _ in range(repeats)
        ]
        return Result(
            name=f"{_MANY} targets together / one by one",
            measured=times_faster(pairs),
            goal="2.5x",
            about=f"{len(self.contexts)} contexts, {_MANY_STEPS} steps",
        )

    def deviation(self, repeats: int = 5) -> Result:
        """What it costs to measure the deviation after an edit."""
        settings = self.settings("rome-eac")
        work = replace(self.work(settings), edits=self.edits[:1])
        model = self.loaded.model
        with restored(model, edited_modules(self.loaded, settings)) as originals:
            took = seconds(
                lambda: [
                    apply_delta(model, delta)
                    for delta in solve(self.loaded, work.edits, settings, work).deltas
                ]
            )
            shares = [
                100 * seconds(lambda: measure_deviation(model, originals)) / took
                for _ in range(repeats)
            ]
        return Result(
            name="deviation / edit",
            measured=f"{sorted(shares)[repeats // 2]:.2f} % of the edit's time",
            goal="3 % or less",
        )

    def guard(self, repeats: int = 9) -> Result:
        """What it costs to check that an update has left everything else as it was."""
        settings = self.settings("rome")
        work = replace(self.work(settings), edits=self.edits[:1])
        took = seconds(lambda: self.edit(settings, work))

        def check() -> None:
            with unchanged_by(self.loaded, settings.base, edited_modules(self.loaded, settings)):
                pass

        check()  # the first one looks for what there is to compare
        times = sorted(seconds(check) for _ in range(repeats))
        return Result(
            name="guard / edit",
            measured=f"{100 * times[repeats // 2] / took:.2f} % of the edit's time",
            goal="3 % or less",
            about=f"{1000 * times[repeats // 2]:.0f} ms an update",
        )


def _step(objective: Objective | PlainObjective) -> float:
    deltas = torch.full_like(objective.init, 0.1).requires_grad_()
    loss = objective(deltas, [0]).nll.sum()
    loss.backward()
    return float(loss.detach())
