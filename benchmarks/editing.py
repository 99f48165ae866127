"""How fast edits are, against the plain way of making them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch as replaced

import torch

from benchmarks.plain import PlainObjective
from benchmarks.timing import Result, in_turns, seconds, times_faster
from pytest_eac.editing import methods
from pytest_eac.editing.contexts import make_contexts
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.methods import RECIPES, _Solver, edited_modules, locate_then_edit
from pytest_eac.editing.objective import Objective
from pytest_eac.editing.prompts import prepare
from pytest_eac.editing.solved import Work
from pytest_eac.lm.peak import peak_memory, resident_bytes
from pytest_eac.lm.weights import apply_delta, restored
from pytest_eac.measuring.deviation import measure_deviation
from pytest_eac.spec.resolve import resolve_settings
from pytest_eac.spec.schema import MethodChoice
from pytest_eac.spec.settings import ContextSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.settings import MethodSettings

# Ten sampled prefixes, half of 5 and half of 10 tokens, and the bare prompt.
_CONTEXTS = ContextSettings(lengths=((5, 5), (10, 5)))
_MANY = 32
_MANY_STEPS = 8


class Editing:
    """The facts to edit in, and a method's settings with eleven contexts."""

    def __init__(self, loaded: LoadedModel, edits: tuple[Edit, ...]) -> None:
        self.loaded = loaded
        self.edits = edits
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
        """Measure everything in this file."""
        yield from self.step()
        yield from self.whole_edit()
        yield from self.many()
        yield self.deviation()

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

    def whole_edit(self, count: int = 2) -> Iterator[Result]:
        """One edit with ``rome-eac``, from its text to its update."""
        settings = self.settings("rome-eac")
        work = self.work(settings)
        pairs, peaks = [], []
        for edit in self.edits[:count]:
            work = replace(work, edits=(edit,))
            before = resident_bytes()
            with peak_memory(self.loaded.device) as peak:
                fast = seconds(lambda: self.edit(settings, work))  # noqa: B023
            if peak.bytes and before:
                peaks.append(peak.bytes - before)
            with replaced.object(methods, "Objective", PlainObjective):
                pairs.append((seconds(lambda: self.edit(settings, work)), fast))  # noqa: B023
        yield Result(name="tail edit / plain edit", measured=times_faster(pairs), goal="5x")
        if peaks:
            most = f"{max(peaks) / 2**20:.0f} MB over what was resident"
            yield Result(name="  peak memory of the edit", measured=most, goal="400 MB")

    def edit(self, settings: MethodSettings, work: Work) -> None:
        """Solve one update."""
        locate_then_edit(self.loaded, work.edits, settings, work)

    def many(self, repeats: int = 1) -> Iterator[Result]:
        """The values of 32 edits, together against one by one."""
        settings = self.settings("memit")
        value = settings.value.model_copy(update={"steps": _MANY_STEPS, "stop_loss": 0.0})
        settings = settings.model_copy(update={"value": value})
        work = self.work(settings)
        solver = _Solver(self.loaded, settings, work, RECIPES["memit"])
        edits = (self.edits * _MANY)[:_MANY]
        prompts = [prepare(self.loaded, edit, self.contexts) for edit in edits]

        def one_by_one() -> None:
            for each in prompts:
                solver.values([each], 0)

        pairs, peaks = [], []
        for _ in range(repeats):
            slow = seconds(one_by_one)
            before = resident_bytes()
            with peak_memory(self.loaded.device) as peak:
                pairs.append((slow, seconds(lambda: solver.values(prompts, 0))))
            if peak.bytes and before:
                peaks.append(peak.bytes - before)
        about = f"{len(self.contexts)} contexts, {_MANY_STEPS} steps"
        yield Result(
            name=f"{_MANY} targets together / alone",
            measured=times_faster(pairs),
            goal="2.5x",
            about=about,
        )
        if peaks:
            most = f"{max(peaks) / 2**20:.0f} MB over what was resident"
            yield Result(name="  peak memory of the targets", measured=most, goal="400 MB")

    def deviation(self, repeats: int = 5) -> Result:
        """What it costs to measure the deviation after an edit."""
        settings = self.settings("rome-eac")
        work = replace(self.work(settings), edits=self.edits[:1])
        model = self.loaded.model
        with restored(model, edited_modules(self.loaded, settings)) as originals:
            took = seconds(
                lambda: [
                    apply_delta(model, delta)
                    for delta in locate_then_edit(self.loaded, work.edits, settings, work).deltas
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


def _step(objective: Objective | PlainObjective) -> float:
    deltas = torch.full_like(objective.init, 0.1).requires_grad_()
    loss = objective(deltas, [0]).nll.sum()
    loss.backward()
    return float(loss.detach())
