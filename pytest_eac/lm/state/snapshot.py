"""Snapshots of everything about a loaded model that later results depend on, and how it changes.

A chain's results must not depend on what ran before it in the process. Code that is given the model
may leave more behind than weights: hooks, modules, buffers, flags, configuration, torch's defaults.
:func:`unchanged` requires that such code leaves everything as it was.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedConfig

from pytest_eac.errors import SpoiledModelError
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.lm.state.model_contents import (
    entry_differences,
    fact_differences,
    flatten,
    hooks_of,
    is_recomputed,
    module_differences,
    tensor_facts,
)
from pytest_eac.lm.state.process import Process
from pytest_eac.lm.state.tokenizer_state import TokenizerState
from pytest_eac.lm.state.torch_private import HOOKS
from pytest_eac.lm.weights import checksum

_SHOWN = 6
_SMALL = 4096
_ATOMS = frozenset({bool, int, float, str, type(None)})


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
            (path, module, type(module), hooks_of(module), self._freeze_module(path, module))
            for path, module in loaded.model.named_modules()
        ]
        self._tokenizer = TokenizerState(loaded.tokenizer, whole=whole)
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
        kinds = [type(loaded.tokenizer), *(each[2] for each in self._modules)]
        self._process = Process(dict.fromkeys(kinds))

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
                then compared as if not ``whole``, and the code of libraries is not compared.
        """
        found = [what for each in self._modules for what in module_differences(*each)]
        for key in self._tensors:
            found += self._of_tensor(key, edited=edited)
        found += entry_differences(self._texts, self._flatten())
        if self._whole and not edited:
            found += self._tokenizer.differences()
        return [*found, *self._process.differences(code=not edited)]

    def require(self, who: str, *, edited: bool = False, remedy: str = "") -> None:
        """Raise if anything has changed; see :meth:`differences`.

        Raises:
            SpoiledModelError: ``who`` has changed something.
        """
        if found := self.differences(edited=edited):
            raise SpoiledModelError(_complaint(who, found, remedy))

    def put_back(self) -> None:
        """Restore what loading the model again does not: settings of process and tokenizer."""
        self._process.put_back()
        self._tokenizer.put_back()

    def _freeze_module(self, path: str, module: nn.Module) -> dict[str, Any]:
        frozen = dict(vars(module))
        for name, value in vars(module).items():
            if value.__class__ in _ATOMS or name in HOOKS:  # hooks are copied by `hooks_of`
                continue
            if is_recomputed(module, name):
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
            self._tensors.setdefault(id(value), (_join(path, name), value, tensor_facts(value)))
        return value

    def _flatten(self) -> dict[str, Any]:
        """Return the entries of the configurations, the tokenizer and the loaded model by name."""
        found: dict[str, Any] = {}
        seen: set[int] = set()
        for name, configuration in self._configurations.values():
            flatten(configuration, name, found, seen)
        self._tokenizer.flatten(found, seen)
        flatten(vars(self._loaded), "loaded", found, seen)
        return found

    def _of_tensor(self, key: int, *, edited: bool) -> Iterator[str]:
        name, tensor, facts = self._tensors[key]
        now = tensor_facts(tensor)
        if wrong := fact_differences(name, facts, now):
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
        which may be edited there, and of the code of libraries, which is compared at the end.

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


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_small_buffer(tensor: Tensor) -> bool:
    """Return whether a tensor's values are cheap to compare; some are rewritten at every call."""
    return not isinstance(tensor, nn.Parameter) and tensor.numel() <= _SMALL
