from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.cache.entries import Cache
from pytest_eac.editing.controls import Outline, draw, edit_at_random
from pytest_eac.editing.interface import Work
from pytest_eac.editing.sequence import edit_in_sequence
from pytest_eac.errors import EditError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.weights import WeightDelta, fingerprint, restored
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.methods import CONTROLS
from pytest_eac.spec.schema.methods import MethodChoice

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.editing.sequence import Step
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.settings import MethodSettings

MODULE = "model.layers.1.mlp.down_proj"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def delta(rows: int, columns: int, rank: int, seed: int = 0) -> WeightDelta:
    lots = generator(seed)
    left, right = (torch.randn(size, rank, generator=lots) for size in (rows, columns))
    return WeightDelta(module=MODULE, left=left, right=right)


def values_of(change: WeightDelta) -> torch.Tensor:
    """The slow twin: the singular values of the dense matrix."""
    values: torch.Tensor = torch.linalg.svdvals(change.dense.double())
    return values


def settings_for(loaded: LoadedModel, base: str = "rome", **given: Any) -> MethodSettings:
    choice = MethodChoice.model_validate({"base": base, "layers": (1,), **given})
    return resolve_settings(choice, loaded.shape)


def steps(
    loaded: LoadedModel,
    settings: MethodSettings,
    edits: tuple[Edit, ...],
    *,
    seed: int = 0,
    batch: int = 1,
    cache: Cache | None = None,
) -> tuple[list[Step], torch.Tensor]:
    """Run a chain, a control's where the settings say so; return its steps and its whole change."""
    path = loaded.layout.down.format(1)
    run = edit_at_random if settings.control else edit_in_sequence
    with restored(loaded.model, [path]) as originals:
        work = Work(edits=edits, seed=seed, originals=originals)
        found = list(run(loaded, settings, work, batch=batch, cache=cache))
        weight: torch.Tensor = find_module(loaded.model, path).weight  # type: ignore[assignment]
        return found, weight.detach() - originals[path]


@given(st.integers(1, 6), st.integers(2, 9), st.integers(2, 9), st.integers(0, 1000))
def test_an_outline_has_the_singular_values_of_the_dense_change(
    rank: int, rows: int, columns: int, seed: int
) -> None:
    change = delta(rows, columns, rank, seed)
    dense = WeightDelta(module=MODULE, left=change.dense)
    expected = values_of(change)[: min(rank, rows, columns)]
    for each in (change, dense):
        outline = Outline.of(each)
        assert (outline.module, outline.shape) == (MODULE, (rows, columns))
        torch.testing.assert_close(outline.values, expected, rtol=1e-4, atol=1e-5)


def test_directions_that_are_given_twice_count_once() -> None:
    change = delta(8, 6, 2)
    twice = WeightDelta(
        module=MODULE,
        left=torch.cat([change.left, change.left], dim=1),
        right=torch.cat([change.right, change.right], dim=1),  # type: ignore[list-item]
    )
    assert len(Outline.of(twice).values) == 2


@pytest.mark.parametrize("control", CONTROLS)
@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_control_has_the_rank_and_the_norm_of_what_it_mirrors(
    control: str, rank: int, seed: int
) -> None:
    change = delta(7, 5, rank, seed)
    drawn = draw(Outline.of(change), control=control, generator=generator(seed))
    assert drawn.shape == change.shape
    assert drawn.left.dtype == torch.float32
    assert drawn.norm == pytest.approx(change.norm, rel=1e-5)
    assert int((values_of(drawn) > 1e-4 * drawn.norm).sum()) == rank


