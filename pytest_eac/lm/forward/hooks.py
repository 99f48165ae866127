"""Reading and changing what flows through a module, for the time of a ``with`` block.

A handle of torch's is a context manager, which removes its hook at the end of the block.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


class Seen:
    """The last input and output of a captured module, each (batch, tokens, width)."""

    def __init__(self) -> None:
        self.input: Tensor = torch.empty(0)
        self.output: Tensor = torch.empty(0)

    def note(self, args: tuple[Any, ...], output: Any) -> None:
        """Keep one call of the module."""
        self.input = args[0] if args else self.input  # some layers are called by keyword alone
        # A copy of the output: Falcon adds the attention's output to the MLP's in place.
        self.output = _first(output).clone()


@contextmanager
def capture(module: nn.Module) -> Iterator[Seen]:
    """Record a module's input and output at each of its calls; the last call is kept."""
    seen = Seen()

    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        seen.note(args, output)

    with module.register_forward_hook(hook):
        yield seen


@contextmanager
def patch(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace a module's output by ``change(output)``."""

    def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        changed = change(_first(output))
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    with module.register_forward_hook(hook):
        yield


class _EnoughError(Exception):
    """Everything that was wanted has been seen; the rest of the forward pass is not needed."""


@torch.no_grad()
def read_states(
    model: nn.Module, inputs: dict[str, Tensor], modules: Mapping[str, nn.Module]
) -> dict[str, Seen]:
    """Run the model just far enough to see the named modules' inputs and outputs."""
    seen: dict[str, Seen] = {}

    def hook_for(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            seen[name] = Seen()
            seen[name].note(args, output)
            if len(seen) == len(modules):
                raise _EnoughError

        return hook

    with suppress(_EnoughError), ExitStack() as stack:
        for name, module in modules.items():
            stack.enter_context(module.register_forward_hook(hook_for(name)))
        model(**inputs, use_cache=False, logits_to_keep=1)
    return seen


@contextmanager
def head_at(model: nn.Module, rows: Tensor, places: Tensor) -> Iterator[None]:
    """Let the head read only some tokens' states: the logits come as (1, n, vocabulary).

    Args:
        model: a causal language model.
        rows: of the batch; (n,).
        places: of the tokens in those rows; (n,).
    """

    def hook(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        where = rows.to(args[0].device), places.to(args[0].device)
        return (args[0][where][None],)

    with model.get_output_embeddings().register_forward_pre_hook(hook):  # type: ignore[operator]
        yield


@contextmanager
def watched(layer: nn.Module) -> Iterator[list[tuple[Tensor, bool]]]:
    """Collect the hidden states that enter a layer, and whether it returns a tuple."""
    seen: list[tuple[Tensor, bool]] = []

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        entering = args[0] if args else kwargs["hidden_states"]
        seen.append((entering.detach(), isinstance(output, tuple)))

    with layer.register_forward_hook(hook, with_kwargs=True):
        yield seen


@contextmanager
def fed(layer: nn.Module, hidden: Tensor) -> Iterator[None]:
    """Replace the hidden states that enter a layer."""

    def hook(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (hidden, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": hidden}

    with layer.register_forward_pre_hook(hook, with_kwargs=True):
        yield


@contextmanager
def passed_through(layer: nn.Module, in_tuples: bool) -> Iterator[None]:
    """Let a layer return what it is given, without computing anything."""

    def forward(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor | tuple[Tensor]:
        return (hidden_states,) if in_tuples else hidden_states

    with mock.patch.object(layer, "forward", forward):
        yield
