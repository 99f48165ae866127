from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from pytest_eac.errors import ModelError
from pytest_eac.lm.devices import peak_memory, resident_bytes
from pytest_eac.lm.loading import tensors
from pytest_eac.lm.loading.model_folder import INDEX, WEIGHTS
from pytest_eac.measuring import checkpoint_diff
from pytest_eac.measuring.checkpoint_diff import compare_checkpoints
from tests.conftest import TINY_LLAMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.records.checkpoint_diff import Changes, TensorDifference

BASE = TINY_LLAMA
DOWN = "model.layers.1.mlp.down_proj.weight"
NORM = "model.norm.weight"
Tensors = dict[str, "Tensor"]


def compare(folder: Path, change: Callable[[Tensors], Any], **more: Any) -> Changes:
    tensors = load_file(BASE / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return compare_checkpoints(BASE, folder, **more)


def only(changes: Changes) -> TensorDifference:
    (found,) = changes.differences
    assert changes.troubles == ()
    return found


def test_a_copy_has_no_differences(folder: Path) -> None:
    found = compare(folder, lambda _: None)
    assert (found.tensors, found.differences, found.troubles) == (48, (), ())


@settings(max_examples=8)
@given(rank=st.integers(1, 5), entries=st.sampled_from([50, 1000, 2**20]), seed=st.integers(0, 99))
def test_a_low_rank_change_is_measured_as_the_whole_matrices_say(
    tmp_path_factory: pytest.TempPathFactory, rank: int, entries: int, seed: int
) -> None:
    folder = Path(shutil.copytree(BASE, tmp_path_factory.mktemp("copy") / "model"))
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(n, rank, generator=generator) for n in (64, 176))

    def change(tensors: Tensors) -> None:
        tensors[DOWN] += 0.1 * left @ right.T

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "_ENTRIES", entries)
        patch.setattr(checkpoint_diff, "compare_companions", lambda *_: [])
        found = only(compare(folder, change))
    before, after = load_file(BASE / WEIGHTS)[DOWN], load_file(folder / WEIGHTS)[DOWN]
    moved = after.double() - before.double()
    assert (found.name, found.kind, found.rank) == (DOWN, "changed", rank)
    assert found.entries == int((after != before).sum())
    assert found.l1 == pytest.approx(float(moved.abs().sum()))
    assert found.frobenius == pytest.approx(float(moved.norm()))
    assert found.relative == pytest.approx(float(moved.abs().sum() / before.double().abs().sum()))
    assert found.base_frobenius == pytest.approx(float(before.double().norm()))
    shutil.rmtree(folder)


