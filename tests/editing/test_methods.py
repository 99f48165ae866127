"""Every built-in method, whole, on tiny models that know a small world."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.editing.filters.prune import restrain
from pytest_eac.editing.interface import Solved, Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.locate_then_edit import locate_then_edit
from pytest_eac.editing.prompts import prepare
from pytest_eac.editing.recipe import Recipe
from pytest_eac.editing.sequence import Step, edit_in_sequence, solve
from pytest_eac.editing.updates.memit import MemitOptions, memit
from pytest_eac.editing.value import Searched, Value, solve_values
from pytest_eac.errors import EditError, NonFiniteError, SettingsError
from pytest_eac.lm.forward.hooks import capture
from pytest_eac.lm.layout import as_out_in, find_module
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.weights import WeightDelta, apply_delta, fingerprint, restored
from pytest_eac.scoring.answers import force
from pytest_eac.spec import registry
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.schema.methods import MethodChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from pytest_eac.editing.moment import Moment
    from pytest_eac.editing.objective import Objective
    from pytest_eac.editing.problem import Problem
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.settings import MethodSettings

    Moments = Mapping[str, Moment]
    Bring = Callable[[Callable[..., Any] | Method], MethodSettings]

METHODS = tuple(BUILT_IN)
WITH_VALUES = tuple(name for name in METHODS if BUILT_IN[name].takes_value)
FOR_MANY_EDITS = tuple(name for name in METHODS if BUILT_IN[name].many_edits)
FOR_MANY_LAYERS = tuple(name for name in METHODS if BUILT_IN[name].many_layers)
REMEMBERING = ("memit-prev", "encore", "alphaedit", "nas")
CONTEXTS = ("{}", "It is late. {}", "The bell rang. {}")
# The tiny models' inputs are small: their covariance has a mean diagonal of 0.01 to 0.04.
UPDATE = {"weight": 1.0, "threshold": 3e-3, "l2": 1e-2}


def settings_for(name: str, *, layers: tuple[int, ...] = (1,), **more: Any) -> MethodSettings:
    """The method's defaults, with weights that suit the tiny models."""
    update = {
        key: value for key, value in UPDATE.items() if key in BUILT_IN[name].update.model_fields
    }
    if name.startswith("emmet"):
        update["l2"] = 0.0
    given = {"base": name, "layers": layers, **more, "update": {**update, **more.get("update", {})}}
    return resolve_settings(MethodChoice.model_validate(given), {})


def chain_of(
    loaded: LoadedModel,
    settings: MethodSettings,
    edits: tuple[Edit, ...],
    moments: Moments,
    contexts: tuple[str, ...] = CONTEXTS,
) -> Work:
    """The work as it is before the first edit."""
    weights = {
        path: find_module(loaded.model, path).weight.detach().clone()  # type: ignore[operator]
        for path in edited_modules(loaded, settings)
    }
    return Work(contexts=contexts, edits=edits, originals=weights, moments=moments)


@contextmanager
def edited(
    loaded: LoadedModel,
    settings: MethodSettings,
    edits: tuple[Edit, ...],
    moments: Moments,
    *,
    batch: int = 1,
    contexts: tuple[str, ...] = CONTEXTS,
) -> Iterator[list[Step]]:
    """Make the edits; the model is as it was afterwards."""
    work = chain_of(loaded, settings, edits, moments, contexts)
    with restored(loaded.model, edited_modules(loaded, settings)):
        yield list(edit_in_sequence(loaded, settings, work, batch=batch))


def likelihoods(loaded: LoadedModel, edits: tuple[Edit, ...]) -> list[float]:
    pairs = [(edit.prompt, edit.ending) for edit in edits]
    return [each.log_likelihood for each in force(loaded, pairs)]


def weight_of(loaded: LoadedModel, path: str) -> Tensor:
    """A copy of a weight, (d_out, d_in), in float64."""
    module = find_module(loaded.model, path)
    return as_out_in(module.weight.detach(), module).double().clone()  # type: ignore[operator]


