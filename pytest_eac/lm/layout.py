"""Where each architecture keeps the parts that editing needs.

To add an architecture, add a line to ``LAYOUTS`` under its ``model_type``; nothing else depends on
names of modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.pytorch_utils import Conv1D

from pytest_eac.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Module paths of an architecture; ``{}`` stands for the layer's number.

    ``down`` is the linear map that writes an MLP's output into the residual stream: its input is
    the *key*, its output the *value*.
    """

    layer: str
    down: str


_GPT2 = Layout(layer="transformer.h.{}", down="transformer.h.{}.mlp.c_proj")
_LLAMA = Layout(layer="model.layers.{}", down="model.layers.{}.mlp.down_proj")

LAYOUTS: dict[str, Layout] = {
    "gpt2": _GPT2,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
}


def find_layout(model_type: str) -> Layout:
    """Return the layout of an architecture.

    Raises:
        ModelError: the architecture is not in the table; the message lists those that are.
    """
    try:
        return LAYOUTS[model_type]
    except KeyError:
        raise ModelError(
            f"architecture {model_type!r} is not known; known are {', '.join(sorted(LAYOUTS))}. To "
            "add it, put the path of its MLP's output projection into LAYOUTS in "
            "pytest_eac/lm/layout.py"
        ) from None


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
    names = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size")
    return {name: getattr(config, name, None) for name in names}
