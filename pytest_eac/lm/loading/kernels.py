"""Kernels: code of other repositories, which transformers fetches by the package ``kernels``.

Some names in a configuration stand for such code (``attn_implementation: flash_attention_2`` where
``flash_attn`` is not installed), quantized weights are multiplied by it, and GGUF files of some
architectures have transformers look for it. It is run only if the user trusts the model's code.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from transformers.utils import import_utils

from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.config_limits import items_of

_OWN = {
    "attn_implementation": ("eager", "sdpa", "flex_attention"),
    "experts_implementation": ("eager", "batched_mm", "grouped_mm"),
}
"""The implementations that are code of transformers or torch, by the key that chooses one."""
_QUANTIZED = "quantization_config"
_INSTALLED = "is_kernels_available"
_DECIDES_ONCE = "transformers.integrations.hub_kernels"
_SHOWN = 80  # characters of a name


def require_own_code(where: object, config: Mapping[str, object]) -> None:
    """Raise if a configuration, or a part of it, asks for code that is not of transformers itself.

    Args:
        where: its file, for the message.
        config: what is in it.

    Raises:
        ModelError: names the key, what it asks for and what to do.
    """
    for name, value in items_of(config):
        own = _OWN.get(name.removeprefix("_").removesuffix("_internal"), ())
        other = [each for each in _chosen(value) if each not in own] if own else []
        if other:
            raise ModelError(
                f"{where}: found {name}: {str(other[0])[:_SHOWN]!r}, expected {', '.join(own)}; "
                "others may be code of another repository, so it was not run: remove the key, so "
                "that the code of transformers is used"
            )
        if name == _QUANTIZED and value:
            raise ModelError(
                f"{where}: found {name}, expected weights that are not quantized: packed weights "
                "cannot be edited, and may need code of another repository, so they were not "
                "loaded; take the model that this one was made from"
            )


def _chosen(value: object) -> list[object]:
    """Return the implementations in a value: one, or one for each part of the model."""
    nested = [each for _, each in items_of({"": value})]
    return [each for each in nested if each is not None and not isinstance(each, dict)]


@contextmanager
def no_kernels() -> Iterator[None]:
    """Have transformers go on as if the package ``kernels`` were not installed.

    There is no setting for it; its modules ask one function, which most of them hold themselves.
    """
    import_module(_DECIDES_ONCE)  # whether the package is there
    found: Callable[..., bool] = getattr(import_utils, _INSTALLED)

    def absent(*_: str, **__: str) -> bool:
        return False

    _replace(found, absent)
    try:
        yield
    finally:
        _replace(absent, found)  # also in the modules that were imported meanwhile


def _replace(old: Callable[..., bool], new: Callable[..., bool]) -> None:
    for name, module in list(sys.modules.items()):
        # Not getattr: it would import what a lazy module has not imported yet.
        if name.startswith("transformers") and vars(module).get(_INSTALLED) is old:
            setattr(module, _INSTALLED, new)
