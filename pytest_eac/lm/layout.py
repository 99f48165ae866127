"""Where each architecture keeps the parts that editing needs.

To add an architecture, add a line to ``LAYOUTS`` under its ``model_type``; nothing else depends on
names of modules.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from pytest_eac.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Module paths of an architecture; ``{}`` stands for the layer's number.

    ``down`` is the linear map that writes an MLP's output into the residual stream: its input is
    the *key*, its output the *value*. ``normed`` says that a norm stands between that output and
    the stream: what the stream lacks is then not what ``down`` must write.
    """

    layer: str
    down: str
    normed: bool = False


_LLAMA = Layout(layer="model.layers.{}", down="model.layers.{}.mlp.down_proj")
_POST_NORM = replace(_LLAMA, normed=True)

LAYOUTS: dict[str, Layout] = {
    "falcon": Layout(layer="transformer.h.{}", down="transformer.h.{}.mlp.dense_4h_to_h"),
    "gemma": _LLAMA,
    "gemma2": _POST_NORM,
    "gemma3": Layout(
        layer="model.language_model.layers.{}",
        down="model.language_model.layers.{}.mlp.down_proj",
        normed=True,
    ),
    "gemma3_text": _POST_NORM,
    "gpt2": Layout(layer="transformer.h.{}", down="transformer.h.{}.mlp.c_proj"),
    "gpt_neox": Layout(layer="gpt_neox.layers.{}", down="gpt_neox.layers.{}.mlp.dense_4h_to_h"),
    "gptj": Layout(layer="transformer.h.{}", down="transformer.h.{}.mlp.fc_out"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "olmo": _LLAMA,
    "olmo2": _POST_NORM,
    "olmo3": _POST_NORM,
    "phi": Layout(layer="model.layers.{}", down="model.layers.{}.mlp.fc2"),
    "phi3": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}

# What the configurations of mixtures of experts call the number of their experts.
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def find_layout(config: Any) -> Layout:
    """Return the layout of a configuration's architecture.

    Raises:
        ModelError: the architecture is a mixture of experts, or not in the table; the message
            lists those that are.
    """
    known = ", ".join(sorted(LAYOUTS))
    text = text_config(config)
    for name in _EXPERTS:
        count = getattr(text, name, None)
        if isinstance(count, int) and count > 1:
            raise ModelError(
                f"architecture {config.model_type!r} is a mixture of experts ({name}: {count}) and "
                "cannot be edited: which expert a token goes to decides which matrix holds a fact, "
                f"so there is no one matrix to edit. Take a dense model; known are {known}"
            )
    try:
        return LAYOUTS[config.model_type]
    except KeyError:
        raise ModelError(
            f"architecture {config.model_type!r} is not known; known are {known}. To add it, put "
            "the path of its MLP's output projection into LAYOUTS in pytest_eac/lm/layout.py"
        ) from None


def text_config(config: Any) -> Any:
    """Return the language model's part of a configuration; models that also see nest it."""
    return config.get_text_config(decoder=True)


def find_module(model: nn.Module, path: str) -> nn.Module:
    """Return the module at a dotted path.

    Raises:
        ModelError: the model has no such module.
    """
    try:
        return model.get_submodule(path)
    except AttributeError:
        raise ModelError(
            f"{type(model).__name__} has no module {path!r}; its layout differs from the table in "
            "pytest_eac/lm/layout.py"
        ) from None


def is_transposed(module: nn.Module) -> bool:
    """Say whether a linear module keeps its weight as (d_in, d_out), as GPT-2's Conv1D does.

    Decided by the module's type: a square matrix looks the same both ways.

    Raises:
        ModelError: the module is neither a ``Linear`` nor a ``Conv1D``.
    """
    if isinstance(module, Conv1D):
        return True
    if isinstance(module, torch.nn.Linear):
        return False
    raise ModelError(f"found a {type(module).__name__}, expected a Linear or a Conv1D to edit")


def as_out_in(weight: Tensor, module: nn.Module) -> Tensor:
    """View a module's weight, or a tensor of that shape, as (d_out, d_in)."""
    return weight.T if is_transposed(module) else weight


def shape_of(config: Any) -> dict[str, Any]:
    """Return the configuration values that presets and messages go by."""
    text = text_config(config)
    names = ("hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size")
    return {"model_type": config.model_type, **{name: getattr(text, name, None) for name in names}}
