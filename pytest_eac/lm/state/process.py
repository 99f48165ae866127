"""State of the process that a model's results depend on: read, compared and put back.

Loading the model again undoes none of it: gradient mode, torch's defaults and precision, hooks on
all modules, replaced code of transformers and torch
(:mod:`pytest_eac.lm.state.library_code`), the current folder and environment variables that later
models are loaded by, and random numbers. Handlers of signals are here because a run that cannot be
stopped in order loses its results.

Left out is what nothing of that depends on (logging, filters of warnings, ``sys.path``: what is
loaded already is not searched for again).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional
from torch.nn.modules import module as torch_module

from pytest_eac.lm.state.library_code import Code
from pytest_eac.lm.state.torch_private import (
    GLOBAL_HOOKS,
    default_device,
    dispatch_modes,
    function_modes,
    pop_dispatch_mode,
    pop_function_mode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """A setting of the process: its name in messages, and how it is read and written."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    describe: Callable[[Any, Any], str] = "was {}, is {}".format


def _flag(path: str) -> _Setting:
    """Return a setting among torch's backends; its value is ``None`` where it cannot be read."""
    *folders, name = path.split(".")
    holder = attrgetter(".".join(folders))

    def read() -> Any:
        with suppress(AttributeError, RuntimeError):  # legacy and newer names do not mix
            return getattr(holder(torch.backends), name)
        return None

    def write(value: Any) -> None:
        if value is not None:
            setattr(holder(torch.backends), name, value)

    return _Setting(name=f"torch.backends.{path}", read=read, write=write)


_GUARDS: list[Any] = []  # torch ends an inference mode when its guard is deleted


def _set_inference_mode(value: bool) -> None:
    guard = torch._C._InferenceMode(value)
    guard.__enter__()
    _GUARDS.append(guard)


def _pop_modes(length: Callable[[], int], pop: Callable[[], object], wanted: int) -> None:
    while length() > wanted:
        pop()


def _matmul_precision() -> str:
    with suppress(RuntimeError):  # a newer name has been written, which is a setting as well
        return torch.get_float32_matmul_precision()
    return "that of torch.backends"


def _current_folder() -> str | None:
    with suppress(OSError):  # it has been removed
        return os.getcwd()  # noqa: PTH109 - as text, since it is read often
    return None


def _set_current_folder(value: str | None) -> None:
    if value is not None:
        with suppress(OSError):
            os.chdir(value)


def _umask() -> int:
    mask = os.umask(0o077)  # it can be read only by setting it
    os.umask(mask)
    return mask


def _handlers() -> dict[str, Any]:
    """Return what handles the signals that stop a run; ``None`` if that is not Python."""
    return {each.name: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}


def _set_handlers(value: dict[str, Any]) -> None:
    if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
        for name, handler in value.items():
            if handler is not None:
                signal.signal(signal.Signals[name], handler)


# Where models and the cache are, and how products are summed; libraries set others themselves.
_VARIABLES = (
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_DATASETS_OFFLINE"),
    *("TRANSFORMERS_OFFLINE", "PYTEST_EAC_CACHE", "XDG_CACHE_HOME", "CUBLAS_WORKSPACE_CONFIG"),
)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def _set_environment(value: dict[str, str]) -> None:
    for name in _environment().keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _changed_names(then: dict[str, Any], now: dict[str, Any]) -> str:
    """Return names alone: a value may be a secret."""
    return ", ".join(name for name in sorted({*then, *now}) if then.get(name) != now.get(name))


def _flushes_subnormals() -> bool:
    return sys.float_info.min / float("2") == 0


