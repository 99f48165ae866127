"""The value's search against slow, obvious twins, on objectives small enough to follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.editing.anchors import saliency, scatter, scored_l1, top_anchors
from pytest_eac.editing.objective import Response
from pytest_eac.editing.value import solve_values
from pytest_eac.errors import NonFiniteError
from pytest_eac.spec.schema.settings import AnchorSettings, ValueSettings
from tests.editing.searches import Together, solve_alone

if TYPE_CHECKING:
    from torch import Tensor


WIDTH = 12


class Quadratic:
    """A stand-in objective: NLL = half the squared distance to a goal; essence moves with delta."""

    def __init__(self, goal: Tensor) -> None:
        self.goal = goal
        self.init = self.written = torch.linspace(1, 2, goal.numel())
        self.calls = 0

    def __call__(self, delta: Tensor) -> Response:
        self.calls += 1
        nll = ((delta - self.goal) ** 2 * torch.linspace(1, 3, self.goal.numel())).sum() / 2
        essence = (0.1 * delta).log_softmax(dim=-1)
        return Response(nll=nll, essence=essence, said=torch.tensor(bool(nll < 1)))


def _solve(objective: Quadratic, value: ValueSettings, anchors: AnchorSettings | None) -> Any:
    return solve_alone(objective, value, anchors)


def _goal(seed: int = 0) -> Tensor:
    return torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))


def _adam_by_hand(
    objective: Quadratic,
    settings: ValueSettings,
    free: Tensor,
    expand: Any,
    reference: Tensor,
    net: Any,
    steps: int,
    *,
    update_last: bool,
) -> tuple[Tensor, list[Tensor], list[float]]:
    """Write out the search step by step: Adam's formula, the ball, the stop."""
    m, v = torch.zeros_like(free), torch.zeros_like(free)
    size = objective.init.norm()
    gradients: list[Tensor] = []
    losses: list[float] = []
    for t in range(1, steps + 1):
        x = free.detach().clone().requires_grad_()
        outcome = objective(expand(x))
        p = outcome.essence.exp()
        kl = (p * (outcome.essence - reference)).sum()
        loss = (
            outcome.nll
            + settings.kl_factor * kl
            + settings.weight_decay * x.norm() / size**2
            + net(x)
        )
        losses.append(float(loss.detach()))
        if losses[-1] < settings.stop_loss or (t == steps and not update_last):
            break
        (g,) = torch.autograd.grad(loss, x)
        gradients.append(g)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        step = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        free = free - settings.learning_rate * step
        limit = settings.clamp * size
        if free.norm() > limit:
            free = free * (limit / free.norm())
    return free, gradients, losses


@pytest.mark.parametrize("clamp", [0.3, 4.0])
def test_the_plain_search_is_adam_in_a_ball_written_out(clamp: float) -> None:
    settings = ValueSettings(steps=9, learning_rate=0.1, clamp=clamp)
    objective = Quadratic(_goal())
    reference = objective(torch.zeros(WIDTH)).essence
    expected, _, losses = _adam_by_hand(
        objective,
        settings,
        torch.zeros(WIDTH),
        lambda x: x,
        reference,
        lambda _: 0.0,
        9,
        update_last=False,
    )
    value = _solve(objective, settings, None)
    torch.testing.assert_close(value.delta, expected, rtol=1e-4, atol=1e-5)
    assert [step.total for step in value.stages[0]] == pytest.approx(losses, rel=1e-4)
    assert value.anchors is None


@pytest.mark.parametrize("start", ["warm", "cold"])
@pytest.mark.parametrize("l1", [0.0, 0.05])
@pytest.mark.parametrize("kl_reference", ["unedited", "start"])
def test_eac_is_two_such_searches_with_the_anchors_between(
    start: Any, l1: float, kl_reference: Any
) -> None:
    settings = ValueSettings(steps=6, learning_rate=0.1)
    anchors = AnchorSettings(ratio=0.34, steps=7, start=start, l1=l1, kl_reference=kl_reference)
    objective = Quadratic(_goal(3))
    unedited = objective(torch.zeros(WIDTH)).essence
    first, gradients, _ = _adam_by_hand(
        objective,
        settings,
        torch.zeros(WIDTH),
        lambda x: x,
        unedited,
        lambda _: 0.0,
        6,
        update_last=True,
    )
    scores = [abs(sum(float(g[i]) for g in gradients) / 6 * float(first[i])) for i in range(WIDTH)]
    chosen = sorted(sorted(range(WIDTH), key=lambda i: -scores[i])[: int(0.34 * WIDTH)])

    def expand(x: Tensor) -> Tensor:
        parts = [x[chosen.index(i)] if i in chosen else torch.zeros(()) for i in range(WIDTH)]
        return torch.stack(parts)

    free = first[chosen] if start == "warm" else torch.zeros(len(chosen))
    reference = objective(expand(free)).essence if kl_reference == "start" else unedited
    second, _, losses = _adam_by_hand(
        objective,
        settings,
        free,
        expand,
        reference,
        lambda x: sum(l1 * x[j].abs() / (scores[i] + 1e-6) for j, i in enumerate(chosen)),
        7,
        update_last=True,
    )
    value = _solve(objective, settings, anchors)
    assert value.anchors == tuple(chosen)
    torch.testing.assert_close(value.delta, expand(second), rtol=1e-3, atol=1e-5)
    assert [step.total for step in value.stages[1]] == pytest.approx(losses, rel=1e-3)