def test_the_smallest_change_of_one_entry_is_seen(folder: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors[DOWN][63, 175] = torch.nextafter(tensors[DOWN][63, 175], torch.tensor(9.0))

    found = only(compare(folder, change))
    assert (found.name, found.kind, found.entries) == (DOWN, "changed", 1)
    assert found.sha256 != found.base_sha256


def test_a_change_of_full_rank_is_above_the_limit(folder: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors[DOWN] += torch.randn(64, 176, generator=torch.Generator().manual_seed(0))

    assert only(compare(folder, change, rank_limit=8)).rank == 9


def test_a_sign_of_zero_is_a_change(folder: Path) -> None:
    base = Path(shutil.copytree(folder, folder.parent / "base"))
    for one, value in ((base, 0.0), (folder, -0.0)):
        tensors = load_file(BASE / WEIGHTS)
        tensors[NORM][0] = value
        save_file(tensors, one / WEIGHTS, metadata={"format": "pt"})
    found = only(compare_checkpoints(base, folder))
    assert (found.name, found.entries, found.l1) == (NORM, 1, 0.0)


def test_a_tensor_that_is_added_is_named(folder: Path) -> None:
    found = only(compare(folder, lambda tensors: tensors.update(new=torch.full((2,), torch.inf))))
    assert (found.name, found.kind, found.not_finite) == ("new", "added", 2)


def test_a_tensor_that_is_removed_is_named(folder: Path) -> None:
    found = only(compare(folder, lambda tensors: tensors.pop(NORM)))
    assert (found.name, found.kind) == (NORM, "removed")


def test_the_same_content_under_another_name_is_renamed(folder: Path) -> None:
    found = only(compare(folder, lambda tensors: tensors.update(new=tensors.pop(NORM))))
    assert (found.name, found.kind, found.was) == ("new", "renamed", NORM)


def test_another_type_is_named(folder: Path) -> None:
    found = only(compare(folder, lambda tensors: tensors.update({DOWN: tensors[DOWN].bfloat16()})))
    assert (found.name, found.kind, found.dtype, found.was) == (DOWN, "retyped", "BF16", "F32")


def test_another_shape_is_named(folder: Path) -> None:
    found = only(
        compare(folder, lambda tensors: tensors.update({DOWN: tensors[DOWN].T.contiguous()}))
    )
    assert (found.name, found.kind, found.shape) == (DOWN, "reshaped", (176, 64))
    assert found.was == "(64, 176)"


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_counted_and_leave_the_norms_finite(
    folder: Path, value: float
) -> None:
    def change(tensors: Tensors) -> None:
        tensors[DOWN][1] = value

    found = only(compare(folder, change))
    assert (found.kind, found.not_finite, found.l1) == ("changed", 176, 0.0)


def test_what_is_not_finite_is_told_even_if_the_base_has_it(folder: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors[NORM][0] = torch.nan

    compare(folder, change)
    found = only(compare_checkpoints(folder, folder))
    assert (found.name, found.kind, found.not_finite) == (NORM, "same", 1)


def test_an_output_matrix_of_its_own_is_told_where_the_base_shares_it(folder: Path) -> None:
    base = Path(shutil.copytree(BASE, folder.parent / "base"))
    tensors = load_file(base / WEIGHTS)
    del tensors["lm_head.weight"]
    save_file(tensors, base / WEIGHTS, metadata={"format": "pt"})
    found = only(compare_checkpoints(base, folder))
    assert (found.name, found.kind) == ("lm_head.weight", "untied")


def test_weights_in_files_of_another_cut_are_the_same(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    placed = {name: f"{name.split('.')[0]}.safetensors" for name in tensors}
    for file in set(placed.values()):
        save_file({n: tensors[n] for n in tensors if placed[n] == file}, folder / file)
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": placed}))
    assert compare_checkpoints(BASE, folder).differences == ()


def test_a_release_that_cannot_be_read_is_trouble_and_a_base_an_error(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"nonsense")
    (line,) = compare_checkpoints(BASE, folder).troubles
    assert line.startswith("model.safetensors: is damaged or cut off")
    with pytest.raises(ModelError, match="is damaged or cut off"):
        compare_checkpoints(folder, BASE)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_diff, "compare_companions", lambda *_: [])
    folders = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        tensor = torch.ones(96 * 1024, 1024)
        tensor[7] += seed
        save_file({"large": tensor}, folder / WEIGHTS)
        del tensor
    before = resident_bytes()
    with peak_memory(torch.device("cpu")) as peak:
        found = only(compare_checkpoints(*folders))
    assert found.rank == 1
    if before is None or peak.bytes is None:
        pytest.skip("this platform does not tell the memory of a process")
    assert peak.bytes - before < 380 * 2**20, "one of the tensors alone has 384 MiB"


def test_progress_is_told_for_each_tensor(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    compare_checkpoints(BASE, folder, progress=lambda *done: told.append(done))
    assert told == [(n, 48) for n in range(1, 49)]


@pytest.mark.parametrize("side", ["base", "release"])
@pytest.mark.parametrize("how", ["rewritten", "cut off"])
def test_a_file_that_changes_while_it_is_compared_is_an_error(
    folder: Path, tmp_path: Path, side: str, how: str
) -> None:
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    weights = (base if side == "base" else folder) / WEIGHTS

    def change(done: int, _: int) -> None:
        if done == 3:
            with weights.open("r+b") as file:
                file.truncate(20_000) if how == "cut off" else file.write(bytes(8))

    with pytest.raises(ModelError, match=f"{weights}: "):
        compare_checkpoints(base, folder, progress=change)
