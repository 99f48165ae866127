"""Every part of EAC does what it is there for: each test fails when its part is taken out.

Most run the search on objectives whose answer is known: separate bowls, one for each dimension, or
a single sum that a few dimensions can reach as well as all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.editing.anchors import choose_anchors, net_l1, saliency
from pytest_eac.editing.interface import Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.objective import Objective, Response
from pytest_eac.editing.prompts import prepare
from pytest_eac.editing.sequence import edit_in_sequence
from pytest_eac.editing.value import Value, _Pick, _Search, solve_values
from pytest_eac.lm.weights import restored
from pytest_eac.spec.schema.settings import AnchorSettings, MethodSettings, ValueSettings
from tests.editing.searches import Together, solve_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit

# Nothing but the NLL counts, and nothing stops the search early.
PLAIN: dict[str, Any] = {"kl_factor": 0.0, "weight_decay": 0.0, "stop_loss": 0.0}


class Hand:
    """An objective made by hand; its essence is the softmax of the delta itself."""

    def __init__(
        self,
        width: int,
        nll: Callable[[Tensor], Tensor],
        said: Callable[[Tensor], bool] = lambda _: False,
    ) -> None:
        self.init = self.written = torch.ones(width)
        self.nll, self.said = nll, said

    def __call__(self, delta: Tensor) -> Response:
        return Response(
            nll=self.nll(delta),
            essence=delta.log_softmax(dim=-1),
            said=torch.tensor(self.said(delta)),
        )


def bowls(goal: list[float], curvature: list[float] | None = None) -> Hand:
    """A bowl for each dimension; neither knows of the others."""
    bottom = torch.tensor(goal)
    steep = torch.tensor(curvature or [1.0] * len(goal))
    return Hand(len(goal), lambda delta: (steep * (delta - bottom) ** 2).sum() / 2)


def total(goal: float, width: int = 10) -> Hand:
    """All that counts is the sum over dimensions, some of which weigh more."""
    shares = torch.linspace(0.1, 1, width)
    return Hand(width, lambda delta: ((shares * delta).sum() - goal) ** 2 / 2)


def solved(
    objective: Hand, value: dict[str, Any], anchors: dict[str, Any] | None, seed: int = 0
) -> Value:
    chosen = None if anchors is None else AnchorSettings(**anchors)
    settings = ValueSettings(**{**PLAIN, **value})
    return solve_alone(objective, settings, chosen, seed=seed)


# Which dimensions

GRADIENT = torch.tensor([-9.0, 0.1, 3.0, 0.0, -2.0, 1.0])
DELTA = torch.tensor([0.1, -8.0, -2.0, 9.0, 2.0, 0.5])
#   saliency          0.9   0.8   6.0  0.0   4.0  0.5


@pytest.mark.parametrize(
    ("choice", "expected"), [("saliency", [2, 4]), ("gradient", [0, 2]), ("magnitude", [1, 3])]
)
def test_each_choice_ranks_by_its_own_measure(choice: Any, expected: list[int]) -> None:
    settings = AnchorSettings(choice=choice, ratio=0.34)
    assert choose_anchors(settings, GRADIENT, DELTA, seed=0).tolist() == expected


def test_saliency_finds_what_neither_gradient_nor_magnitude_does() -> None:
    """Dimension 0 is steep and near, 1 flat and far; 2 is what the edit is made with."""
    objective = bowls([0.5, 3.0, 1.5, 0.0], [140.0, 0.05, 6.0, 1.0])
    value: dict[str, Any] = {"steps": 25, "learning_rate": 0.05}
    found = {
        choice: solved(objective, value, {"choice": choice, "ratio": 0.25}).anchors
        for choice in ("saliency", "gradient", "magnitude")
    }
    assert found == {"saliency": (2,), "gradient": (0,), "magnitude": (1,)}


def test_random_anchors_come_from_the_seed_alone() -> None:
    settings = AnchorSettings(choice="random", ratio=0.5)
    zeros = torch.zeros(40)
    draws = [choose_anchors(settings, zeros, zeros, seed=seed).tolist() for seed in range(6)]
    assert all(len(set(draw)) == 20 and draw == sorted(draw) for draw in draws)
    assert len({tuple(draw) for draw in draws}) == 6
    assert choose_anchors(settings, zeros, zeros + 1, seed=3).tolist() == draws[3]
    # Every dimension has its chance: in 200 draws of a half, none comes less than 70 times.
    counts = torch.zeros(40)
    for seed in range(200):
        counts[choose_anchors(settings, zeros, zeros, seed=seed)] += 1
    assert 70 < float(counts.min()) <= float(counts.max()) < 130


def test_random_anchors_reach_the_search_by_its_seed() -> None:
    anchors = {"choice": "random", "ratio": 0.3}
    one, two, three = (
        solved(bowls([1.0] * 10), {"steps": 3}, anchors, seed=seed).anchors for seed in (1, 1, 2)
    )
    assert one == two != three


def test_all_anchors_are_all_dimensions_whatever_the_ratio() -> None:
    value = solved(bowls([1.0] * 10), {"steps": 3}, {"choice": "all", "ratio": 0.1})
    assert value.anchors == tuple(range(10))
    assert value.delta.all()


@pytest.mark.parametrize(("ratio", "count"), [(0.05, 1), (0.2, 2), (0.55, 5), (1.0, 10)])
def test_the_ratio_says_how_many(ratio: float, count: int) -> None:
    goal = [float(10 - index) for index in range(10)]
    value = solved(bowls(goal), {"steps": 5}, {"ratio": ratio})
    assert value.anchors == tuple(range(count)), "the furthest first"
    assert value.delta.nonzero()[:, 0].tolist() == list(range(count))


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(1.0, [2]), (0.66, [2, 4]), (0.15, [0, 2, 4]), (0.1, [0, 1, 2, 4]), (0.001, [0, 1, 2, 4, 5])],
)
def test_a_threshold_keeps_all_that_come_near_the_best(
    threshold: float, expected: list[int]
) -> None:
    settings = AnchorSettings(threshold=threshold, ratio=0.5)
    assert choose_anchors(settings, GRADIENT, DELTA, seed=0).tolist() == expected
    # It is a share: the scale of the scores does not matter.
    assert choose_anchors(settings, 100 * GRADIENT, DELTA, seed=0).tolist() == expected


def test_a_threshold_goes_with_any_measure() -> None:
    settings = AnchorSettings(choice="magnitude", threshold=0.8)
    assert choose_anchors(settings, GRADIENT, DELTA, seed=0).tolist() == [1, 3]


# Stage 2


def test_retraining_makes_up_for_the_dimensions_that_were_dropped() -> None:
    value: dict[str, Any] = {"steps": 60, "learning_rate": 0.05, "stop_loss": 1e-3}
    anchors: dict[str, Any] = {"ratio": 0.3, "steps": 60, "l1": 0.0}
    objective = total(3.0)
    with_it = solved(objective, value, anchors)
    without = solved(objective, value, {**anchors, "retrain": False})
    assert with_it.anchors == without.anchors == (7, 8, 9)
    kept = torch.zeros(10)
    kept[7:] = without.first_delta[7:]
    assert torch.equal(without.delta, kept)
    assert (len(without.stages), len(with_it.stages)) == (1, 2)
    assert float(objective(without.delta).nll) > 0.3
    assert float(objective(with_it.delta).nll) < 2e-3
    assert with_it.reached
    assert not with_it.delta[:7].any()


def test_a_warm_start_begins_where_stage_1_ended_and_a_cold_one_at_zero() -> None:
    objective = total(3.0)
    value: dict[str, Any] = {"steps": 15, "learning_rate": 0.05}
    first_losses = {}
    for start in ("warm", "cold"):
        found = solved(objective, value, {"ratio": 0.3, "start": start, "steps": 1, "l1": 0.0})
        first_losses[start] = found.stages[1][0].nll
        begun = torch.zeros(10)
        if start == "warm":
            begun[7:] = found.first_delta[7:]
        assert first_losses[start] == pytest.approx(float(objective(begun).nll))
    assert first_losses["warm"] < 0.7 * first_losses["cold"]


def test_stage_2_takes_its_own_number_of_steps() -> None:
    found = solved(bowls([1.0] * 10), {"steps": 4}, {"steps": 7})
    assert [len(stage) for stage in found.stages] == [4, 7]


# The elastic net


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("l1", [0.0, 0.02, 0.1])
def test_the_net_shrinks_each_anchor_by_its_price(l1: float, *, scored: bool) -> None:
    """In a bowl of curvature 1 around ``b`` the L1 term ``w |d|`` has its minimum at ``b - w``."""
    objective = bowls([2.0, 1.5, 1.0, 0.7, -1.2, -0.6])
    value = ValueSettings(**{**PLAIN, "steps": 10, "learning_rate": 0.02, "clamp": 100.0})
    anchors = AnchorSettings(choice="all", steps=900, l1=l1, scored=scored)
    search = _Search(Together(objective), value)
    first = search.everywhere(update_last=True)[0]
    scores = saliency(first.mean_gradient, first.end)
    pick = _Pick(anchors=torch.arange(6), scores=scores, kept=first.end)
    found = search.on_anchors({0: pick}, anchors)[0].end
    prices = l1 / (scores + 1e-6) if scored else torch.full((6,), l1)
    goal = torch.tensor([2.0, 1.5, 1.0, 0.7, -1.2, -0.6])
    expected = goal.sign() * (goal.abs() - prices).clamp_min(0)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    if l1 and scored:
        moved = (goal - expected).abs()
        assert moved[5] > 2 * moved[0], "the less salient anchor pays more"


def test_scored_and_plain_net_are_their_sums() -> None:
    delta, scores = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 4.0])
    assert float(net_l1(delta, scores, scored=True)) == pytest.approx(1 / 0.5 + 2 / 4, rel=1e-5)
    assert float(net_l1(delta, scores, scored=False)) == 3.0


def test_the_net_is_in_the_loss_of_stage_2_alone() -> None:
    found = solved(bowls([1.0] * 10), {"steps": 3}, {"steps": 3, "l1": 0.5})
    assert all(step.net == 0 for step in found.stages[0])
    assert all(step.net > 0 for step in found.stages[1])
    for step in found.stages[1]:
        assert step.total == pytest.approx(step.nll + step.kl + step.decay + step.net)


def test_l2_of_the_net_replaces_the_weight_decay_in_stage_2_alone() -> None:
    value: dict[str, Any] = {"steps": 5, "weight_decay": 0.3}
    anchors: dict[str, Any] = {"ratio": 0.5, "steps": 40}
    objective = bowls([1.0] * 10)
    usual, own, none = (solved(objective, value, {**anchors, "l2": l2}) for l2 in (None, 3.0, 0.0))
    assert [step.decay for step in usual.stages[0]] == [step.decay for step in own.stages[0]]
    # Adam's first step is the learning rate, 0.5, in each of the 10 dimensions.
    assert own.stages[0][1].decay == pytest.approx(0.3 * (0.5 * 10**0.5) / 10)
    # The same start, so the same norm: the first terms differ by their weights alone.
    assert own.stages[1][0].decay == pytest.approx(10 * usual.stages[1][0].decay)
    assert usual.stages[1][0].decay == pytest.approx(0.3 * float(_start(usual).norm()) / 10)
    assert all(step.decay == 0 for step in none.stages[1])
    assert float(own.delta.norm()) < 0.95 * float(none.delta.norm())


def _start(value: Value) -> Tensor:
    return value.first_delta[list(value.anchors or ())]


# The KL term


def test_stage_2_refers_to_the_unedited_model_or_to_where_it_starts() -> None:
    value: dict[str, Any] = {"steps": 6, "learning_rate": 0.1, "kl_factor": 1.0}
    anchors: dict[str, Any] = {"ratio": 0.5, "steps": 3}
    objective = bowls([2.0, -1.0, 0.5, 0.0, 3.0, 1.0])
    unedited = solved(objective, value, {**anchors, "kl_reference": "unedited"})
    start = solved(objective, value, {**anchors, "kl_reference": "start"})
    assert unedited.stages[0] == start.stages[0]
    begun = torch.zeros(6)
    begun[list(unedited.anchors or ())] = _start(unedited)
    there, here = begun.softmax(0), torch.full((6,), 1 / 6)
    expected = float((there * (there / here).log()).sum())
    assert unedited.stages[1][0].kl == pytest.approx(expected, rel=1e-4)
    assert start.stages[1][0].kl == pytest.approx(0, abs=1e-7)
    assert start.stages[1][2].kl > 1e-5
    assert expected > 1e-3


# When to stop, and how far to go


@pytest.mark.parametrize("anchors", [None, {"steps": 40, "ratio": 0.5}])
def test_the_search_stops_as_soon_as_the_target_is_said(anchors: dict[str, Any] | None) -> None:
    goal = [4.0, 3.0, 2.0, 1.0]
    objective = bowls(goal)
    objective.said = lambda delta: bool(delta[0] > 1)
    value: dict[str, Any] = {"steps": 40, "learning_rate": 0.1}
    by_loss = solved(objective, value, anchors)
    assert not by_loss.reached
    assert [len(stage) for stage in by_loss.stages] == ([40] if anchors is None else [40, 40])
    by_word = solved(objective, {**value, "stop_when": "argmax"}, anchors)
    assert by_word.reached
    # Adam moves by about 0.1 a step: after some 11 steps dimension 0 is beyond 1.
    assert 10 <= len(by_word.stages[0]) <= 13
    assert 1 < float(by_word.first_delta[0]) < 1.2
    if anchors is not None:
        assert len(by_word.stages[1]) == 1, "it starts where the target is said already"


def test_a_low_loss_stops_the_search_for_the_word_too() -> None:
    found = solved(bowls([0.5] * 4), {"steps": 90, "stop_loss": 0.01, "stop_when": "argmax"}, None)
    assert found.reached
    assert found.stages[0][-1].total < 0.01


@pytest.mark.parametrize("clamp", [0.25, 0.5])
def test_neither_stage_leaves_its_ball(clamp: float) -> None:
    objective = bowls([9.0, 8.0, 7.0, 6.0])  # ||init|| is 2
    found = solved(objective, {"steps": 30, "clamp": clamp}, {"steps": 30, "ratio": 0.5, "l1": 0.0})
    for delta in (found.first_delta, found.delta):
        assert float(delta.norm()) == pytest.approx(2 * clamp, rel=1e-5)
    free = solved(objective, {"steps": 30, "clamp": 100.0}, None)
    assert float(free.delta.norm()) > 5


# On a model

CONTEXTS = ("{}", "It is late. {}")
OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "gradient": {"choice": "gradient"},
    "magnitude": {"choice": "magnitude"},
    "random": {"choice": "random"},
    "all": {"choice": "all"},
    "fewer": {"ratio": 0.1},
    "threshold": {"threshold": 0.5},
    "not retrained": {"retrain": False},
    "cold": {"start": "cold"},
    "dear": {"l1": 0.5},
    "dear, unscored": {"l1": 0.5, "scored": False},
    "short": {"l2": 5.0},
    "from the start": {"kl_reference": "start"},
}


def _values(loaded: LoadedModel, edit: Edit) -> dict[str, Value]:
    objective = Objective(loaded, [prepare(loaded, edit, CONTEXTS)], layer=1)
    return {
        name: solve_values(
            objective, ValueSettings(stop_loss=0.0), AnchorSettings(steps=15, **options), seeds=[0]
        )[0]
        for name, options in OPTIONS.items()
    }


def test_every_option_changes_the_value_on_a_model(
    tiny_llama: LoadedModel, world: tuple[Edit, ...]
) -> None:
    values = _values(tiny_llama, world[4])
    usual = values["usual"]
    first = usual.first_delta
    assert all(torch.equal(value.first_delta, first) for value in values.values())
    deltas = {name: value.delta for name, value in values.items()}
    for index, (name, delta) in enumerate(deltas.items()):
        for other, another in list(deltas.items())[:index]:
            assert not torch.allclose(delta, another, rtol=1e-3, atol=1e-6), (name, other)
    anchors = {name: set(value.anchors or ()) for name, value in values.items()}
    assert len(anchors["usual"]) == 12
    for name in ("cold", "dear", "dear, unscored", "short", "from the start", "not retrained"):
        assert anchors[name] == anchors["usual"]
    assert anchors["fewer"] < anchors["usual"]
    assert anchors["magnitude"] == set(first.abs().topk(12).indices.tolist())
    for name in ("gradient", "magnitude", "random"):
        assert anchors[name] != anchors["usual"]
    for name in ("dear", "dear, unscored"):
        assert float(deltas[name].abs().sum()) < float(deltas["usual"].abs().sum())
    assert float(deltas["short"].norm()) < 0.8 * float(deltas["usual"].norm())


def test_each_edit_of_a_chain_draws_its_own_random_anchors(
    tiny_llama: LoadedModel, world: tuple[Edit, ...]
) -> None:
    settings = MethodSettings.model_validate(
        {"base": "rome-eac", "layers": (1,), "anchors": {"choice": "random"}}
    )

    def draw(seed: int) -> list[tuple[int, ...] | None]:
        work = Work(contexts=CONTEXTS, seed=seed, edits=world[:3])
        with restored(tiny_llama.model, edited_modules(tiny_llama, settings)):
            steps = list(edit_in_sequence(tiny_llama, settings, work))
        return [step.solved.values[0].anchors for step in steps]

    one, again, other = draw(1), draw(1), draw(2)
    assert one == again
    assert len({*one, *other}) == 6