def test_a_plain_searchs_last_step_only_looks_and_an_eac_stages_last_step_moves() -> None:
    plain = Quadratic(_goal())
    settings = ValueSettings(steps=1)
    assert not _solve(plain, settings, None).delta.any()
    assert _solve(Quadratic(_goal()), settings, AnchorSettings(steps=1)).delta.any()


def test_the_search_stops_once_the_loss_is_below_the_stop_loss() -> None:
    value = _solve(Quadratic(_goal()), ValueSettings(steps=500, learning_rate=0.1), None)
    assert value.reached
    assert len(value.stages[0]) < 500
    assert all(step.total >= 0.05 for step in value.stages[0][:-1])
    assert value.stages[0][-1].total < 0.05


def test_a_target_that_holds_already_is_left_alone() -> None:
    value = _solve(Quadratic(torch.zeros(WIDTH)), ValueSettings(), AnchorSettings())
    assert not value.delta.any()
    assert value.anchors == ()
    assert value.reached


def test_a_loss_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(NonFiniteError, match="the loss is nan at step 1"):
        _solve(Quadratic(torch.full((WIDTH,), float("nan"))), ValueSettings(), None)


def test_the_delta_never_leaves_the_ball() -> None:
    objective = Quadratic(100 * torch.ones(WIDTH))
    for anchors in (None, AnchorSettings(steps=30)):
        value = _solve(objective, ValueSettings(steps=30, clamp=0.5), anchors)
        assert value.delta.norm() <= 0.5 * objective.init.norm() * (1 + 1e-6)
        assert value.delta.norm() >= 0.49 * objective.init.norm()


@pytest.mark.parametrize("anchors", [None, AnchorSettings(ratio=0.34, steps=30, l1=0.05)])
def test_edits_that_are_searched_together_come_out_as_if_alone(
    anchors: AnchorSettings | None,
) -> None:
    """Also where they stop at different steps, and where one is there before it starts."""
    settings = ValueSettings(steps=60, learning_rate=0.1)
    goals = [_goal(1), torch.zeros(WIDTH), 0.2 * _goal(2), 3 * _goal(4)]
    alone = [solve_alone(Quadratic(goal), settings, anchors) for goal in goals]
    together = solve_values(
        Together(*map(Quadratic, goals)), settings, anchors, seeds=[0] * len(goals)
    )
    assert len({len(value.stages[0]) for value in together}) == 4
    for one, other in zip(alone, together, strict=True):
        assert one.stages == other.stages
        assert (one.anchors, one.reached) == (other.anchors, other.reached)
        assert torch.equal(one.delta, other.delta)
        assert torch.equal(one.first_delta, other.first_delta)


def test_an_edit_that_has_stopped_is_not_computed_again() -> None:
    far, near = Quadratic(3 * _goal(4)), Quadratic(torch.zeros(WIDTH))
    solve_values(Together(far, near), ValueSettings(steps=9), None, seeds=[0, 0])
    assert (far.calls, near.calls) == (10, 2)  # one each for the unedited essence


@pytest.mark.parametrize("anchors", [None, AnchorSettings()])
def test_an_error_names_the_edit_whose_loss_is_not_a_number(anchors: AnchorSettings | None) -> None:
    class Breaking(Quadratic):
        def __call__(self, delta: Tensor) -> Response:
            outcome = super().__call__(delta)
            broken = self.calls > (7 if anchors else 3)
            nll = outcome.nll * float("inf") if broken else outcome.nll
            return Response(nll=nll, essence=outcome.essence, said=outcome.said)

    held = Quadratic(torch.zeros(WIDTH))
    objective = Together(held, Quadratic(3 * _goal(4)), Breaking(3 * _goal(5)))
    with pytest.raises(NonFiniteError) as caught:
        solve_values(objective, ValueSettings(steps=5), anchors, seeds=[0, 0, 0])
    assert caught.value.edit == 2


floats = st.floats(-10, 10, allow_subnormal=False, width=32)


@given(st.lists(floats, min_size=1, max_size=30), st.floats(0.01, 1))
def test_anchors_are_the_most_salient_dimensions(numbers: list[float], ratio: float) -> None:
    scores = torch.tensor(numbers).abs()
    chosen = top_anchors(scores, ratio).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == max(1, int(ratio * len(numbers)))
    rest = [float(scores[i]) for i in range(len(numbers)) if i not in chosen]
    assert min(float(scores[i]) for i in chosen) >= max(rest, default=0.0)


@given(st.lists(st.tuples(floats, floats), min_size=1, max_size=8))
def test_saliency_and_the_scored_net_are_their_formulas(pairs: list[tuple[float, float]]) -> None:
    gradient = torch.tensor([pair[0] for pair in pairs])
    delta = torch.tensor([pair[1] for pair in pairs])
    scores = saliency(gradient, delta)
    for index, (g, d) in enumerate(pairs):
        assert float(scores[index]) == pytest.approx(abs(g * d), rel=1e-5, abs=1e-30)
    net = sum(abs(d) / (abs(g * d) + 1e-6) for g, d in pairs)
    assert float(scored_l1(delta, scores)) == pytest.approx(net, rel=1e-4, abs=1e-6)


def test_scatter_fills_the_anchors_and_passes_gradients_through() -> None:
    free = torch.tensor([1.0, 2.0], requires_grad=True)
    full = scatter(free, torch.tensor([1, 3]), 5)
    assert full.tolist() == [0, 1, 0, 2, 0]
    (full * torch.arange(5.0)).sum().backward()
    assert free.grad is not None
    assert free.grad.tolist() == [1, 3]
