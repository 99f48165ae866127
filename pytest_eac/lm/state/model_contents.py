"""What a snapshot compares of modules, tensors and configurations; names of differences."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedConfig

from pytest_eac.lm.state.torch_private import HOOKS, PARTS, hooks_of_tensor, version_of
from pytest_eac.lm.transformers_private import CAPTURING_FLAG, CAPTURING_HOOKS

_MISSING = object()
# What is compared of a tensor besides its values, in the order of `tensor_facts`.
_FACTS = ("memory", "shape", "strides", "dtype", "device", "requires_grad", "gradient", "hooks")
_all_hooks = attrgetter(*HOOKS)
_WORDS = {**HOOKS, **PARTS, "training": "training mode of {}"}


def hooks_of(module: nn.Module) -> tuple[dict[Any, Any], ...]:
    """Return copies of a module's hooks, without those of transformers itself."""
    hooks = _all_hooks(module)
    if not any(hooks):
        return ()
    return tuple(
        {
            key: hook
            for key, hook in each.items()
            if getattr(hook, "__module__", None) != CAPTURING_HOOKS
        }
        for each in hooks
    )


def module_differences(
    path: str, module: nn.Module, kind: type, hooks: tuple[Any, ...], then: Mapping[str, Any]
) -> Iterator[str]:
    """Describe how a module differs from what was frozen of it."""
    where = path or "the model"
    if type(module) is not kind:
        yield f"the class of {where} (was {kind.__name__}, is {type(module).__name__})"
    if (now_hooks := hooks_of(module)) != hooks:
        none: tuple[dict[Any, Any], ...] = ({},) * len(HOOKS)
        for words, old, new in zip(HOOKS.values(), hooks or none, now_hooks or none, strict=True):
            if list(old.items()) != list(new.items()):
                yield words.format(where)
    now = vars(module)
    for name, value in now.items():
        old = then.get(name, _MISSING)
        if old is value or (old is not _MISSING and _same(old, value)):
            continue
        if not is_recomputed(module, name):
            yield _WORDS.get(name, f"{name} of {{}}").format(where)
    if len(now) < len(then) or not now.keys() >= then.keys():
        for name in then.keys() - now.keys():
            yield _WORDS.get(name, f"{name} of {{}}").format(where)


def _same(then: Any, now: Any) -> bool:
    """Return whether a value is what was frozen."""
    if then is now:
        return True
    if isinstance(now, dict):
        return isinstance(then, dict) and len(then) == len(now) and _same_entries(then, now)
    if isinstance(now, list | tuple):
        return isinstance(then, tuple) and len(then) == len(now) and all(map(_same, then, now))
    if isinstance(now, Tensor | nn.Module):
        # Rotary embeddings register their buffers again; equal ones give equal results.
        return isinstance(then, Tensor) and type(now) is Tensor and _equal(then, now)
    with suppress(Exception):  # whatever an object's own comparison may raise
        return bool(then == now)
    return False


def _same_entries(then: dict[Any, Any], now: dict[Any, Any]) -> bool:
    alike = all(map(is_, then.values(), now.values()))
    alike = alike or all(map(_same, then.values(), now.values()))
    return alike and (not now or list(then) == list(now))


def _equal(one: Tensor, other: Tensor) -> bool:
    same = (one.dtype, one.shape, one.device) == (other.dtype, other.shape, other.device)
    return same and torch.equal(one, other)


def is_recomputed(module: nn.Module, name: str) -> bool:
    """Return whether transformers itself sets an attribute whenever the model is called.

    These are its hooks, and the frequencies of "longrope", which switches between two sets.
    """
    if name == CAPTURING_FLAG:
        return True
    if not name.endswith("inv_freq") or "original" in name:
        return False
    return "longrope" in str(vars(module).get("rope_type"))


def tensor_facts(tensor: Tensor) -> tuple[Any, ...]:
    """Return what is compared of a tensor besides its values."""
    gradient = tensor.grad if tensor.is_leaf else None
    hooks = hooks_of_tensor(tensor)
    return (
        tensor.data_ptr(),
        tensor.shape,
        tensor.stride(),
        tensor.dtype,
        tensor.device,
        tensor.requires_grad,
        None if gradient is None else id(gradient),
        tuple(hooks.values()) if hooks else (),
        0 if tensor.is_inference() else version_of(tensor),
    )


def fact_differences(name: str, then: tuple[Any, ...], now: tuple[Any, ...]) -> list[str]:
    """Describe how a tensor's facts differ; the last one, its version, is left out."""
    return [
        f"{what} of {name} (was {_show(old)}, is {_show(new)})"
        for what, old, new in zip(_FACTS, then, now, strict=False)
        if old != new
    ]


def _show(fact: Any) -> str:
    return f"at {fact:#x}" if type(fact) is int else str(fact)


def flatten(value: Any, name: str, found: dict[str, Any], seen: set[int]) -> None:
    """Put every entry of nested configurations and containers into ``found``, by its name."""
    if isinstance(value, PreTrainedConfig | GenerationConfig):
        if id(value) in seen:
            return
        seen.add(id(value))
        value = vars(value)
    if isinstance(value, dict):
        found[name] = len(value)
        for key, each in value.items():
            flatten(each, f"{name}.{key}", found, seen)
    elif isinstance(value, list | tuple):
        found[name] = len(value)
        for place, each in enumerate(value):
            flatten(each, f"{name}[{place}]", found, seen)
    else:
        found[name] = frozenset(value) if isinstance(value, set) else value


def entry_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Describe how the entries of :func:`flatten` differ."""
    for name in then.keys() | now.keys():
        old, new = then.get(name, _MISSING), now.get(name, _MISSING)
        if old is new or (old is not _MISSING and new is not _MISSING and _same(old, new)):
            continue
        if name.startswith("loaded") and (old is _MISSING or name == "loaded"):
            continue  # cached properties of a loaded model
        shown = name.removesuffix("_internal")
        words = ["not set" if each is _MISSING else str(each)[:40] for each in (old, new)]
        yield f"{shown} (was {words[0]}, is {words[1]})"
