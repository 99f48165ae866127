"""Whole edits on tiny models that know a small world."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eac.editing.interface import Work
from pytest_eac.editing.keys import grouped_key, read_keys, read_outputs
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.objective import Objective
from pytest_eac.editing.problem import Problem
from pytest_eac.editing.prompts import make_contexts, prepare
from pytest_eac.editing.sequence import edit_in_sequence, solve
from pytest_eac.editing.updates.rome import mean_key, r_rome, rome
from pytest_eac.errors import EditError, NonFiniteError
from pytest_eac.lm.forward.hooks import capture
from pytest_eac.lm.layout import as_out_in, find_module
from pytest_eac.lm.tokens import encode
from pytest_eac.lm.weights import apply_delta, fingerprint, restored
from pytest_eac.scoring.answers import force
from pytest_eac.spec.schema.settings import ContextSettings, MethodSettings
from pytest_eac.spec.types import Strict

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit

CONTEXTS = ("{}", "It is late. {}", "The bell rang. {}")


def _settings(method: str, **more: Any) -> MethodSettings:
    anchors = {"ratio": 0.2} if method == "rome-eac" else None
    return MethodSettings.model_validate(
        {"base": method, "layers": (LAYER,), "anchors": anchors, **more}
    )


def _work(edits: tuple[Edit, ...]) -> Work:
    return Work(contexts=CONTEXTS, edits=edits)


LAYER = 1


@pytest.mark.parametrize("method", ["rome", "rome-eac"])
def test_an_edit_makes_the_target_likelier(
    tiny: LoadedModel, world: tuple[Edit, ...], method: str
) -> None:
    better = 0
    for edit in world[:6]:
        settings_ = _settings(method)
        with restored(tiny.model, edited_modules(tiny, settings_)):
            (before,) = force(tiny, [(edit.prompt, edit.ending)])
            for delta in solve(tiny, (edit,), settings_, _work((edit,))).deltas:
                apply_delta(tiny.model, delta)
            (after,) = force(tiny, [(edit.prompt, edit.ending)])
        better += after.log_likelihood > before.log_likelihood + 1
    assert better == 6


@settings(max_examples=8)
@given(index=st.integers(0, 23), ratio=st.sampled_from([0.05, 0.2, 0.5]))
def test_a_rome_eac_step_is_rank_one_and_zero_off_its_anchors(
    tiny: LoadedModel, world: tuple[Edit, ...], index: int, ratio: float
) -> None:
    settings_ = _settings("rome-eac", anchors={"ratio": ratio})
    (path,) = edited_modules(tiny, settings_)
    module = find_module(tiny.model, path)
    with restored(tiny.model, [path]) as originals:
        (step,) = edit_in_sequence(tiny, settings_, _work(world[index : index + 1]))
        moved = as_out_in(module.weight - originals[path], module)  # type: ignore[operator]
    anchors = step.solved.values[0].anchors
    assert anchors is not None
    assert len(anchors) == int(ratio * moved.shape[0])
    off = [row for row in range(moved.shape[0]) if row not in anchors]
    assert not moved[off].any()
    assert moved[list(anchors)].any()
    singular = torch.linalg.svdvals(moved.double())
    assert singular[1] < 1e-5 * singular[0]
    assert step.solved.deltas[0].left.shape[1] == 1


def test_romes_update_maps_the_bare_key_to_the_value_exactly(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    edit = world[0]
    solved = solve(tiny, (edit,), _settings("rome"), _work((edit,)))
    with restored(tiny.model, [solved.deltas[0].module]):
        apply_delta(tiny.model, solved.deltas[0])
        after = Objective(tiny, [prepare(tiny, edit, CONTEXTS)], layer=LAYER)
    (value,) = solved.values
    wanted = value.init + value.delta
    torch.testing.assert_close(after.init[0], wanted, rtol=1e-3, atol=1e-3)


def test_the_update_solves_its_equation_for_any_key() -> None:
    generator = torch.Generator().manual_seed(0)
    key = torch.randn(7, generator=generator)
    mean_key = key + 0.3 * torch.randn(7, generator=generator)
    delta = torch.randn(5, generator=generator)
    update = rome(_problem(delta, key, mean_key))
    torch.testing.assert_close(update.dense @ key, delta)
    # It is the smallest such change among those that read the input along the mean key only.
    other = torch.linalg.lstsq((key @ mean_key)[None, None], delta[None]).solution
    torch.testing.assert_close(update.dense, other.T @ mean_key[None])


def test_keys_that_are_almost_orthogonal_are_refused_by_rome_but_not_by_r_rome() -> None:
    problem = _problem(torch.ones(3), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1]))
    with pytest.raises(EditError, match=r"almost orthogonal.*take r-rome"):
        rome(problem)
    assert bool(torch.isfinite(r_rome(problem).dense).all())


def _problem(delta: Tensor, key: Tensor, mean_key: Tensor) -> Problem:
    return Problem(
        module="m",
        weight=torch.zeros(len(delta), len(key)),
        bare_keys=key[:, None],
        keys=mean_key[:, None],
        residuals=delta[:, None],
        earlier=torch.empty(len(key), 0),
        moment=None,
        options=Strict(),
    )


def test_only_the_declared_matrix_changes(tiny: LoadedModel, world: tuple[Edit, ...]) -> None:
    settings_ = _settings("rome-eac")
    (path,) = edited_modules(tiny, settings_)
    before = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    with restored(tiny.model, [path]):
        list(edit_in_sequence(tiny, settings_, _work(world[:3])))
        changed = [
            name
            for name, tensor in tiny.model.state_dict().items()
            if not torch.equal(tensor, before[name])
        ]
    assert changed == [f"{path}.weight"]


def test_edits_build_on_one_another(tiny: LoadedModel, world: tuple[Edit, ...]) -> None:
    """The second edit starts from the first one's model: it is not an edit of the original."""
    settings_ = _settings("rome")
    (alone,) = solve(tiny, world[1:2], settings_, _work(world[:2])).values
    with restored(tiny.model, edited_modules(tiny, settings_)):
        _, second = edit_in_sequence(tiny, settings_, _work(world[:2]))
    assert not torch.allclose(second.solved.values[0].init, alone.init, atol=1e-6)


