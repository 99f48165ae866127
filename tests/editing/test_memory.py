from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.cache.entries import Cache, digest
from pytest_eac.editing import update_cache
from pytest_eac.editing.descent import StepLoss
from pytest_eac.editing.interface import Cost, Solved, Work, as_solved
from pytest_eac.editing.moment import Moment
from pytest_eac.editing.sequence import edit_in_sequence
from pytest_eac.editing.update_cache import UpdateMemory, open_memory
from pytest_eac.editing.updates.emmet import EmmetOptions
from pytest_eac.editing.value import Value
from pytest_eac.lm.weights import WeightDelta, restored
from pytest_eac.spec.edits import Edit, Neighbor
from pytest_eac.spec.methods import BUILT_IN
from pytest_eac.spec.schema.settings import (
    AnchorSettings,
    ContextSettings,
    CovarianceSettings,
    MethodSettings,
    ValueSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel

SETTINGS = MethodSettings(base="rome-eac", layers=(1,), anchors=AnchorSettings())
EDIT = Edit(
    subject="Oslo",
    prompt="Oslo lies in",
    target="Peru",
    truth="Norway",
    paraphrases=("You find Oslo in",),
    neighborhood=(Neighbor(prompt="Lima lies in", answer="Peru"),),
    origin="a.yaml:3",
)
NEXT = replace(EDIT, subject="Bergen", prompt="Bergen lies in")
WORK = Work(
    contexts=("{}", "Therefore. {}"),
    seed=3,
    edits=(EDIT, NEXT),
    originals={"a": torch.eye(2)},
    moments={"a": Moment(matrix=torch.eye(2), tokens=5, ridge=0.1)},
)


@pytest.fixture
def keys(tiny_llama: LoadedModel, tmp_path: Path) -> Callable[..., str]:
    """What an update's key comes to, for changes of what it is made from."""

    def key(
        settings: MethodSettings = SETTINGS,
        work: Work = WORK,
        *,
        before: str | None = None,
        edits: tuple[Edit, ...] = (EDIT,),
    ) -> str:
        found = open_memory(Cache(tmp_path), tiny_llama, settings, work)
        assert found is not None
        return digest(found.key(before, edits))

    return key


COST = Cost(seconds=1.25, peak_bytes=2**30)


def moment(**changes: Any) -> dict[str, Moment]:
    return {"a": replace(WORK.moments["a"], **changes)}


OTHER_WORK = {
    "contexts": replace(WORK, contexts=("{}", "Because. {}")),
    "fewer contexts": replace(WORK, contexts=("{}",)),
    "seed": replace(WORK, seed=4),
    "an edited weight": replace(WORK, originals={"a": torch.eye(2) * (1 + 2e-7)}),
    "covariance": replace(WORK, moments=moment(matrix=torch.ones(2, 2))),
    "ridge": replace(WORK, moments=moment(ridge=0.2)),
    "no covariance": replace(WORK, moments={}),
    "state": replace(WORK, state={"keys:a": torch.ones(2, 1)}),
}


@pytest.mark.parametrize("work", OTHER_WORK.values(), ids=list(OTHER_WORK))
def test_each_thing_that_work_brings_is_in_the_key(keys: Callable[..., str], work: Work) -> None:
    assert keys(work=work) != keys()


OTHER_SETTINGS = {
    "base": {"base": "r-rome-eac"},
    "layers": {"layers": (2,)},
    "contexts": {"contexts": ContextSettings(lengths=((2, 2),))},
    "value": {"value": ValueSettings(learning_rate=0.25)},
    "anchors": {"anchors": AnchorSettings(ratio=0.1)},
    "no anchors": {"anchors": None},
    "update": {"update": EmmetOptions(l2=1.0)},
}


@pytest.mark.parametrize("changes", OTHER_SETTINGS.values(), ids=list(OTHER_SETTINGS))
def test_each_part_of_the_settings_is_in_the_key(
    keys: Callable[..., str], changes: dict[str, Any]
) -> None:
    assert keys(SETTINGS.model_copy(update=changes)) != keys()


_NUMBERS = ("learning_rate", "weight_decay", "kl_factor", "clamp", "stop_loss")


@given(
    name=st.sampled_from(_NUMBERS),
    numbers=st.lists(st.floats(1e-9, 1e9), min_size=2, max_size=2, unique=True),
)
def test_two_values_of_a_hyperparameter_never_share_a_key(
    keys: Callable[..., str], name: str, numbers: list[float]
) -> None:
    one, two = (
        keys(SETTINGS.model_copy(update={"value": ValueSettings.model_validate({name: number})}))
        for number in numbers
    )
    assert one != two


@pytest.mark.parametrize(
    "changes", [{"subject": "Oslo lies"}, {"prompt": "Oslo is"}, {"target": "Oslo is"}]
)
def test_what_an_edit_asks_for_is_in_the_key(
    keys: Callable[..., str], changes: dict[str, Any]
) -> None:
    assert keys(edits=(replace(EDIT, **changes),)) != keys()


def test_the_space_before_a_target_is_in_the_key(keys: Callable[..., str]) -> None:
    never, always = (replace(EDIT, space=space) for space in ("never", "always"))
    assert keys(edits=(never,)) != keys()
    assert keys(edits=(always,)) == keys(), "auto comes to the same in English"


def test_where_the_subject_stands_is_in_the_key(keys: Callable[..., str]) -> None:
    twice = replace(EDIT, prompt="Oslo is what Oslo is")
    assert keys(edits=(replace(twice, start=len("Oslo is what ")),)) != keys(edits=(twice,))


def test_the_edits_before_and_the_batch_are_in_the_key(keys: Callable[..., str]) -> None:
    found = {
        keys(),
        keys(before=keys()),
        keys(before=keys(edits=(NEXT,))),
        keys(edits=(EDIT, NEXT)),
        keys(edits=(NEXT, EDIT)),
        keys(before=keys(), edits=(NEXT,)),
    }
    assert len(found) == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [("identify", lambda _: {"weights": "other"}), ("source_digest", lambda *_: "other")],
)
def test_the_model_and_the_source_code_are_in_the_key(
    keys: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    before = keys()
    monkeypatch.setattr(update_cache, name, value)
    assert keys() != before


def test_what_no_update_reads_is_not_in_the_key(keys: Callable[..., str]) -> None:
    elsewhere = replace(EDIT, truth=None, paraphrases=(), neighborhood=(), origin="b.yaml:9")
    longer = replace(WORK, edits=(EDIT, NEXT, replace(NEXT, target="Chile")))
    settings = SETTINGS.model_copy(
        update={"preset": "released", "covariance": CovarianceSettings(corpus="/other/place.txt")}
    )
    assert keys(edits=(elsewhere,)) == keys(settings) == keys(work=longer) == keys()


def test_a_norm_that_is_measured_on_the_whole_sequence_takes_it_into_the_key(
    keys: Callable[..., str],
) -> None:
    anchored = SETTINGS.model_copy(
        update={"base": "nas-eac", "value": ValueSettings(norm="anchored")}
    )
    longer = replace(WORK, edits=(EDIT, NEXT, replace(NEXT, target="Chile")))
    assert keys(anchored, longer) != keys(anchored)


def test_methods_of_other_packages_are_never_kept(tiny_llama: LoadedModel, tmp_path: Path) -> None:
    mine = SETTINGS.model_copy(update={"base": "mine"})
    assert open_memory(Cache(tmp_path), tiny_llama, mine, WORK) is None
    assert open_memory(None, tiny_llama, SETTINGS, WORK) is None


# What is kept


def value(*, anchors: tuple[int, ...] | None) -> Value:
    loss = StepLoss(total=0.1 + 0.2, nll=1 / 3, kl=1e-17, decay=0.0, net=5e-324)
    delta = torch.tensor([0.1, 0.2])
    return Value(
        delta=delta,
        init=torch.tensor([1.0, 2.0]),
        written=torch.tensor([3.0, 4.0]),
        stages=((loss, loss), (loss,)),
        first_delta=delta,  # one tensor, as plain editors return it
        anchors=anchors,
        reached=True,
    )


def same(one: object, two: object) -> bool:
    """Compare results part by part; tensors to the bit."""
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, (Solved, Value, WeightDelta)):
        names = one.__dataclass_fields__
        return type(one) is type(two) and all(
            same(getattr(one, name), getattr(two, name)) for name in names
        )
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    if isinstance(one, tuple) and isinstance(two, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and one == two


SOLVED = {
    "low rank, with a value": Solved(
        deltas=(WeightDelta(module="a", left=torch.ones(2, 1), right=torch.ones(3, 1)),),
        values=(value(anchors=(0,)),),
    ),
    "dense, with losses": Solved(
        deltas=(WeightDelta(module="a", left=torch.rand(2, 3, dtype=torch.float64)),),
        losses=(0.3, 0.1),
    ),
    "several of each": Solved(
        deltas=tuple(WeightDelta(module=name, left=torch.rand(2, 3)) for name in "ab"),
        values=(value(anchors=None), value(anchors=())),
        state={"keys:a": torch.rand(3, 2), "norm": torch.tensor(0.5), "free:a": torch.rand(2, 3)},
    ),
    "nothing": Solved(deltas=()),
}


def new_memory(root: Path) -> UpdateMemory:
    return UpdateMemory(cache=Cache(root), about={"chain": 1}, device=torch.device("cpu"))


@pytest.mark.parametrize("solved", SOLVED.values(), ids=list(SOLVED))
def test_a_solved_update_comes_back_as_it_was(tmp_path: Path, solved: Solved) -> None:
    key = new_memory(tmp_path).key(None, (EDIT,))
    new_memory(tmp_path).write(key, solved, {}, cost=COST)
    found = new_memory(tmp_path).read(key, {})
    assert found is not None
    assert same(found.solved, solved)
    assert found.cost == COST


def test_a_state_that_grows_is_kept_by_what_it_grew(tmp_path: Path) -> None:
    kept_memory = new_memory(tmp_path)
    states = [{"keys": torch.rand(50, count)} for count in (0, 1)]
    for number in range(40):
        before = states[-1]["keys"]
        states.append({"keys": torch.cat([before, torch.rand(50, 2)], dim=1)})
        key = kept_memory.key(str(number), (EDIT,))
        kept_memory.write(key, Solved(deltas=(), state=states[-1]), states[-2], cost=COST)
    now = states[1]
    for number in range(40):
        found = kept_memory.read(kept_memory.key(str(number), (EDIT,)), now)
        assert found is not None
        now = dict(found.solved.state)
        assert same(now, states[number + 2])
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.safetensors")]
    assert max(sizes) - min(sizes) <= 8  # the number of columns has more digits


@pytest.mark.parametrize(
    "now",
    [
        torch.ones(3, 2),
        torch.zeros(3, 2, dtype=torch.float64),
        torch.zeros(4, 2),
        torch.zeros(3, 1),
    ],
    ids=["other entries", "another dtype", "more rows", "fewer columns"],
)
def test_a_state_that_does_not_grow_is_kept_whole(tmp_path: Path, now: torch.Tensor) -> None:
    earlier = {"keys": torch.zeros(3, 2)}
    kept_memory = new_memory(tmp_path)
    kept_memory.write({"n": 1}, Solved(deltas=(), state={"keys": now}), earlier, cost=COST)
    found = kept_memory.read({"n": 1}, earlier)
    assert found is not None
    assert same(dict(found.solved.state), {"keys": now})


def test_what_was_solved_lies_in_memory_as_what_was_kept() -> None:
    turned = torch.rand(3, 2).T
    delta = WeightDelta(module="a", left=turned, right=torch.rand(2, 4).T)
    solved = as_solved("mine", Solved(deltas=(delta,), state={"k": turned}), ["a"])
    for tensor in (solved.deltas[0].left, solved.deltas[0].right, solved.state["k"]):
        assert tensor is not None
        assert tensor.is_contiguous()
    assert torch.equal(solved.deltas[0].left, turned)


# In a sequence


def cached(
    loaded: LoadedModel, root: Path, edits: tuple[Edit, ...], *, batch: int = 1, base: str = "ft"
) -> list[bool]:
    """Which updates came from the cache."""
    update = {"steps": 2, "learning_rate": 1e-3} if base.startswith("ft") else {}
    settings = MethodSettings(base=base, layers=(1,), update=update)
    down = loaded.layout.down.format(1)
    with restored(loaded.model, [down]) as originals:
        work = Work(edits=edits, originals=originals)
        steps = edit_in_sequence(loaded, settings, work, batch=batch, cache=Cache(root))
        return [step.cached for step in steps]


def test_sequences_share_what_they_begin_with(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    a, b, c, d = world[:4]
    assert cached(tiny_llama, tmp_path, (a, b, c)) == [False] * 3
    assert cached(tiny_llama, tmp_path, (a, b, d, c)) == [True, True, False, False]
    assert cached(tiny_llama, tmp_path, (b, a, c)) == [False] * 3
    assert cached(tiny_llama, tmp_path, (a, b)) == [True, True]
    assert cached(tiny_llama, tmp_path, (a, b, c), batch=2) == [False, False]
    assert cached(tiny_llama, tmp_path, (a, b, c, d), batch=2) == [True, False]


def test_a_changed_weight_finds_nothing(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    cached(tiny_llama, tmp_path, world[:2])
    down = tiny_llama.layout.down.format(1)
    with restored(tiny_llama.model, [down]):
        with torch.no_grad():
            tiny_llama.model.get_submodule(down).weight[0, 0] += 1e-3
        assert cached(tiny_llama, tmp_path, world[:2]) == [False, False]
    assert cached(tiny_llama, tmp_path, world[:2]) == [True, True]


def test_every_built_in_method_may_be_kept(tiny_llama: LoadedModel, tmp_path: Path) -> None:
    for base in BUILT_IN:
        settings = SETTINGS.model_copy(update={"base": base})
        assert open_memory(Cache(tmp_path), tiny_llama, settings, WORK) is not None
