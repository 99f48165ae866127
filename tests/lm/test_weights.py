from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers.pytorch_utils import Conv1D

from pytest_eac.errors import EditError, ModelError, NonFiniteError
from pytest_eac.lm.layout import as_out_in, find_module, is_transposed
from pytest_eac.lm.weights import (
    WeightDelta,
    apply_delta,
    fingerprint,
    named_weights,
    require_finite,
    restored,
    swapped,
)

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel


def _delta(loaded: LoadedModel, layer: int, seed: int, scale: float = 1.0) -> WeightDelta:
    path = loaded.layout.down.format(layer)
    module = find_module(loaded.model, path)
    d_out, d_in = as_out_in(module.weight, module).shape  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    return WeightDelta(
        module=path,
        left=scale * torch.randn(d_out, 2, generator=generator),
        right=torch.randn(d_in, 2, generator=generator),
    )


def test_a_delta_changes_the_layers_output_as_its_dense_form_says(tiny: LoadedModel) -> None:
    delta = _delta(tiny, 1, seed=0)
    module = find_module(tiny.model, delta.module)
    x = torch.randn(3, delta.shape[1], generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), restored(tiny.model, [delta.module]):
        before = module(x)
        apply_delta(tiny.model, delta)
        torch.testing.assert_close(module(x), before + x @ delta.dense.T, rtol=1e-4, atol=1e-3)


def test_a_dense_delta_is_added_as_it_stands(tiny: LoadedModel) -> None:
    factors = _delta(tiny, 1, seed=4)
    dense = WeightDelta(module=factors.module, left=factors.dense)
    assert dense.shape == factors.shape
    assert dense.dense is dense.left
    assert dense.norm == pytest.approx(factors.norm, rel=1e-5)
    module = find_module(tiny.model, dense.module)
    found = []
    for delta in (factors, dense):
        with restored(tiny.model, [delta.module]) as originals:
            applied = apply_delta(tiny.model, delta)
            found.append(module.weight.detach().clone())  # type: ignore[operator]
            moved = as_out_in(found[-1] - originals[delta.module], module)
        assert applied.moved == factors.dense.numel()
        torch.testing.assert_close(moved, factors.dense, rtol=1e-4, atol=1e-5)
    assert torch.equal(*found)


def test_a_dense_delta_of_another_shape_is_refused(tiny: LoadedModel) -> None:
    good = _delta(tiny, 0, seed=0)
    bad = WeightDelta(module=good.module, left=good.dense.T.contiguous())
    with pytest.raises(EditError, match="found a delta of shape"):
        apply_delta(tiny.model, bad)


def test_a_square_weight_is_oriented_by_its_modules_type() -> None:
    assert is_transposed(Conv1D(4, 4))
    assert not is_transposed(nn.Linear(4, 4))
    with pytest.raises(ModelError, match=r"found a Embedding, expected a Linear or a Conv1D"):
        is_transposed(nn.Embedding(4, 4))


def test_the_norm_of_the_factors_is_the_norm_of_the_dense_form(tiny: LoadedModel) -> None:
    delta = _delta(tiny, 0, seed=3)
    assert delta.norm == pytest.approx(float(delta.dense.norm()), rel=1e-5)


@settings(max_examples=25)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=6),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    breaks=st.booleans(),
)
def test_weights_come_back_bit_for_bit_after_any_sequence(
    tiny_llama: LoadedModel, steps: list[tuple[int, int]], scale: float, *, breaks: bool
) -> None:
    before = fingerprint(tiny_llama.model)
    paths = [tiny_llama.layout.down.format(layer) for layer in range(3)]
    try:
        with restored(tiny_llama.model, paths):
            for layer, seed in steps:
                apply_delta(tiny_llama.model, _delta(tiny_llama, layer, seed, scale))
            if breaks:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert fingerprint(tiny_llama.model) == before


def test_a_fingerprint_tells_the_smallest_change(tiny: LoadedModel) -> None:
    path = tiny.layout.down.format(0)
    weight = find_module(tiny.model, path).weight
    before = fingerprint(tiny.model)
    with torch.no_grad(), restored(tiny.model, [path]):
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))  # type: ignore[index, operator]
        assert fingerprint(tiny.model) != before
    assert fingerprint(tiny.model) == before


def test_tied_weights_count_once(tiny: LoadedModel) -> None:
    names = [name for name, _ in named_weights(tiny.model)]
    heads = [name for name in names if name in {"lm_head.weight", "transformer.wte.weight"}]
    assert len(heads) == 1


def test_a_delta_that_is_not_finite_is_refused_and_changes_nothing(tiny: LoadedModel) -> None:
    before = fingerprint(tiny.model)
    good = _delta(tiny, 0, seed=0)
    bad = WeightDelta(module=good.module, left=good.left * float("nan"), right=good.right)
    with pytest.raises(NonFiniteError, match="not finite; nothing was changed"):
        apply_delta(tiny.model, bad)
    assert fingerprint(tiny.model) == before


def test_a_delta_of_another_shape_is_refused(tiny: LoadedModel) -> None:
    good = _delta(tiny, 0, seed=0)
    bad = WeightDelta(module=good.module, left=good.left[:-1], right=good.right)
    with pytest.raises(EditError, match="found a delta of shape"):
        apply_delta(tiny.model, bad)


def test_updates_that_rounding_swallows_are_counted() -> None:
    layer = nn.Linear(4, 3, bias=False, dtype=torch.bfloat16)
    model = nn.Sequential(layer)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    left = torch.tensor([[1e-6], [1.0], [0.0]])
    applied = apply_delta(model, WeightDelta(module="0", left=left, right=torch.ones(4, 1)))
    assert (applied.moved, applied.swallowed) == (8, 4)
    assert layer.weight[1, 0] == 2.0


def test_a_weight_that_would_overflow_its_dtype_is_refused() -> None:
    layer = nn.Linear(2, 2, bias=False, dtype=torch.float16)
    model = nn.Sequential(layer)
    delta = WeightDelta(module="0", left=torch.full((2, 1), 1e5), right=torch.ones(2, 1))
    with pytest.raises(NonFiniteError, match=r"overflows torch\.float16; nothing was changed"):
        apply_delta(model, delta)
    assert torch.isfinite(layer.weight).all()


def test_every_tensor_that_is_not_finite_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")  # type: ignore[operator]
        model[1].bias[:] = float("inf")  # type: ignore[operator]
    with pytest.raises(NonFiniteError) as caught:
        require_finite(model)
    assert "0.weight (1 of 4 entries)" in str(caught.value)
    assert "1.bias (2 of 2 entries)" in str(caught.value)
    assert "1.weight" not in str(caught.value)


@pytest.mark.parametrize("fails", [False, True])
def test_swapped_weights_are_there_inside_and_the_own_ones_afterwards(*, fails: bool) -> None:
    layer = nn.Linear(3, 2)
    model = nn.Sequential(layer, nn.Linear(2, 2))
    own, other = layer.weight.detach().clone(), torch.full((2, 3), 0.1)
    try:
        with swapped(model, {"0": other}):
            assert torch.equal(layer.weight, other)
            if fails:
                raise ArithmeticError
    except ArithmeticError:
        assert fails
    assert torch.equal(layer.weight, own)
