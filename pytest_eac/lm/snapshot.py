"""Snapshots of everything about a loaded model that later results depend on, and how it changes.

A chain's results must not depend on what ran before it in the process. Code that is given the model
may leave more behind than weights: hooks, modules, buffers, flags, configuration, torch's defaults.
:func:`unchanged` requires that such code leaves everything as it was.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from functools import partial
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedConfig

from pytest_eac.errors import SpoiledModelError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.process import Process
from pytest_eac.lm.weights import checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_eac.lm.load import LoadedModel

_SHOWN = 6
_MISSING = object()
_SMALL = 4096
# What is compared of a tensor besides its values, as in `_facts`; the version comes last there.
_FACTS = ("memory", "shape", "strides", "dtype", "device", "requires_grad", "gradient", "hooks")
_HOOKS = {
    "_forward_hooks": "forward hooks of {}",
    "_forward_hooks_with_kwargs": "forward hooks with keywords of {}",
    "_forward_hooks_always_called": "forward hooks that are always called of {}",
    "_forward_pre_hooks": "forward pre-hooks of {}",
    "_forward_pre_hooks_with_kwargs": "forward pre-hooks with keywords of {}",
    "_backward_hooks": "backward hooks of {}",
    "_backward_pre_hooks": "backward pre-hooks of {}",
    "_state_dict_hooks": "state_dict hooks of {}",
    "_state_dict_pre_hooks": "state_dict pre-hooks of {}",
    "_load_state_dict_pre_hooks": "load_state_dict pre-hooks of {}",
    "_load_state_dict_post_hooks": "load_state_dict hooks of {}",
}
_hooks_of = attrgetter(*_HOOKS)
_WORDS = {
    **_HOOKS,
    "_modules": "submodules of {}",
    "_parameters": "parameters of {}",
    "_buffers": "buffers of {}",
    "training": "training mode of {}",
}
_PIPELINE = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_ATOMS = frozenset({bool, int, float, str, type(None)})
# Hooks that transformers itself adds once hidden states are asked for; they have no other effect.
_CAPTURING = "transformers.utils.output_capturing"


class Snapshot:
    """A loaded model, its tokenizer and the process as they are now.

    Args:
        loaded: the model.
        modules: paths of modules whose weights may be written to, if they end as they were.
        whole: compare the values of all tensors, and all of the tokenizer. Otherwise values count
            as unchanged if torch's version counter is, which misses writes that bypass the counter
            (``weight.data.add_(1)``).
    """

    def __init__(
        self, loaded: LoadedModel, modules: Iterable[str] = (), *, whole: bool = False
    ) -> None:
        self._loaded = loaded
        self._tensors: dict[int, tuple[str, Tensor, tuple[Any, ...]]] = {}
        self._configurations: dict[int, tuple[str, Any]] = {}
        self._modules = [
            (path, module, type(module), _hooks(module), self._freeze_module(path, module))
            for path, module in loaded.model.named_modules()
        ]
        self._texts = self._flatten()
        self._writable = {
            id(getattr(find_module(loaded.model, path), "weight", None)) for path in modules
        }
        self._whole = whole
        self._sums = {
            key: checksum(tensor)
            for key, (_, tensor, _) in self._tensors.items()
            if whole or key in self._writable or _is_small_buffer(tensor)
        }
        self._backend = loaded.tokenizer.backend_tokenizer
        self._asked = self._backend.padding, self._backend.truncation
        self._vocabulary = self._backend.to_str() if whole else ""
        self._process = Process({type(loaded.tokenizer), *(each[2] for each in self._modules)})

    def written(self) -> list[str]:
        """Return the names of the compared tensors whose values have changed."""
        return [
            self._tensors[key][0]
            for key, found in self._sums.items()
            if checksum(self._tensors[key][1]) != found
        ]

    def differences(self, *, edited: bool = False) -> list[str]:
        """Describe what has changed, and where.

        Args:
            edited: the weights of ``modules`` may have changed. The values of other tensors are
                then compared as if not ``whole``.
        """
        found = [what for each in self._modules for what in _of_module(*each)]
        for key in self._tensors:
            found += self._of_tensor(key, edited=edited)
        found += _changed(self._texts, self._flatten())
        if self._whole and not edited:
            found += self._of_vocabulary()
        return [*found, *self._process.differences()]

    def require(self, who: str, *, edited: bool = False, remedy: str = "") -> None:
        """Raise if anything has changed; see :meth:`differences`.

        Raises:
            SpoiledModelError: ``who`` has changed something.
        """
        if found := self.differences(edited=edited):
            raise SpoiledModelError(_complaint(who, found, remedy))

    def put_back(self) -> None:
        """Put back what loading the model again does not: the settings of the process.

        Also put back is the tokenizer's padding and truncation. Every call sets them for itself, so
        that a change of them does not count as a difference.
        """
        self._process.put_back()
        padding, truncation = self._asked
        if self._backend.padding != padding:
            self._backend.enable_padding(**padding) if padding else self._backend.no_padding()
        if self._backend.truncation != truncation:
            if truncation:
                self._backend.enable_truncation(**truncation)
            else:
                self._backend.no_truncation()

    def _freeze_module(self, path: str, module: nn.Module) -> dict[str, Any]:
        frozen = dict(vars(module))
        for name, value in vars(module).items():
            if value.__class__ in _ATOMS or name in _HOOKS:  # hooks are held by `_hooks`
                continue
            if _is_recomputed(module, name):
                del frozen[name]
            elif isinstance(value, PreTrainedConfig | GenerationConfig):
                self._configurations.setdefault(id(value), (_join(path, name), value))
            else:
                frozen[name] = self._freeze(value, path, name)
        return frozen

    def _freeze(self, value: Any, path: str, name: str) -> Any:
        """Return a deep copy of a container, and keep track of the tensors in it."""
        if isinstance(value, dict):
            copy = dict(value)
            for key, each in value.items():
                if each.__class__ not in _ATOMS and not isinstance(each, nn.Module):
                    copy[key] = self._freeze(each, path, str(key))
            return copy
        if isinstance(value, list | tuple):
            return tuple(self._freeze(each, path, name) for each in value)
        if isinstance(value, set):
            return frozenset(value)
        if isinstance(value, Tensor):
            self._tensors.setdefault(id(value), (_join(path, name), value, _facts(value)))
        return value

    def _flatten(self) -> dict[str, Any]:
        """Return the entries of the configurations, the tokenizer and the loaded model by name."""
        found: dict[str, Any] = {}
        seen: set[int] = set()
        for name, configuration in self._configurations.values():
            _flatten(configuration, name, found, seen)
        about = vars(self._loaded.tokenizer)
        about = {name: each for name, each in about.items() if name != "deprecation_warnings"}
        _flatten(about, "tokenizer", found, seen)
        backend = about["_tokenizer"]
        found["tokenizer.vocabulary size"] = backend.get_vocab_size()
        found |= {f"tokenizer.{name}": repr(getattr(backend, name)) for name in _PIPELINE}
        _flatten(vars(self._loaded), "loaded", found, seen)
        return found

    def _of_tensor(self, key: int, *, edited: bool) -> Iterator[str]:
        name, tensor, facts = self._tensors[key]
        now = _facts(tensor)
        wrong = [
            f"{what} of {name} (was {_show(then)}, is {_show(new)})"
            for what, then, new in zip(_FACTS, facts, now, strict=False)
            if then != new
        ]
        if wrong:
            yield from wrong
            return
        writable = key in self._writable
        if edited and writable:
            return
        if now[-1] == facts[-1]:
            if edited or not self._whole:
                return
        elif not writable and not _is_small_buffer(tensor):
            yield f"{name} (written to)"
            return
        if checksum(tensor) != self._sums[key]:
            yield f"the values of {name}"

    def _of_vocabulary(self) -> list[str]:
        """Compare the tokenizer in full, but for padding and truncation; see `put_back`."""
        now = self._backend.to_str()
        if now == self._vocabulary:
            return []
        then_parts, now_parts = json.loads(self._vocabulary), json.loads(now)
        return [
            f"the tokenizer's {name}"
            for name, then in then_parts.items()
            if name not in {"padding", "truncation"} and now_parts.get(name) != then
        ]


@contextmanager
def unchanged(
    loaded: LoadedModel,
    who: str,
    modules: Iterable[str] = (),
    *,
    whole: bool = False,
    remedy: str = "",
) -> Iterator[Callable[[], None]]:
    """Require that a block leaves the model, its tokenizer and the process as they were.

    Also if the block raises. The settings of the process are put back in any case.

    Args:
        loaded: the model.
        who: what runs in the block, for the message.
        modules: paths of modules whose weights may be written to, if they end as they were.
        whole: compare the values of all tensors as well; see :class:`Snapshot`.
        remedy: what to do about it, for the message.

    Yields:
        A function that requires the same inside the block, except of the weights of ``modules``,
        which may be edited there.

    Raises:
        SpoiledModelError: the block has changed something.
    """
    before = Snapshot(loaded, modules, whole=whole)
    require = partial(before.require, who, remedy=remedy)
    try:
        yield partial(require, edited=True)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if blamed := _blamed(error):
            raise blamed from blamed.__cause__
        require()
        raise
    else:
        require()
    finally:
        before.put_back()


def _complaint(who: str, found: list[str], remedy: str) -> str:
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"{who} changed what it must leave as it was: {'; '.join(found[:_SHOWN])}{more}. Later "
        "results would depend on that: the model must be loaded again, and nothing is kept. "
        f"{remedy}"
    ).rstrip()


def _blamed(error: BaseException | None) -> SpoiledModelError | None:
    """Return the error that was being handled when, say, restoring the weights failed too."""
    while error is not None and not isinstance(error, SpoiledModelError):
        error = error.__context__
    return error


def _hooks(module: nn.Module) -> tuple[dict[Any, Any], ...]:
    """Return copies of a module's hooks, without those of transformers itself."""
    hooks = _hooks_of(module)
    if not any(hooks):
        return ()
    return tuple(
        {key: hook for key, hook in each.items() if getattr(hook, "__module__", None) != _CAPTURING}
        for each in hooks
    )


