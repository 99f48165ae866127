"""What a model holds at the subject's last token: keys (inputs of a layer) and outputs.

No token behind the subject can change what is read there, and no layer above the one that is read:
only the part before them is run.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pytest_eac.editing.prompts import EditPrompts
from pytest_eac.lm.forward.hooks import read_states
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.loading.load import LoadedModel

_BATCH = 64


def read_keys(loaded: LoadedModel, prompts: Sequence[EditPrompts], module: str) -> list[Tensor]:
    """Return, for each edit, the module's input at the subject in each context; (contexts, d_in).

    The bare prompt's is the first row.
    """
    rows = [
        row[: end + 1]
        for each in prompts
        for row, end in zip(each.rows, each.subjects, strict=True)
    ]
    keys = _read(loaded, rows, module)[0]
    return list(keys.split([len(each.rows) for each in prompts]))


def read_outputs(loaded: LoadedModel, prompts: Sequence[EditPrompts], module: str) -> Tensor:
    """Return the module's output at the subject of each edit's bare prompt; (d_out, edits)."""
    rows = [each.rows[0][: each.subjects[0] + 1] for each in prompts]
    return _read(loaded, rows, module)[1].T


def grouped_key(keys: Tensor) -> Tensor:
    """Return MEMIT's key: the mean of the bare prompt's and the mean of the others'.

    (contexts, d_in) -> (d_in,). Source: MEMIT's released code, which keeps the contexts in groups
    by their length and averages within each group first.
    """
    if len(keys) == 1:
        return keys[0]
    return (keys[0] + keys[1:].mean(dim=0)) / 2


def _read(loaded: LoadedModel, rows: Sequence[tuple[int, ...]], path: str) -> tuple[Tensor, Tensor]:
    """Return a module's input and output at each row's last token, (rows, width) each."""
    module = find_module(loaded.model, path)
    inputs, outputs = [], []
    for start in range(0, len(rows), _BATCH):
        chunk = rows[start : start + _BATCH]
        seen = read_states(
            loaded.model, loaded.pad(chunk, side="right").as_inputs(), {path: module}
        )[path]
        index = torch.arange(len(chunk), device=loaded.device)
        last = torch.tensor([len(row) - 1 for row in chunk], device=loaded.device)
        outputs.append(seen.output[index, last].float())
        inputs.append(seen.input[index, last].float() if seen.input.numel() else outputs[-1])
    return torch.cat(inputs), torch.cat(outputs)
