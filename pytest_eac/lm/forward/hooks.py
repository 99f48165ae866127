"""Reading and changing what flows through a module, for the time of a ``with`` block."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


class Seen:
    """The last input and output of a captured module, each (batch, tokens, width)."""

    def __init__(self) -> None:
        self.input: Tensor = torch.empty(0)
        self.output: Tensor = torch.empty(0)

    def note(self, args: tuple[Any, ...], output: Any) -> None:
        """Take down one call of the module."""
        self.input = args[0] if args else self.input  # some layers are called by keyword alone
        # A copy of the output: Falcon adds the attention's output to the MLP's in place.
        self.output = _first(output).clone()


@contextmanager
def capture(module: nn.Module) -> Iterator[Seen]:
    """Record a module's input and output at each of its calls; the last call is kept."""
    seen = Seen()

    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        seen.note(args, output)

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


class _EnoughError(Exception):
    """All that was asked for has been seen; the rest of the forward pass is not needed."""


@torch.no_grad()
def read_states(
    model: nn.Module, inputs: dict[str, Tensor], modules: Mapping[str, nn.Module]
) -> dict[str, Seen]:
    """Run the model just far enough to see the named modules' inputs and outputs."""
    seen: dict[str, Seen] = {}
    handles = []

    def hook_for(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            seen[name] = Seen()
            seen[name].note(args, output)
            if len(seen) == len(modules):
                raise _EnoughError

        return hook

    try:
        for name, module in modules.items():
            handles.append(module.register_forward_hook(hook_for(name)))
        model(**inputs, use_cache=False, logits_to_keep=1)
    except _EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return seen
