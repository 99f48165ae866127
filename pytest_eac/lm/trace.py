"""Reading and changing what flows through a module, for the time of a ``with`` block."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


class Seen:
    """The last input and output of a captured module, each (batch, tokens, width)."""

    def __init__(self) -> None:
        self.input: Tensor = torch.empty(0)
        self.output: Tensor = torch.empty(0)


@contextmanager
def capture(module: nn.Module) -> Iterator[Seen]:
    """Record a module's input and output at each of its calls; the last call is kept."""
    seen = Seen()

    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        # A copy of the output: Falcon adds the attention's output to the MLP's in place.
        seen.input, seen.output = args[0], _first(output).clone()

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def patch(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace a module's output by ``change(output)``."""

    def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        changed = change(_first(output))
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
