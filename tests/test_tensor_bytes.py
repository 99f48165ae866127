from __future__ import annotations

import hashlib

import pytest
import torch

from pytest_eac.tensor_bytes import as_bytes, tensor_sha256, tensors_sha256

ONE = torch.arange(6, dtype=torch.float32).reshape(2, 3)


def test_a_hash_is_of_the_dtype_the_shape_and_the_bytes() -> None:
    expected = hashlib.sha256(b"torch.float32 (2, 3)\n" + ONE.numpy().tobytes()).hexdigest()
    assert tensor_sha256(ONE) == expected
    assert tensor_sha256(ONE.T.contiguous().T) == expected, "however it lies in memory"
    others = [ONE.double(), ONE.reshape(3, 2), ONE.flatten(), ONE.view(torch.int32), -ONE]
    assert len({tensor_sha256(each) for each in [ONE, *others]}) == 6


@pytest.mark.parametrize("size", [0, 1])
def test_a_tensor_may_be_empty_or_a_single_number(size: int) -> None:
    tensor = torch.zeros(0) if size == 0 else torch.tensor(1.5, dtype=torch.bfloat16)
    assert as_bytes(tensor).numel() == size * 2
    assert tensor_sha256(tensor) != tensor_sha256(ONE)


def test_the_parts_of_a_tensor_hash_like_the_whole() -> None:
    assert tensors_sha256([("x", ONE.split(1))]) == tensors_sha256([("x", [ONE])])
    assert tensors_sha256([("x", [ONE])]) != tensors_sha256([("x", [ONE]), ("y", [])])
