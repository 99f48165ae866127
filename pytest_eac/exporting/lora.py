"""Edits as a PEFT LoRA adapter, lossless up to rounding where the rank allows."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pytest_eac.errors import UnavailableError
from pytest_eac.exporting.edited_chain import WeightChange
from pytest_eac.store import write_tensors

ADAPTER = "adapter_model.safetensors"


def write_lora(
    changes: Sequence[WeightChange], folder: Path, *, base: str, rank: int | None = None
) -> float:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``.

    PEFT computes ``W x + (alpha / r) B A x``; with alpha = r, ``B = left`` and ``A = right.T``.
    Modules of a lower rank than the highest are filled up with zeros. What is cut off is the
    smallest singular directions: no matrix of that rank is nearer (Eckart and Young, 1936).

    Args:
        changes: of each module.
        folder: where to.
        base: the name of the base in PEFT's configuration.
        rank: how many singular directions of each change to keep; by default all.

    Returns:
        The largest absolute difference between the edited weights and those of the base with the
        adapter merged into them, in the base's type: what was cut off, and rounding.

    Raises:
        UnavailableError: peft is not installed.
        RecordError: a file cannot be written.
    """
    if importlib.util.find_spec("peft") is None:
        raise UnavailableError(
            "an export as lora needs peft", remedy="pip install 'pytest-eac[export]'"
        )
    from peft import LoraConfig

    factors = {each.module: _factors(each, rank) for each in changes}
    width = max(left.shape[1] for left, _ in factors.values())
    config = LoraConfig(
        r=width,
        lora_alpha=width,
        lora_dropout=0.0,
        target_modules=sorted(factors),
        fan_in_fan_out=changes[0].transposed,
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
    )
    config.save_pretrained(folder)
    write_tensors(folder / ADAPTER, _state(factors, width), {"format": "pt"})
    return max(_error(each, *factors[each.module]) for each in changes)


def _state(factors: Mapping[str, tuple[Tensor, Tensor]], width: int) -> dict[str, Tensor]:
    state = {}
    for module, (left, right) in factors.items():
        prefix = f"base_model.model.{module}"
        more = width - left.shape[1]
        state[f"{prefix}.lora_A.weight"] = torch.nn.functional.pad(right, (0, more)).T.contiguous()
        state[f"{prefix}.lora_B.weight"] = torch.nn.functional.pad(left, (0, more)).contiguous()
    return state


def _factors(change: WeightChange, rank: int | None) -> tuple[Tensor, Tensor]:
    """Return (d_out, r) and (d_in, r) in float32: the edits' own, or the largest directions."""
    if change.factors is not None and (rank is None or change.factors[0].shape[1] <= rank):
        left, right = change.factors
        return left.float(), right.float()
    u, s, vt = torch.linalg.svd(change.dense, full_matrices=False)
    kept = len(s) if rank is None else min(rank, len(s))
    root = s[:kept].sqrt()
    return (u[:, :kept] * root).float(), (vt[:kept].T * root).float()


def _error(change: WeightChange, left: Tensor, right: Tensor) -> float:
    added = left @ right.T  # in float32, as PEFT merges it
    merged = (change.before.float() + (added.T if change.transposed else added)).to(change.before)
    return float((merged.double() - change.after.double()).abs().max())
