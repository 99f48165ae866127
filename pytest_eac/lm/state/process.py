"""State of the process that a model's results depend on: read, compared and restored.

Loading the model again undoes none of it: the settings of :mod:`pytest_eac.lm.state.settings`
(gradient mode, torch's defaults and precision, the current folder and environment variables that
later models are loaded by), hooks on all modules, replaced code of transformers and torch
(:mod:`pytest_eac.lm.state.library_code`), and random numbers.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as torch_module

from pytest_eac.lm.state.library_code import present_code
from pytest_eac.lm.state.settings import SETTINGS
from pytest_eac.lm.state.torch_private import GLOBAL_HOOKS


class Process:
    """The present state of the process, as far as a model's results depend on it.

    Args:
        classes: the classes whose code the model and its tokenizer run.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self._settings = [each.read() for each in SETTINGS]
        self._hooks = [copy(getattr(torch_module, name)) for name in GLOBAL_HOOKS]
        self._code = present_code(classes)

    def differences(self, *, code: bool = True) -> list[str]:
        """Describe what has changed since, of the settings and, if asked for, of the code."""
        found = [
            f"{setting.name} ({setting.describe(then, now)})"
            for setting, then in zip(SETTINGS, self._settings, strict=True)
            if (now := setting.read()) != then
        ]
        found += [
            f"hooks on all modules (torch.nn.modules.module.{name})"
            for name, then in zip(GLOBAL_HOOKS, self._hooks, strict=True)
            if getattr(torch_module, name) != then
        ]
        return [*found, *self._code.differences()] if code else found

    def put_back(self) -> None:
        """Restore everything."""
        for setting, then in zip(SETTINGS, self._settings, strict=True):
            if setting.read() != then:
                setting.write(then)
        for name, then in zip(GLOBAL_HOOKS, self._hooks, strict=True):
            now = getattr(torch_module, name)
            if isinstance(now, dict):
                now.clear()
                now.update(then)
            else:
                setattr(torch_module, name, then)
        self._code.put_back()


def random_state() -> dict[str, Any]:
    """Return the states of all global random generators, by package."""
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "random": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002
    }
    if torch.cuda.is_initialized():
        state["torch.cuda"] = torch.cuda.get_rng_state_all()
    return state


def drawn(since: Mapping[str, Any]) -> list[str]:
    """Return the packages whose global random generators have been used since."""
    now = random_state()
    return [name for name, then in since.items() if not _same_state(then, now[name])]


def _same_state(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same_state, one, other))
    if isinstance(one, torch.Tensor | np.ndarray):
        return bool(one.tolist() == other.tolist())
    return bool(one == other)


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Restore all global random generators on leaving, so that a block has no effect on them."""
    state = random_state()
    try:
        yield
    finally:
        torch.set_rng_state(state["torch"])
        random.setstate(state["random"])
        np.random.set_state(state["numpy"])  # noqa: NPY002
        if "torch.cuda" in state:
            torch.cuda.set_rng_state_all(state["torch.cuda"])
