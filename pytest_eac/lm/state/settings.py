"""The settings of the process that a model's results depend on: how each is read and written.

The table at the end has them all. Left out is what no result depends on: logging, filters of
warnings, and ``sys.path`` (what is loaded already is not searched for again). Handlers of signals
are included because a run that cannot be stopped in order loses its results.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from pytest_eac.lm.state.torch_private import (
    default_device,
    dispatch_modes,
    function_modes,
    pop_dispatch_mode,
    pop_function_mode,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the process: its name in messages, and how it is read and written.

    ``describe`` words what it was and what it is.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    describe: Callable[[Any, Any], str] = "was {}, is {}".format


def _backend_flag(path: str) -> Setting:
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

    return Setting(f"torch.backends.{path}", read, write)


_BACKEND_FLAGS = (
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
)


def _attention_kernel(kind: str) -> Setting:
    backend = torch.backends.cuda
    read, write = getattr(backend, f"{kind}_sdp_enabled"), getattr(backend, f"enable_{kind}_sdp")
    return Setting(f"{kind} attention kernels", read, write)


def _autocast(device: str) -> Setting:
    read, write = torch.is_autocast_enabled, torch.set_autocast_enabled
    return Setting(f"autocast on {device}", partial(read, device), partial(write, device))


def _autocast_dtype(device: str) -> Setting:
    read, write = torch.get_autocast_dtype, torch.set_autocast_dtype
    return Setting(f"autocast's dtype on {device}", partial(read, device), partial(write, device))


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


# In the order in which they are restored: leaving an inference mode changes the gradient mode.
SETTINGS = (
    Setting("torch's inference mode", torch.is_inference_mode_enabled, _set_inference_mode),
    Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Setting("torch's default device", default_device, torch.set_default_device),
    *map(_autocast, ("cpu", "cuda")),
    *map(_autocast_dtype, ("cpu", "cuda")),
    Setting(
        "torch's deterministic mode",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    Setting(
        "torch's anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly
    ),
    Setting(
        "torch's float32 matmul precision", _matmul_precision, torch.set_float32_matmul_precision
    ),
    Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    Setting("torch's flushing of subnormal numbers", _flushes_subnormals, torch.set_flush_denormal),
    *map(_backend_flag, _BACKEND_FLAGS),
    *map(_attention_kernel, ("flash", "mem_efficient", "math", "cudnn")),
    Setting(
        "the number of active function modes",
        function_modes,
        partial(_pop_modes, function_modes, pop_function_mode),
    ),
    Setting(
        "the number of active dispatch modes",
        dispatch_modes,
        partial(_pop_modes, dispatch_modes, pop_dispatch_mode),
    ),
    Setting(
        "numpy's treatment of floating-point errors", np.geterr, lambda value: np.seterr(**value)
    ),
    Setting("the rights of new files (umask)", _umask, os.umask),
    Setting("handlers of signals", _handlers, _set_handlers, _changed_names),
    Setting("the current folder", _current_folder, _set_current_folder),
    Setting("environment variables", _environment, _set_environment, _changed_names),
)