def test_random_spectrum_alone_has_its_singular_values() -> None:
    change = delta(7, 5, 3)
    plain, like = (
        draw(Outline.of(change), control=control, generator=generator()) for control in CONTROLS
    )
    torch.testing.assert_close(values_of(like), values_of(change), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(values_of(plain), values_of(change), rtol=1e-2)


@pytest.mark.parametrize("control", CONTROLS)
def test_the_control_of_no_change_is_no_change(control: str) -> None:
    nothing = WeightDelta(module=MODULE, left=torch.zeros(4, 3))
    assert not draw(Outline.of(nothing), control=control, generator=generator()).dense.any()


@pytest.mark.parametrize("control", CONTROLS)
def test_all_directions_are_equally_likely(control: str) -> None:
    outline = Outline.of(delta(3, 2, 2))
    lots = generator()
    drawn = [draw(outline, control=control, generator=lots) for _ in range(1500)]
    lefts = torch.stack([torch.linalg.svd(each.dense).U[:, 0] for each in drawn])
    # Uniform on the sphere: the second moment is a third of the identity, and no side is preferred.
    torch.testing.assert_close(lefts.T @ lefts / 1500, torch.eye(3) / 3, atol=0.04, rtol=0)
    mean = torch.stack([each.dense for each in drawn]).mean(dim=0)
    assert float(mean.abs().max()) < 0.15 * float(outline.values[0])


@pytest.mark.parametrize("control", CONTROLS)
def test_each_step_of_a_control_is_as_large_as_that_of_the_chain(
    tiny: LoadedModel, world: tuple[Edit, ...], control: str
) -> None:
    before = fingerprint(tiny.model)
    settings = settings_for(tiny, covariance="none")
    chain, moved = steps(tiny, settings, world[:3])
    mirror, wandered = steps(tiny, settings.model_copy(update={"control": control}), world[:3])
    assert fingerprint(tiny.model) == before
    for one, other in zip(chain, mirror, strict=True):
        assert one.indices == other.indices
        assert other.solved.values == ()
        for given_, drawn in zip(one.solved.deltas, other.solved.deltas, strict=True):
            assert drawn.module == given_.module
            assert drawn.norm == pytest.approx(given_.norm, rel=1e-5)
            cosine = float((drawn.dense * given_.dense).sum()) / given_.norm**2
            assert abs(cosine) < 0.3, "its direction is another"
    assert 0 < float(wandered.norm()) != pytest.approx(float(moved.norm()), rel=1e-4)


def test_a_batch_of_edits_is_mirrored_with_its_rank(
    tiny_llama: LoadedModel, world: tuple[Edit, ...]
) -> None:
    settings = settings_for(tiny_llama, "ft", update={"steps": 3})
    (chain,), _ = steps(tiny_llama, settings, world[:2], batch=2)
    mirrored = settings.model_copy(update={"control": "random-spectrum"})
    (mirror,), _ = steps(tiny_llama, mirrored, world[:2], batch=2)
    (given_,), (drawn,) = chain.solved.deltas, mirror.solved.deltas
    torch.testing.assert_close(values_of(drawn), values_of(given_), rtol=1e-3, atol=1e-5)


def test_a_control_is_drawn_by_the_seed_the_method_and_the_place(
    tiny_llama: LoadedModel, world: tuple[Edit, ...]
) -> None:
    def drawn(seed: int = 0, **given: Any) -> list[torch.Tensor]:
        settings = settings_for(tiny_llama, covariance="none", **given)
        mirrored = settings.model_copy(update={"control": "random"})
        found, _ = steps(tiny_llama, mirrored, world[:2], seed=seed)
        dense = [step.solved.deltas[0].dense for step in found]
        return [each / each.norm() for each in dense]

    first, second = drawn()
    again, _ = drawn()
    assert torch.equal(first, again)
    for other in (second, drawn(seed=1)[0], drawn(value={"steps": 5})[0]):
        assert abs(float((first * other).sum())) < 0.5


def test_a_control_takes_its_chain_from_the_cache_and_has_a_name_of_its_own(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    settings = settings_for(tiny_llama, covariance="none")
    mirrored = settings.model_copy(update={"control": "random"})
    cache = Cache(tmp_path)
    chain, _ = steps(tiny_llama, settings, world[:2], cache=cache)
    cold, one = steps(tiny_llama, mirrored, world[:2])
    warm, two = steps(tiny_llama, mirrored, world[:2], cache=cache)
    other, _ = steps(
        tiny_llama,
        settings.model_copy(update={"control": "random-spectrum"}),
        world[:2],
        cache=cache,
    )
    assert torch.equal(one, two)
    assert [step.cached for step in warm] == [True, True]
    assert [step.name for step in cold] == [None, None]
    assert len({step.name for step in (*chain, *warm, *other)}) == 6


def test_an_edit_that_cannot_be_mirrored_is_told_and_leaves_no_trace(
    tiny_llama: LoadedModel, world: tuple[Edit, ...]
) -> None:
    before = fingerprint(tiny_llama.model)
    settings = settings_for(tiny_llama, covariance="none")
    mirrored = settings.model_copy(update={"control": "random"})
    work = Work(edits=world[:1], contexts=("{}", "x " * 9000 + "{}"))
    with pytest.raises(EditError, match="edit 1 of 1"):
        list(edit_at_random(tiny_llama, mirrored, work))
    assert fingerprint(tiny_llama.model) == before
