"""Bounds on what a configuration asks for, checked before any library acts on it.

transformers sets an attribute for each key, reads the files that some keys name, makes lists as
long as some numbers say, and makes room for all the weights that a configuration claims; only then
does it look at the weights. Which numbers size something depends on the architecture: positions
size a matrix in GPT-2, a buffer in GPT-J and nothing in Llama. So there is no table of numbers: the
model is built without memory, and what it would take is counted.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig

from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.model_folder import CONFIG, files_read
from pytest_eac.lm.loading.untrusted_files import TEXT_BYTES, read_object, require_inside

MAX_PARTS = 10_000
"""How many layers, experts or labels a configuration may claim: a list is made of each."""
SPARE_NUMBERS = 2**24
"""How many numbers a model may have beyond twice those of its weights, which may be shared."""
BUFFER_BYTES = 2**30
"""How much a model may compute when it is built, such as masks, whatever its weights have."""
_PARTS = re.compile(r"(layers?|experts|labels|depth|block_count|expert_count)$")
_LAYERS = re.compile(r"(^num_hidden_layers|^n_layers?|block_count)$")
# Keys by which transformers reads files of other names, or of other folders.
_ELSEWHERE = {
    CONFIG: ("configuration_files",),
    "tokenizer_config.json": ("fast_tokenizer_files", "vocab", "merges"),
}
_LOGS = {"trainer_state.json"}  # of a training: as long as that took, and read by nobody here


def require_companions(folder: Path) -> None:
    """Raise if a configuration or tokenizer must not be read.

    transformers follows links, reads these files whole, and makes lists as long as the
    configuration says, so the files are checked before it sees them.

    Raises:
        ModelError: a file is a link out of the folder or is larger than ``TEXT_BYTES``, or
            ``config.json`` claims more than ``MAX_PARTS`` layers, experts or labels, has other
            files read, or replaces a part of the class that transformers makes of it.
    """
    names = [name for name in files_read(folder) if not name.endswith(".safetensors")]
    require_inside(folder, names)
    for path in (folder / name for name in names if name not in _LOGS):
        if path.is_file() and path.stat().st_size > TEXT_BYTES:
            raise ModelError(
                f"{path}: found {path.stat().st_size:,} bytes, expected at most "
                f"{TEXT_BYTES:,}, which no such file of a model has"
            )
    for name, keys in _ELSEWHERE.items():
        for key in sorted(read_object(folder / name).keys() & keys):
            raise ModelError(
                f"{folder / name}: found {key}, by which other files are read than those of a "
                "model; expected config.json and tokenizer.json: remove the key"
            )
    config = read_object(folder / CONFIG)
    _require_settings(folder / CONFIG, config)
    require_few_parts(folder / CONFIG, config)


def _require_settings(where: Path, config: Mapping[str, object]) -> None:
    """Raise if a configuration replaces a part of the class that transformers makes of it.

    transformers sets an attribute for each key. With ``attribute_map``, keys that have not been
    checked would replace those that have been; a key named like a method would replace the method.
    """
    for name, value in config.items():
        if name == "attribute_map" or callable(getattr(PreTrainedConfig, name, None)):
            raise ModelError(
                f"{where}: found {name}, which is a part of the program and no setting; remove the "
                "key"
            )
        if name.endswith("_config") and isinstance(value, dict):
            _require_settings(where, value)


def require_few_parts(where: Path, config: Mapping[str, object], most: int = MAX_PARTS) -> None:
    """Raise if a configuration, or a part of it, claims more layers than its model can have.

    Args:
        where: its file, for the message.
        config: what is in it.
        most: how many layers its weights can be enough for, where these are known.

    Raises:
        ModelError: names the key and what it claims.
    """
    for name, value in items_of(config):
        if not isinstance(value, int | float) or not _PARTS.search(str(name)):
            continue
        if value > MAX_PARTS:
            raise ModelError(f"{where}: found {name}: {value:,}, expected at most {MAX_PARTS:,}")
        if value > most and _LAYERS.search(name):
            raise ModelError(
                f"{where}: found {name}: {value:,}, but the weights are those of {most:,} layers "
                "at most; they do not belong together: fetch the files again"
            )


def items_of(config: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the keys and values of a configuration and of all that is nested in it."""
    parts: list[object] = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            yield from part.items()
        if isinstance(part, dict | list):
            parts.extend(part.values() if isinstance(part, dict) else part)


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