def test_an_edit_that_fails_names_itself_and_leaves_the_weights(
    tiny: LoadedModel, world: tuple[Edit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise NonFiniteError("the loss is nan at step 3 of the search")

    before = fingerprint(tiny.model)
    settings_ = _settings("rome")
    with restored(tiny.model, edited_modules(tiny, settings_)):
        steps = edit_in_sequence(tiny, settings_, _work(world[:2]))
        next(steps)
        assert fingerprint(tiny.model) != before
        monkeypatch.setattr("pytest_eac.editing.sequence.solve", broken)
        with pytest.raises(NonFiniteError) as caught:
            next(steps)
    assert str(caught.value).startswith(f"edit 2 of 2 ({world[1].subject}, {world[1].origin}): ")
    assert fingerprint(tiny.model) == before


def test_contexts_are_the_same_for_the_same_seed_and_differ_for_another(
    tiny: LoadedModel,
) -> None:
    lengths = ContextSettings(lengths=((3, 2), (5, 1)))
    state = torch.random.get_rng_state()
    first = make_contexts(tiny, lengths, seed=0)
    assert first == make_contexts(tiny, lengths, seed=0)
    assert first != make_contexts(tiny, lengths, seed=1)
    assert first[0] == "{}"
    assert len(first) == 4
    assert all(context.count("{}") == 1 for context in first)
    assert all(context.endswith(". {}") for context in first[1:])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_bare_prompt_is_always_the_first_context(tiny: LoadedModel) -> None:
    given = ContextSettings(texts=("In short, {}", "{}", "It is late. {}"))
    assert make_contexts(tiny, given, seed=0) == ("{}", "In short, {}", "It is late. {}")


@pytest.mark.parametrize("whole_layer", [False, True])
def test_the_whole_and_the_tail_objective_agree(
    tiny: LoadedModel, world: tuple[Edit, ...], *, whole_layer: bool
) -> None:
    prompts = [prepare(tiny, edit, CONTEXTS) for edit in world[2:5]]
    site = tiny.layout.layer.format(LAYER) if whole_layer else None
    results = []
    for whole in (True, False):
        objective = Objective(tiny, prompts, layer=LAYER, site=site, whole=whole)
        deltas = torch.linspace(-1, 1, objective.init.numel()).view_as(objective.init)
        deltas.requires_grad_()
        outcome = objective(deltas, range(3))
        outcome.nll.sum().backward()
        results.append((objective, outcome, deltas.grad))
    (one, whole_outcome, whole_gradient), (two, tail_outcome, tail_gradient) = results
    for name in ("init", "written"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole_outcome.nll, tail_outcome.nll, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole_outcome.essence, tail_outcome.essence, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whole_gradient, tail_gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("whole", [True, False])
def test_edits_in_one_pass_come_out_as_if_alone(
    tiny: LoadedModel, world: tuple[Edit, ...], *, whole: bool
) -> None:
    prompts = [prepare(tiny, edit, CONTEXTS[: 2 + at]) for at, edit in enumerate(world[2:5])]
    together = Objective(tiny, prompts, layer=LAYER, whole=whole)
    deltas = torch.linspace(-1, 1, together.init.numel()).view_as(together.init).requires_grad_()
    for chosen in ([0, 1, 2], [0, 2], [1]):
        outcome = together(deltas[chosen], chosen)
        (gradients,) = torch.autograd.grad(outcome.nll.sum(), deltas)
        assert not gradients[[each for each in range(3) if each not in chosen]].any()
        for place, edit in enumerate(chosen):
            alone = Objective(tiny, [prompts[edit]], layer=LAYER)
            delta = deltas[[edit]].detach().requires_grad_()
            single = alone(delta, [0])
            (gradient,) = torch.autograd.grad(single.nll.sum(), delta)
            torch.testing.assert_close(alone.init[0], together.init[edit], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(single.nll[0], outcome.nll[place], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(
                single.essence[0], outcome.essence[place], rtol=1e-4, atol=1e-4
            )
            assert single.said[0] == outcome.said[place]
            torch.testing.assert_close(gradient[0], gradients[edit], rtol=1e-3, atol=1e-5)


def test_what_a_pass_keeps_grows_with_its_edits_and_holds_no_weights(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    prompts = prepare(tiny, world[2], CONTEXTS)
    one, four = (Objective(tiny, [prompts] * count, layer=LAYER).saved_bytes() for count in (1, 4))
    assert one * 3.5 < four < one * 4.5


def test_looking_at_what_a_pass_keeps_keeps_nothing(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    objective = Objective(tiny, [prepare(tiny, world[2], CONTEXTS)], layer=LAYER)

    def alive() -> int:
        gc.collect()
        return sum(type(each) is torch.Tensor for each in gc.get_objects())

    before = alive()
    objective.saved_bytes()
    assert alive() == before


@pytest.mark.parametrize("site", ["down", "layer"])
def test_keys_and_outputs_are_what_the_whole_model_gives_at_the_subject(
    tiny: LoadedModel, world: tuple[Edit, ...], site: str
) -> None:
    prompts = [prepare(tiny, edit, CONTEXTS) for edit in world[:2]]
    path = getattr(tiny.layout, site).format(LAYER)
    module = find_module(tiny.model, path)
    keys, outputs = read_keys(tiny, prompts, path), read_outputs(tiny, prompts, path)
    assert outputs.shape == (64, 2)
    for index, each in enumerate(prompts):
        assert keys[index].shape[0] == len(CONTEXTS)
        for row, (ids, subject) in enumerate(zip(each.rows, each.subjects, strict=True)):
            with torch.no_grad(), capture(module) as seen:
                tiny.model(input_ids=torch.tensor([ids]))
            if seen.input.numel():  # some layers are called by keyword alone
                torch.testing.assert_close(keys[index][row], seen.input[0, subject])
            if row == 0:
                torch.testing.assert_close(outputs[:, index], seen.output[0, subject])


def test_a_key_is_averaged_over_all_contexts_or_over_the_two_groups() -> None:
    keys = torch.tensor([[6.0, 0.0], [0.0, 3.0], [0.0, 6.0]])
    assert mean_key(keys).tolist() == [2, 3]
    assert grouped_key(keys).tolist() == [3, 2.25]
    assert grouped_key(keys[:1]).tolist() == mean_key(keys[:1]).tolist() == [6, 0]


def test_the_objectives_loss_is_the_teacher_forced_likelihood(
    tiny: LoadedModel, world: tuple[Edit, ...]
) -> None:
    edit = world[3]
    objective = Objective(tiny, [prepare(tiny, edit, CONTEXTS)], layer=LAYER)
    outcome = objective(torch.zeros_like(objective.init), [0])
    texts = [context.replace("{}", edit.prompt) for context in CONTEXTS]
    likely = [each.log_likelihood for each in force(tiny, [(text, edit.ending) for text in texts])]
    assert float(outcome.nll) == pytest.approx(-sum(likely) / len(likely), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("whole", [True, False])
def test_what_a_subject_is_taken_for_is_read_at_its_last_token(
    tiny: LoadedModel, world: tuple[Edit, ...], *, whole: bool
) -> None:
    prompts = [prepare(tiny, edit, CONTEXTS) for edit in world[2:5]]
    objective = Objective(tiny, prompts, layer=LAYER, whole=whole)
    found = objective(torch.zeros_like(objective.init), range(3)).essence
    for edit, essence in zip(world[2:5], found, strict=True):
        ids = list(encode(tiny.tokenizer, f"{edit.subject} is a"))
        texts = [
            tiny.tokenizer.decode(ids[: end + 1], skip_special_tokens=True)
            for end in range(len(ids))
        ]
        (last,) = (at for at, text in enumerate(texts) if text.strip() == edit.subject)
        logits = tiny.model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        torch.testing.assert_close(essence, logits[last], rtol=1e-4, atol=1e-4)
        assert last < len(ids) - 1
        assert float((logits[last] - logits[-1]).abs().max()) > 1