def _of_module(
    path: str, module: nn.Module, kind: type, hooks: tuple[Any, ...], then: Mapping[str, Any]
) -> Iterator[str]:
    where = path or "the model"
    if type(module) is not kind:
        yield f"the class of {where} (was {kind.__name__}, is {type(module).__name__})"
    if (now_hooks := _hooks(module)) != hooks:
        none: tuple[dict[Any, Any], ...] = ({},) * len(_HOOKS)
        for words, old, new in zip(_HOOKS.values(), hooks or none, now_hooks or none, strict=True):
            if list(old.items()) != list(new.items()):
                yield words.format(where)
    now = vars(module)
    for name, value in now.items():
        old = then.get(name, _MISSING)
        if old is value or (old is not _MISSING and _same(old, value)):
            continue
        if not _is_recomputed(module, name):
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


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_recomputed(module: nn.Module, name: str) -> bool:
    """Return whether transformers itself sets an attribute whenever the model is called.

    These are its hooks, and the frequencies of "longrope", which switches between two sets.
    """
    if name == "_output_capturing_hooks_installed":
        return True
    if not name.endswith("inv_freq") or "original" in name:
        return False
    return "longrope" in str(vars(module).get("rope_type"))


def _facts(tensor: Tensor) -> tuple[Any, ...]:
    gradient = tensor.grad if tensor.is_leaf else None
    hooks = tensor._backward_hooks
    return (
        tensor.data_ptr(),
        tensor.shape,
        tensor.stride(),
        tensor.dtype,
        tensor.device,
        tensor.requires_grad,
        None if gradient is None else id(gradient),
        tuple(hooks.values()) if hooks else (),
        0 if tensor.is_inference() else tensor._version,
    )


