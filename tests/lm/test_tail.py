"""When the tail forward is used, and that it leaves nothing behind.

That it gives the whole forward's numbers is tested on every architecture, test_architectures.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from accelerate import dispatch_model
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_eac.errors import EacWarning
from pytest_eac.lm.forward.hooks import capture, patch
from pytest_eac.lm.forward.tail import FullWindow, TailWindow, Window, open_windows
from pytest_eac.lm.layout import find_layout, find_module
from pytest_eac.lm.loading.load import LoadedModel

if TYPE_CHECKING:
    from torch import Tensor

_SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


class _NoTokenizer:
    pad_token_id = eos_token_id = 0


def _model(name: str) -> LoadedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **_SIZES)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(requires_grad=False)
    layout = find_layout(config)
    return LoadedModel(model=model, tokenizer=_NoTokenizer(), layout=layout, id=name, revision=None)


def _run(
    loaded: LoadedModel, window: Window, layer: int, delta: Tensor, places: Tensor, at: Tensor
) -> Tensor:
    """Logits at each row's place, with ``delta`` added at token ``at`` of each row."""
    rows = torch.arange(len(places))

    def add(output: Tensor) -> Tensor:
        changed = output.clone()
        changed[rows, at - window.offset] += delta
        return changed

    with patch(find_module(loaded.model, loaded.layout.down.format(layer)), add):
        return window.logits(rows, places)


@pytest.mark.parametrize("name", ["falcon", "gpt2", "gpt_neox", "llama", "mistral"])
def test_one_pass_serves_windows_from_every_layer_on(name: str) -> None:
    loaded = _model(name)
    rows, starts = [(1, 2, 3, 4, 5, 6, 7), (11, 12, 13)], (4, 1)
    delta, places, at = torch.linspace(-3, 3, 32), torch.tensor([6, 2]), torch.tensor(starts)
    windows = open_windows(loaded, rows, starts, layers=range(4))
    for layer in (3, 0, 2, 1):
        whole = _run(loaded, FullWindow(loaded, rows), layer, delta, places, at)
        for entry in range(layer + 1):
            tail = _run(loaded, windows[entry], layer, delta, places, at)
            torch.testing.assert_close(tail, whole, rtol=1e-4, atol=1e-5)


def test_a_text_longer_than_the_sliding_window_is_run_whole_and_said_to_be() -> None:
    loaded = _model("mistral")
    loaded.model.config.sliding_window = 64
    assert isinstance(open_windows(loaded, [(1, 2, 3, 4)], (1,), layers=[2])[2], TailWindow)
    loaded.model.config.sliding_window = 4
    with pytest.warns(EacWarning, match="sliding window of 4"):
        assert isinstance(open_windows(loaded, [(1, 2, 3, 4)], (1,), layers=[2])[2], FullWindow)


@pytest.mark.parametrize("whole", [True, False])
def test_a_narrowed_window_has_the_numbers_of_its_rows(whole: bool) -> None:
    loaded = _model("llama")
    rows, starts = [(1, 2, 3, 4, 5, 6, 7), (11, 12, 13), (21, 22, 23, 24)], (4, 1, 0)
    delta, places, at = torch.linspace(-3, 3, 32), torch.tensor([6, 2, 3]), torch.tensor(starts)
    window: Window = (
        FullWindow(loaded, rows) if whole else TailWindow(loaded, rows, starts, layers=[2])
    )
    every = _run(loaded, window, 2, delta, places, at)
    kept = torch.tensor([2, 0])
    some = _run(loaded, window.narrowed(kept), 2, delta, places[kept], at[kept])
    torch.testing.assert_close(some, every[kept], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(_run(loaded, window, 2, delta, places, at), every, rtol=0, atol=0)


def test_a_tail_in_bfloat16_differs_by_its_rounding_alone() -> None:
    loaded = _model("llama")
    loaded.model.to(torch.bfloat16)
    rows, starts = [(1, 2, 3, 4, 5, 6, 7), (11, 12, 13)], (4, 1)
    delta, places, at = torch.linspace(-3, 3, 32), torch.tensor([6, 2]), torch.tensor(starts)
    delta = delta.bfloat16()
    whole = _run(loaded, FullWindow(loaded, rows), 2, delta, places, at)
    tail = _run(loaded, TailWindow(loaded, rows, starts, layers=[2]), 2, delta, places, at)
    assert tail.dtype == torch.bfloat16
    torch.testing.assert_close(tail, whole, rtol=2**-6, atol=2**-6)


def test_a_tail_runs_through_a_model_that_accelerate_has_shared_out() -> None:
    loaded = _model("llama")
    rows, starts = [(1, 2, 3, 4, 5, 6, 7), (11, 12, 13)], (4, 1)
    delta, places, at = torch.linspace(-3, 3, 32), torch.tensor([6, 2]), torch.tensor(starts)
    expected = _run(loaded, FullWindow(loaded, rows), 2, delta, places, at)
    parts = ["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"]
    parts += [loaded.layout.layer.format(layer) for layer in range(4)]
    dispatch_model(loaded.model, device_map=dict.fromkeys(parts, "cpu"), force_hooks=True)
    hooked = [name for name, each in loaded.model.named_modules() if "forward" in vars(each)]
    assert loaded.layout.layer.format(0) in hooked
    tail = _run(loaded, TailWindow(loaded, rows, starts, layers=[2]), 2, delta, places, at)
    torch.testing.assert_close(tail, expected, rtol=1e-4, atol=1e-5)
    assert [
        name for name, each in loaded.model.named_modules() if "forward" in vars(each)
    ] == hooked


def test_the_head_reads_only_the_tokens_that_are_asked_for() -> None:
    loaded = _model("llama")
    window = TailWindow(loaded, [(1, 2, 3, 4), (5, 6, 7, 8)], (1, 2), layers=[2])
    with capture(loaded.model.get_output_embeddings()) as seen:
        window.logits(torch.tensor([0, 1, 1]), torch.tensor([3, 2, 3]))
    assert seen.input.shape == (1, 3, 32)


def test_the_constants_below_the_first_layer_take_no_memory() -> None:
    loaded = _model("llama")
    window = TailWindow(loaded, [(1, 2, 3, 4)], (1,), layers=[2])
    sizes = [each.keys.untyped_storage().nbytes() for each in window._cache.layers]
    assert max(sizes[:2]) <= 4 < min(sizes[2:])


def test_a_tail_leaves_the_model_as_it_was() -> None:
    loaded = _model("llama")
    ids = torch.arange(1, 9)[None]
    before = loaded.model(ids).logits
    window = TailWindow(loaded, [(1, 2, 3, 4)], (1,), layers=[2])
    window.logits(torch.tensor([0]), torch.tensor([3]))
    assert torch.equal(loaded.model(ids).logits, before)
    assert not any(
        module._forward_pre_hooks or module._forward_hooks for module in loaded.model.modules()
    )


def test_a_tail_that_raises_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = _model("llama")
    ids = torch.arange(1, 9)[None]
    before = loaded.model(ids).logits
    window = TailWindow(loaded, [(1, 2, 3, 4)], (1,), layers=[2])
    with pytest.raises(IndexError):
        window.logits(torch.tensor([0]), torch.tensor([99]))
    assert torch.equal(loaded.model(ids).logits, before)