def output_at_subject(loaded: LoadedModel, edit: Edit, path: str) -> Tensor:
    """What a module says at the subject of the bare prompt, by a full forward pass."""
    return _at_subject(loaded, edit, path)[1]


def input_at_subject(loaded: LoadedModel, edit: Edit, path: str) -> Tensor:
    return _at_subject(loaded, edit, path)[0]


def _at_subject(loaded: LoadedModel, edit: Edit, path: str) -> tuple[Tensor, Tensor]:
    prompts = prepare(loaded, edit, ("{}",))
    with torch.no_grad(), capture(find_module(loaded.model, path)) as seen:
        loaded.model(input_ids=torch.tensor([prompts.rows[0]]))
    subject = prompts.subjects[0]
    read = seen.input[0, subject] if seen.input.numel() else torch.empty(0)
    return read, seen.output[0, subject]


# Every method


@pytest.mark.parametrize("name", METHODS)
def test_the_targets_become_likelier_and_only_the_declared_matrix_changes(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    settings = settings_for(name)
    before = {key: tensor.clone() for key, tensor in tiny.model.state_dict().items()}
    least = 0.0 if name == "ft-l" else 1.0  # FT-L may move each entry by 0.0005 only
    for edit in (world[1], world[8]):
        (then,) = likelihoods(tiny, (edit,))
        with edited(tiny, settings, (edit,), moments):
            (now,) = likelihoods(tiny, (edit,))
            changed = [
                key
                for key, tensor in tiny.model.state_dict().items()
                if not torch.equal(tensor, before[key])
            ]
        assert now > then + least
        assert changed == [f"{tiny.layout.down.format(1)}.weight"]
    after = tiny.model.state_dict()
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())