# In the order in which they are put back: leaving an inference mode changes the gradient mode.
_SETTINGS = (
    _Setting(
        name="torch's inference mode",
        read=torch.is_inference_mode_enabled,
        write=_set_inference_mode,
    ),
    _Setting(
        name="torch's gradient mode", read=torch.is_grad_enabled, write=torch.set_grad_enabled
    ),
    _Setting(
        name="torch's default dtype", read=torch.get_default_dtype, write=torch.set_default_dtype
    ),
    _Setting(
        name="torch's default device",
        read=default_device,
        write=torch.set_default_device,
    ),
    *(
        _Setting(
            name=f"autocast on {device}",
            read=partial(torch.is_autocast_enabled, device),
            write=partial(torch.set_autocast_enabled, device),
        )
        for device in ("cpu", "cuda")
    ),
    *(
        _Setting(
            name=f"autocast's dtype on {device}",
            read=partial(torch.get_autocast_dtype, device),
            write=partial(torch.set_autocast_dtype, device),
        )
        for device in ("cpu", "cuda")
    ),
    _Setting(
        name="torch's deterministic mode",
        read=torch.get_deterministic_debug_mode,
        write=torch.set_deterministic_debug_mode,
    ),
    _Setting(
        name="torch's anomaly detection",
        read=torch.is_anomaly_enabled,
        write=torch.autograd.set_detect_anomaly,
    ),
    _Setting(
        name="torch's float32 matmul precision",
        read=_matmul_precision,
        write=torch.set_float32_matmul_precision,
    ),
    _Setting(
        name="torch's number of threads", read=torch.get_num_threads, write=torch.set_num_threads
    ),
    _Setting(
        name="torch's flushing of subnormal numbers",
        read=_flushes_subnormals,
        write=torch.set_flush_denormal,
    ),
    *map(
        _flag,
        (
            "cuda.matmul.allow_tf32",
            "cuda.matmul.allow_fp16_reduced_precision_reduction",
            "cuda.matmul.allow_bf16_reduced_precision_reduction",
            "cudnn.enabled",
            "cudnn.benchmark",
            "cudnn.deterministic",
            "cudnn.allow_tf32",
            "mkldnn.enabled",
            # Newer names of precisions; last, because the older ones write to them.
            "fp32_precision",
            "mkldnn.fp32_precision",
            "mkldnn.matmul.fp32_precision",
            "mkldnn.conv.fp32_precision",
            "cudnn.fp32_precision",
            "cudnn.conv.fp32_precision",
            "cuda.matmul.fp32_precision",
        ),
    ),
    *(
        _Setting(
            name=f"{kind} attention kernels",
            read=getattr(torch.backends.cuda, f"{kind}_sdp_enabled"),
            write=getattr(torch.backends.cuda, f"enable_{kind}_sdp"),
        )
        for kind in ("flash", "mem_efficient", "math", "cudnn")
    ),
    _Setting(
        name="the number of active function modes",
        read=function_modes,
        write=partial(_pop_modes, function_modes, pop_function_mode),
    ),
    _Setting(
        name="the number of active dispatch modes",
        read=dispatch_modes,
        write=partial(_pop_modes, dispatch_modes, pop_dispatch_mode),
    ),
    _Setting(
        name="numpy's treatment of floating-point errors",
        read=np.geterr,
        write=lambda value: np.seterr(**value),
    ),
    _Setting(name="the rights of new files (umask)", read=_umask, write=os.umask),
    _Setting(
        name="handlers of signals",
        read=_handlers,
        write=_set_handlers,
        describe=_changed_names,
    ),
    _Setting(name="the current folder", read=_current_folder, write=_set_current_folder),
    _Setting(
        name="environment variables",
        read=_environment,
        write=_set_environment,
        describe=_changed_names,
    ),
)


class Process:
    """The present state of the process, as far as a model's results depend on it.

    Args:
        classes: the classes whose code the model and its tokenizer run.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self._settings = [each.read() for each in _SETTINGS]
        self._hooks = [_copy(getattr(torch_module, name)) for name in GLOBAL_HOOKS]
        self._code = Code(classes)

    def differences(self, *, code: bool = True) -> list[str]:
        """Describe what has changed since, of the settings and, if asked for, of the code."""
        found = [
            f"{setting.name} ({setting.describe(then, now)})"
            for setting, then in zip(_SETTINGS, self._settings, strict=True)
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
        for setting, then in zip(_SETTINGS, self._settings, strict=True):
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


def _copy(hooks: Any) -> Any:
    return dict(hooks) if isinstance(hooks, dict) else hooks


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


def set_random_state(state: Mapping[str, Any]) -> None:
    """Set all global random generators to states of :func:`random_state`."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["random"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    if "torch.cuda" in state:
        torch.cuda.set_rng_state_all(state["torch.cuda"])


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
        set_random_state(state)
