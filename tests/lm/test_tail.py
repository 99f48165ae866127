"""When the tail forward is used, and that it leaves nothing behind.

That it gives the whole forward's numbers is tested on every architecture, test_architectures.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_eac.lm.layout import find_layout, find_module
from pytest_eac.lm.load import LoadedModel
from pytest_eac.lm.tail import FullWindow, TailWindow, Window, open_window, open_windows
from pytest_eac.lm.trace import patch

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

    wanted = places - window.offset
    keep, where = wanted.unique(return_inverse=True)
    with patch(find_module(loaded.model, loaded.layout.down.format(layer)), add):
        return window.logits(keep)[rows, where]


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


@pytest.mark.parametrize(("sliding", "kind"), [(4, FullWindow), (64, TailWindow)])
def test_a_text_longer_than_the_sliding_window_is_run_whole(
    sliding: int, kind: type[Window]
) -> None:
    loaded = _model("mistral")
    loaded.model.config.sliding_window = sliding
    assert isinstance(open_window(loaded, [(1, 2, 3, 4)], (1,), layer=2), kind)


def test_a_tail_leaves_the_model_as_it_was() -> None:
    loaded = _model("llama")
    ids = torch.arange(1, 9)[None]
    before = loaded.model(ids).logits
    window = TailWindow(loaded, [(1, 2, 3, 4)], (1,), layer=2)
    window.logits(torch.tensor([0]))
    assert torch.equal(loaded.model(ids).logits, before)
    assert not any(
        module._forward_pre_hooks or module._forward_hooks for module in loaded.model.modules()
    )


def test_a_tail_that_raises_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = _model("llama")
    ids = torch.arange(1, 9)[None]
    before = loaded.model(ids).logits
    window = TailWindow(loaded, [(1, 2, 3, 4)], (1,), layer=2)
    with pytest.raises(IndexError):
        window.logits(torch.tensor([99]))
    assert torch.equal(loaded.model(ids).logits, before)
