"""When the tail forward is used, and that it leaves nothing behind.

That it gives the whole forward's numbers is tested on every architecture, test_architectures.py.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_eac.lm.layout import find_layout
from pytest_eac.lm.load import LoadedModel
from pytest_eac.lm.tail import FullWindow, TailWindow, Window, open_window

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
