"""How large a model a configuration describes, found out before any memory is taken for it.

transformers makes room for all that a configuration claims, and holds it against the weights
afterwards. Which of its numbers size something depends on the architecture: positions size a
matrix in GPT-2, a buffer in GPT-J and nothing in Llama. So there is no table of numbers: the
model is built without memory, and what it would take is counted.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from pytest_eac.errors import ModelError

SPARE_NUMBERS = 2**24
"""How many numbers a model may have beyond twice those of its weights, which may be shared."""
BUFFER_BYTES = 2**30
"""How much a model may compute when it is built, such as masks, whatever its weights have."""


def require_sizes(where: object, config: Any, stored: int) -> None:
    """Raise if a configuration describes a model that is far larger than its weights.

    Smaller differences are left to transformers, which names the tensors.

    Args:
        where: its file, for the message.
        config: as transformers loads it; stays as it is.
        stored: how many numbers the weights have.

    Raises:
        ModelError: says how large, and how large the weights are.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(deepcopy(config), dtype=torch.float32)
    claimed = sum(each.numel() for each in model.parameters())
    if claimed > 2 * stored + SPARE_NUMBERS:
        raise ModelError(
            f"{where}: describes a model of {claimed:,} numbers, but the weights have {stored:,}; "
            "they do not belong together: fetch the files again"
        )
    computed = sum(each.numel() * each.element_size() for each in model.buffers())
    most = max(BUFFER_BYTES, 4 * stored)
    if computed > most:
        raise ModelError(
            f"{where}: describes a model that computes tables of {computed:,} bytes, such as "
            f"masks and rotary frequencies, expected at most {most:,}: correct the numbers that "
            "size them (positions, rotary factors), or fetch the file again"
        )
