"""The private names of torch that this package uses; there is no public way to any of them.

torch says neither which hooks a module has, nor in which modes it is, nor whether a tensor has been
written to. A test holds that the names are there, with the newest torch and the oldest that is
supported.
"""

from operator import attrgetter
from typing import Any

import torch
import torch.utils._device
import torch.utils._python_dispatch
from torch.nn.modules import module as torch_module

HOOKS = {
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
"""A module's hooks by their attributes, as messages name them."""
PARTS = {
    "_modules": "submodules of {}",
    "_parameters": "parameters of {}",
    "_buffers": "buffers of {}",
}
"""A module's parts, likewise."""
GLOBAL_HOOKS = tuple(name for name in vars(torch_module) if name.startswith("_global_"))
"""The names of ``torch.nn.modules.module`` that hold the hooks of all modules."""
ORIGINAL = "_torchdynamo_orig_callable"
"""Where the compiler keeps the function that it has replaced."""
COMPILER = "_dynamo"
"""The compiler's folder, in torch's."""

function_modes = torch._C._len_torch_function_stack
dispatch_modes = torch._C._len_torch_dispatch_stack
pop_function_mode = torch.overrides._pop_mode
pop_dispatch_mode = torch.utils._python_dispatch._pop_mode

hooks_of_tensor = attrgetter("_backward_hooks")
version_of = attrgetter("_version")
"""Counts what was written to a tensor."""


def default_device() -> Any:
    """Return the default device; unlike ``torch.get_default_device``, ``None`` if none is set."""
    return torch.utils._device.CURRENT_DEVICE