def _show(fact: Any) -> str:
    return f"at {fact:#x}" if type(fact) is int else str(fact)


def _is_small_buffer(tensor: Tensor) -> bool:
    """Return whether a tensor's values are cheap to compare; some are rewritten at every call."""
    return not isinstance(tensor, nn.Parameter) and tensor.numel() <= _SMALL


def _flatten(value: Any, name: str, found: dict[str, Any], seen: set[int]) -> None:
    """Put every entry of nested configurations and containers into ``found``, by its name."""
    if isinstance(value, PreTrainedConfig | GenerationConfig):
        if id(value) in seen:
            return
        seen.add(id(value))
        value = vars(value)
    if isinstance(value, dict):
        found[name] = len(value)
        for key, each in value.items():
            _flatten(each, f"{name}.{key}", found, seen)
    elif isinstance(value, list | tuple):
        found[name] = len(value)
        for place, each in enumerate(value):
            _flatten(each, f"{name}[{place}]", found, seen)
    else:
        found[name] = frozenset(value) if isinstance(value, set) else value


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in then.keys() | now.keys():
        old, new = then.get(name, _MISSING), now.get(name, _MISSING)
        if old is new or (old is not _MISSING and new is not _MISSING and _same(old, new)):
            continue
        if name.startswith("loaded") and (old is _MISSING or name == "loaded"):
            continue  # cached properties of a loaded model
        shown = name.removesuffix("_internal")
        words = ["not set" if each is _MISSING else str(each)[:40] for each in (old, new)]
        yield f"{shown} (was {words[0]}, is {words[1]})"