@pytest.mark.parametrize("name", METHODS)
def test_solving_leaves_the_model_alone_and_gives_the_same_twice(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    layers = (1, 2) if name in FOR_MANY_LAYERS else (1,)
    settings = settings_for(name, layers=layers)
    before = fingerprint(tiny.model)
    work = chain_of(tiny, settings, world[:1], moments)
    one, two = (solve(tiny, world[:1], settings, work) for _ in range(2))
    assert fingerprint(tiny.model) == before
    assert [delta.module for delta in one.deltas] == [tiny.layout.down.format(n) for n in layers]
    for first, second in zip(one.deltas, two.deltas, strict=True):
        assert torch.equal(first.dense, second.dense)
        assert first.norm > 0
    assert one.state.keys() == two.state.keys()
    assert all(torch.equal(one.state[key], two.state[key]) for key in one.state)


@pytest.mark.parametrize("name", ["rome-eac", "memit-prev", "prune", "nas-eac", "ft"])
def test_a_sequence_gives_the_same_weights_twice(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments, name: str
) -> None:
    settings = settings_for(name)
    prints = []
    for _ in range(2):
        with edited(tiny_llama, settings, world[:2], llama_moments):
            prints.append(fingerprint(tiny_llama.model))
    assert prints[0] == prints[1] != fingerprint(tiny_llama.model)


@pytest.mark.parametrize("name", FOR_MANY_EDITS)
def test_three_edits_fit_into_one_update(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments, name: str
) -> None:
    settings = settings_for(name)
    edits = (world[0], world[8], world[16])
    before = likelihoods(tiny_llama, edits)
    with edited(tiny_llama, settings, edits, llama_moments, batch=3) as steps:
        after = likelihoods(tiny_llama, edits)
    (step,) = steps
    assert step.indices == range(3)
    assert len(step.solved.values) == (3 if BUILT_IN[name].takes_value else 0)
    least = 0.0 if name == "ft-l" else 1.0
    assert all(now > then + least for then, now in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["memit", "memit-eac", "encore", "nas"])
def test_values_do_not_depend_on_how_many_share_a_pass(
    tiny_llama: LoadedModel,
    world: tuple[Edit, ...],
    llama_moments: Moments,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_for(name, value={"steps": 6})
    edits = (world[0], world[8], world[16], world[5])
    sizes: list[int] = []

    def counted(objective: Searched, *args: Any, **options: Any) -> list[Value]:
        sizes.append(len(objective.init))
        return solve_values(objective, *args, **options)

    monkeypatch.setattr("pytest_eac.editing.locate_then_edit.solve_values", counted)
    found = []
    for room in (1, 2**40):
        monkeypatch.setattr(LoadedModel, "spare_bytes", room)
        with edited(tiny_llama, settings, edits, llama_moments, batch=4) as steps:
            found.append(steps[0].solved.values)
    assert set(sizes[: len(sizes) * 4 // 5]) == {1}
    assert sizes[-1] == 4
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one.delta, other.delta, rtol=1e-2, atol=1e-3)
        assert one.anchors == other.anchors
        for ours, theirs in zip(one.stages[0], other.stages[0], strict=True):
            assert ours.total == pytest.approx(theirs.total, rel=1e-3)


def test_edits_share_a_pass_as_far_as_the_memory_goes(
    tiny_llama: LoadedModel,
    world: tuple[Edit, ...],
    llama_moments: Moments,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_for("memit", value={"steps": 1})
    edits = (world[0],) * 5
    work = chain_of(tiny_llama, settings, edits, llama_moments)
    passes: list[tuple[int, int]] = []

    def counted(objective: Objective, *args: Any, **options: Any) -> list[Value]:
        passes.append((len(objective.init), objective.saved_bytes()))
        return solve_values(objective, *args, **options)

    monkeypatch.setattr("pytest_eac.editing.locate_then_edit.solve_values", counted)

    def shared_out(room: float) -> list[int]:
        passes.clear()
        monkeypatch.setattr(LoadedModel, "spare_bytes", int(room))
        locate_then_edit(tiny_llama, edits, settings, work, recipe=Recipe(rule=memit))
        return [count for count, _ in passes]

    assert shared_out(1) == [1] * 5
    each = max(size for _, size in passes)
    assert shared_out(2.5 * each) == [2, 2, 1]
    assert shared_out(9 * each) == [5]


def test_a_sequence_in_batches_ends_with_what_is_left_over(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments
) -> None:
    settings = settings_for("memit")
    with edited(tiny_llama, settings, world[:5], llama_moments, batch=2) as steps:
        assert [step.indices for step in steps] == [range(2), range(2, 4), range(4, 5)]
        assert [len(step.solved.values) for step in steps] == [2, 2, 1]


@pytest.mark.parametrize("name", FOR_MANY_LAYERS)
def test_an_edit_is_spread_over_two_layers(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    settings = settings_for(name, layers=(1, 2))
    paths = [tiny.layout.down.format(layer) for layer in (1, 2)]
    originals = [weight_of(tiny, path) for path in paths]
    before = likelihoods(tiny, world[:1])
    with edited(tiny, settings, world[:1], moments):
        after = likelihoods(tiny, world[:1])
        assert all(
            not torch.equal(weight_of(tiny, path), original)
            for path, original in zip(paths, originals, strict=True)
        )
    assert after[0] > before[0] + (0.0 if name == "ft-l" else 1.0)


@pytest.mark.parametrize("name", WITH_VALUES)
def test_a_plain_value_moves_all_dimensions_and_an_eac_value_its_anchors_alone(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    settings = settings_for(name)
    (value,) = solve(tiny, world[:1], settings, chain_of(tiny, settings, world[:1], moments)).values
    if name.startswith("nas"):  # which then rescales the value as a whole
        return
    moved = tuple(value.delta.nonzero()[:, 0].tolist())
    if name.endswith("-eac"):
        assert moved == value.anchors
        assert len(moved) == 12  # a fifth of 64
        assert len(value.stages) == 2
    else:
        assert value.anchors is None
        assert len(moved) == 64
        assert len(value.stages) == 1


# Layers


@pytest.mark.parametrize("name", ["memit", "memit-prev", "rect"])
def test_the_residual_is_shared_out_and_the_value_is_met_at_the_last_layer(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    more = {"keep": 1.0} if name == "rect" else {}
    settings = settings_for(name, layers=(1, 2), update={"weight": 1e-5, **more})
    edit, down = world[0], tiny.layout.down.format(1)
    work = chain_of(tiny, settings, (edit,), moments, contexts=("{}",))
    solved = solve(tiny, (edit,), settings, work)
    (value,) = solved.values
    end = tiny.layout.layer.format(2)
    torch.testing.assert_close(output_at_subject(tiny, edit, end), value.init)
    before = output_at_subject(tiny, edit, down)
    with restored(tiny.model, edited_modules(tiny, settings)):
        apply_delta(tiny.model, solved.deltas[0])
        half = output_at_subject(tiny, edit, down) - before
        assert _relative(half, value.delta / 2) < 0.01
        apply_delta(tiny.model, solved.deltas[1])
        assert _relative(output_at_subject(tiny, edit, end), value.init + value.delta) < 0.01


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(("name", "site"), [("rome", "down"), ("memit", "layer")])
def test_a_value_is_the_mlps_output_for_rome_and_the_whole_layers_for_memit(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str, site: str
) -> None:
    settings = settings_for(name)
    (value,) = solve(tiny, world[:1], settings, chain_of(tiny, settings, world[:1], moments)).values
    path = getattr(tiny.layout, site).format(1)
    torch.testing.assert_close(value.init, output_at_subject(tiny, world[0], path))
    written = output_at_subject(tiny, world[0], tiny.layout.down.format(1))
    torch.testing.assert_close(value.written, written)


# What is remembered


@pytest.mark.parametrize("name", [*REMEMBERING, *(f"{name}-eac" for name in REMEMBERING)])
def test_the_key_of_each_edit_is_remembered_in_every_layer(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    settings = settings_for(name, layers=(1, 2))
    paths = edited_modules(tiny, settings)
    work = chain_of(tiny, settings, world[:4], moments, contexts=("{}",))
    with restored(tiny.model, paths):
        first = input_at_subject(tiny, world[0], paths[0])
        steps = edit_in_sequence(tiny, settings, work, batch=2)
        state = next(steps).solved.state
        third = input_at_subject(tiny, world[2], paths[0])
        later = next(steps).solved.state
    for path in paths:
        assert state[f"keys:{path}"].shape[1] == 2
        assert later[f"keys:{path}"].shape[1] == 4
        assert torch.equal(later[f"keys:{path}"][:, :2], state[f"keys:{path}"])
    torch.testing.assert_close(later[f"keys:{paths[0]}"][:, 0], first)
    torch.testing.assert_close(later[f"keys:{paths[0]}"][:, 2], third)


@pytest.mark.parametrize(
    "name", [name for name in METHODS if not name.startswith((*REMEMBERING, "prune"))]
)
def test_the_others_remember_nothing(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments, name: str
) -> None:
    with edited(tiny_llama, settings_for(name), world[:1], llama_moments) as steps:
        assert steps[0].solved.state == {}


@pytest.mark.parametrize("name", ["memit-prev", "encore", "alphaedit"])
def test_what_was_said_to_earlier_keys_stays(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, name: str
) -> None:
    """The second update, solved with and without the memory of the first."""
    settings = settings_for(name, update={"l2": 1e-4} if name != "memit-prev" else {})
    work = chain_of(tiny, settings, world[:2], moments, contexts=("{}",))
    path = tiny.layout.down.format(1)
    with restored(tiny.model, [path]):
        key = input_at_subject(tiny, world[0], path)
        first = solve(tiny, world[:1], settings, work)
        for delta in first.deltas:
            apply_delta(tiny.model, delta)
        with_memory = solve(tiny, world[1:2], settings, _next(work, first))
        without = solve(tiny, world[1:2], settings, _next(work, Solved(deltas=())))
    assert torch.equal(with_memory.values[0].delta, without.values[0].delta)
    disturbed = [float((each.deltas[0].dense @ key).norm()) for each in (with_memory, without)]
    assert disturbed[0] < 0.9 * disturbed[1]


def _next(work: Work, before: Solved) -> Work:
    return Work(
        contexts=work.contexts,
        edits=work.edits,
        done=1,
        originals=work.originals,
        moments=work.moments,
        state=before.state,
    )


@pytest.mark.parametrize("name", REMEMBERING)
def test_more_earlier_keys_than_inputs_are_solved_with_by_their_sum(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments, name: str
) -> None:
    """The twin has the same keys and no sum: it solves with each of them."""
    settings = settings_for(name)
    work = chain_of(tiny_llama, settings, world[:1], llama_moments)
    path = tiny_llama.layout.down.format(1)
    d_in = len(llama_moments[path].matrix)
    keys = 0.1 * torch.randn(d_in, d_in + 5, generator=torch.Generator().manual_seed(1))
    recipe = BUILT_IN[name].solve
    assert isinstance(recipe, Recipe)
    sums: list[bool] = []

    def without(problem: Problem) -> WeightDelta:
        sums.append(problem.earlier_sum is not None)
        return recipe.rule(replace(problem, earlier_sum=None))

    found = []
    for each in (recipe, replace(recipe, rule=without)):
        many = replace(work, done=1, state={f"keys:{path}": keys}, kept={})
        solved = locate_then_edit(tiny_llama, world[:1], settings, many, recipe=each)
        found.append(solved.deltas[0].dense)
        assert solved.state[f"keys:{path}"].shape == (d_in, d_in + 6)
    assert sums == [True]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5 * float(found[1].abs().max()))


def test_memit_with_previous_keys_parts_from_memit_at_the_second_edit(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments
) -> None:
    found = {}
    for name in ("memit", "memit-prev"):
        with edited(tiny, settings_for(name), world[:2], moments) as steps:
            found[name] = [step.solved.deltas[0].dense for step in steps]
    assert torch.equal(found["memit"][0], found["memit-prev"][0])
    assert not torch.allclose(found["memit"][1], found["memit-prev"][1], rtol=1e-3)


# PRUNE


@pytest.mark.parametrize("layers", [(1,), (1, 2)])
def test_prune_is_the_restrained_sum_of_free_edits_at_every_point(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, layers: tuple[int, ...]
) -> None:
    base = 1.5
    free = settings_for("memit", layers=layers)
    held = settings_for("prune", layers=layers, update={"log_base": base})
    paths = [tiny.layout.down.format(layer) for layer in layers]
    originals = {path: weight_of(tiny, path) for path in paths}
    restrained = 0
    for count in (1, 2, 3):
        with edited(tiny, free, world[:count], moments):
            sums = {path: weight_of(tiny, path) - originals[path] for path in paths}
        with edited(tiny, held, world[:count], moments) as steps:
            state = steps[-1].solved.state
            for path in paths:
                wanted = originals[path] + restrain(sums[path], originals[path], base)
                assert _relative(weight_of(tiny, path), wanted) < 1e-4
                assert _relative(state[f"free:{path}"].double(), sums[path]) < 1e-4
                most = torch.linalg.matrix_norm(originals[path], ord=2)
                restrained += bool(torch.linalg.matrix_norm(sums[path], ord=2) > 1.05 * most)
    # Spread over two layers, the changes are too small for that on the tiny GPT-2.
    assert restrained >= 2 or len(layers) == 2, "no singular value was restrained"


# NAS


def test_nas_gives_every_value_the_mean_norm_of_values_on_the_unedited_model(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments
) -> None:
    edits, plain, nas = world[:4], settings_for("alphaedit"), settings_for("nas")
    norms = []
    for edit in edits:
        work = chain_of(tiny, plain, (edit,), moments, ("{}",))
        (value,) = solve(tiny, (edit,), plain, work).values
        norms.append(float((value.written + value.delta).norm()))
    anchor = sum(norms) / 4  # of fewer than twenty norms none is left out
    with edited(tiny, nas, edits, moments) as steps:
        solved = [step.solved for step in steps]
    for each in solved:
        (value,) = each.values
        assert float(each.state["value_norm"]) == pytest.approx(anchor, rel=1e-5)
        assert float((value.written + value.delta).norm()) == pytest.approx(anchor, rel=1e-5)


def test_nas_with_eac_rescales_the_anchors_alone(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments
) -> None:
    settings = settings_for("nas-eac")
    rescaled = 0
    with edited(tiny, settings, world[:4], moments) as steps:
        for step in steps:
            (value,) = step.solved.values
            off = torch.ones_like(value.delta, dtype=torch.bool)
            off[list(value.anchors or ())] = False
            assert not value.delta[off].any()
            norm, wanted = (value.written + value.delta).norm(), step.solved.state["value_norm"]
            rescaled += float(norm) == pytest.approx(float(wanted), rel=1e-5)
    assert rescaled > 0


def test_the_largest_twentieth_of_the_norms_is_left_out(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments
) -> None:
    plain, nas, norms = settings_for("alphaedit"), settings_for("nas"), []
    for edit in world[:20]:
        work = chain_of(tiny_llama, plain, (edit,), llama_moments, ("{}",))
        (value,) = solve(tiny_llama, (edit,), plain, work).values
        norms.append(float((value.written + value.delta).norm()))
    work = chain_of(tiny_llama, nas, world[:22], llama_moments)
    found = solve(tiny_llama, world[:1], nas, work).state["value_norm"]
    assert float(found) == pytest.approx(sum(sorted(norms)[:-1]) / 19, rel=1e-5)


def test_nas_leaves_the_direction_of_a_value_and_the_rest_of_the_layer_alone(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments
) -> None:
    found = []
    for name in ("alphaedit", "nas"):
        settings = settings_for(name)
        work = chain_of(tiny, settings, world[:2], moments)
        found.append(solve(tiny, world[:1], settings, work).values[0])
    free, anchored = found
    assert torch.equal(free.init, anchored.init)
    one, two = free.written + free.delta, anchored.written + anchored.delta
    assert float(torch.cosine_similarity(one, two, dim=0)) == pytest.approx(1, abs=1e-6)
    assert not torch.allclose(one, two, rtol=1e-3)


def test_prune_keeps_the_norm_of_nas(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], llama_moments: Moments
) -> None:
    settings = settings_for("prune", value={"norm": "anchored"})
    with edited(tiny_llama, settings, world[:2], llama_moments) as steps:
        norms = [step.solved.state["value_norm"] for step in steps]
        values = [step.solved.values[0] for step in steps]
    assert torch.equal(norms[0], norms[1])
    for value in values:
        wanted = pytest.approx(float(norms[0]), rel=1e-5)
        assert float((value.written + value.delta).norm()) == wanted


# Fine-tuning


def test_fine_tuning_brings_the_loss_down_and_stops_there(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    settings = settings_for("ft", update={"steps": 200})
    before = likelihoods(tiny, world[:1])[0]
    with edited(tiny, settings, world[:1], {}) as steps:
        after = likelihoods(tiny, world[:1])[0]
    losses = steps[0].solved.losses
    assert losses[0] == pytest.approx(-before, rel=1e-4)
    assert len(losses) < 200
    assert losses[-1] < 0.01 <= losses[-2]
    assert losses[-1] == pytest.approx(-after, rel=1e-2)


def test_fine_tuning_takes_as_many_steps_as_it_is_given(
    tiny_llama: LoadedModel, world: tuple[Edit, ...]
) -> None:
    settings = settings_for("ft", update={"steps": 3, "learning_rate": 1e-4})
    with edited(tiny_llama, settings, world[:1], {}) as steps:
        solved = steps[0].solved
    assert len(solved.losses) == 3
    # Adam's steps are of the learning rate's size: three of them, each entry the same way.
    assert float(solved.deltas[0].dense.abs().max()) == pytest.approx(3e-4, rel=1e-2)


def test_constrained_fine_tuning_stays_within_its_radius(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    settings = settings_for("ft-l", update={"radius": 7e-4, "learning_rate": 5e-4})
    work = chain_of(tiny, settings, world[:1], {})
    change = solve(tiny, world[:1], settings, work).deltas[0].dense.abs()
    assert float(change.max()) == pytest.approx(7e-4)
    assert float((change > 6.9e-4).float().mean()) > 0.2


# Errors


def test_an_error_in_a_search_names_the_edit_that_it_is_about(
    tiny_llama: LoadedModel,
    world: tuple[Edit, ...],
    llama_moments: Moments,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The edits are searched in the order of their lengths, and named in that of the spec."""
    monkeypatch.setattr(LoadedModel, "spare_bytes", 1)
    settings = settings_for("memit")
    broken = world[1].subject

    def solved(objective: Searched, *args: Any, **options: Any) -> list[Value]:
        if options["seeds"] == [1]:
            raise NonFiniteError("the loss is nan", edit=0)
        return solve_values(objective, *args, **options)

    monkeypatch.setattr("pytest_eac.editing.locate_then_edit.solve_values", solved)
    with (
        pytest.raises(NonFiniteError, match=f"edits 1 to 3 of 3: {broken} .*the loss is nan"),
        edited(tiny_llama, settings, world[:3], llama_moments, batch=3),
    ):
        pass


@pytest.mark.parametrize(("name", "batch"), [("memit", 3), ("memit", 1), ("prune", 3)])
def test_an_error_names_the_edit_that_it_is_about(
    tiny_llama: LoadedModel,
    world: tuple[Edit, ...],
    llama_moments: Moments,
    name: str,
    batch: int,
) -> None:
    much = "The bell rang. " * 60
    long = replace(
        world[2],
        prompt=much + world[2].prompt,
        start=len(much) + world[2].start,
        origin="here.jsonl:7",
    )
    edits = (*world[:2], long, world[3])
    work = chain_of(tiny_llama, settings_for(name), edits, llama_moments, contexts=("{}",))
    before = fingerprint(tiny_llama.model)
    paths = edited_modules(tiny_llama, settings_for(name))
    with pytest.raises(EditError) as raised, restored(tiny_llama.model, paths):
        list(edit_in_sequence(tiny_llama, settings_for(name), work, batch=batch))
    where = f"edit 3 of 4 ({long.subject}, here.jsonl:7): the prompt 'The bell rang."
    if batch == 3:
        where = f"edits 1 to 3 of 4: {long.subject} (here.jsonl:7): the prompt 'The bell rang."
    assert str(raised.value).startswith(where)
    assert str(raised.value).count(long.subject) == 1
    assert fingerprint(tiny_llama.model) == before


# Methods of other packages


@pytest.fixture
def bring(_own_registry: None) -> Bring:
    """Make a method known as ``own``; returns settings for it."""

    def known(method: Callable[..., Any] | Method) -> MethodSettings:
        registry.register(registry.METHODS, "own", method)
        return resolve_settings(MethodChoice.model_validate({"base": "own", "layers": (1,)}), {})

    return known


seen: list[Any] = []


def three(model: Any, edits: Any, settings: Any) -> Solved:
    return Solved(deltas=())


def four(model: Any, edits: Any, settings: Any, sequence: Any) -> Solved:
    seen.append(sequence)
    return Solved(deltas=())


def with_default(model: Any, edits: Any, settings: Any, work: Any = None) -> Solved:
    seen.append(work)
    return Solved(deltas=())


def positional_only(model: Any, edits: Any, settings: Any, work: Any = None, /) -> Solved:
    seen.append(work)
    return Solved(deltas=())


def later(model: Any, edits: Any, settings: Any, rate: float = 0.1, work: Any = None) -> Solved:
    assert rate == 0.1
    seen.append(work)
    return Solved(deltas=())


def by_name(model: Any, edits: Any, settings: Any, *, rate: float = 0.1, work: Any) -> Solved:
    assert rate == 0.1
    seen.append(work)
    return Solved(deltas=())


def by_name_behind_others(model: Any, *others: Any, work: Any) -> Solved:
    assert len(others) == 2
    seen.append(work)
    return Solved(deltas=())


def starred(*given: Any, **more: Any) -> Solved:
    assert not more
    seen.append(given[3])
    return Solved(deltas=())


def another(model: Any, edits: Any, settings: Any, rate: float = 0.1) -> Solved:
    assert rate == 0.1
    return Solved(deltas=())


def keywords(model: Any, edits: Any, settings: Any, *, rate: float = 0.1, **more: Any) -> Solved:
    assert (rate, more) == (0.1, {})
    return Solved(deltas=())


class Callable4:
    def __call__(self, model: Any, edits: Any, settings: Any, work: Any) -> Solved:
        seen.append(work)
        return Solved(deltas=())


def with_rate(rate: float, model: Any, edits: Any, settings: Any, work: Any) -> Solved:
    assert rate == 0.2
    seen.append(work)
    return Solved(deltas=())


@pytest.mark.parametrize(
    ("method", "asks"),
    [
        (three, False),
        (four, True),
        (with_default, True),
        (positional_only, True),
        (later, True),
        (by_name, True),
        (by_name_behind_others, True),
        (starred, True),
        (another, False),
        (keywords, False),
        (Callable4(), True),
        (partial(with_rate, 0.2), True),
        (partial(another, rate=0.1), False),
        (partial(by_name, rate=0.1), True),
    ],
)
def test_a_method_is_given_the_work_if_it_asks_for_it(
    tiny_llama: LoadedModel,
    world: tuple[Edit, ...],
    bring: Bring,
    method: Callable[..., Any],
    asks: bool,
) -> None:
    seen.clear()
    settings = bring(method)
    work = Work(edits=world[:1])
    solve(tiny_llama, world[:1], settings, work)
    assert seen == ([work] if asks else [])


@pytest.mark.parametrize("count", [1, 3])
def test_a_method_with_a_wrong_number_of_values_is_told(
    tiny_llama: LoadedModel,
    world: tuple[Edit, ...],
    llama_moments: Moments,
    bring: Bring,
    count: int,
) -> None:
    memit_ = settings_for("memit")
    work = chain_of(tiny_llama, memit_, world[:1], llama_moments)
    value = solve(tiny_llama, world[:1], memit_, work).values[0]
    settings = bring(lambda *_: Solved(deltas=(), values=(value,) * count))
    with pytest.raises(EditError) as raised:
        list(edit_in_sequence(tiny_llama, settings, Work(edits=world[:2]), batch=2))
    assert str(raised.value) == f"edits 1 to 2 of 2: own returned {count} values for 2 edits"


def halved(problem: Problem) -> WeightDelta:
    delta = memit(problem)
    return replace(delta, left=delta.left / 2)


@pytest.mark.parametrize("twin", ["", "-eac"])
def test_a_recipe_of_another_package_is_a_method_with_its_twin(
    tiny: LoadedModel, world: tuple[Edit, ...], moments: Moments, bring: Bring, twin: str
) -> None:
    rule = partial(locate_then_edit, recipe=Recipe(rule=halved))
    bring(Method(solve=rule, takes_value=True, covariance=True, update=MemitOptions))
    given = {"base": f"own{twin}", "layers": (1, 2), "update": {"weight": 1.0}}
    own = resolve_settings(MethodChoice.model_validate(given), {})
    whole = settings_for(f"memit{twin}", layers=(1, 2))
    assert edited_modules(tiny, own) == edited_modules(tiny, whole)
    found, other = (
        solve(tiny, world[:2], each, chain_of(tiny, each, world[:2], moments))
        for each in (own, whole)
    )
    for value, same in zip(found.values, other.values, strict=True):
        assert (value.anchors is not None) == bool(twin)
        assert torch.equal(value.delta, same.delta)
    torch.testing.assert_close(found.deltas[0].dense * 2, other.deltas[0].dense)
    before = likelihoods(tiny, world[:2])
    with edited(tiny, own, world[:2], moments, batch=2):
        assert all(map(float.__gt__, likelihoods(tiny, world[:2]), before))


def test_a_recipe_of_another_package_cannot_be_shared_out_behind_a_norm(
    tiny_llama: LoadedModel, bring: Bring
) -> None:
    rule = partial(locate_then_edit, recipe=Recipe(rule=memit))
    one = bring(Method(solve=rule, takes_value=True))
    normed = replace(tiny_llama, layout=replace(tiny_llama.layout, normed=True))
    assert len(edited_modules(normed, one)) == 1
    two = one.model_copy(update={"layers": (1, 2)})
    assert len(edited_modules(tiny_llama, two)) == 2
    with pytest.raises(SettingsError, match="own cannot share an edit out over layers"):
        edited_modules(normed, two)
