from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from pytest_eac.lm.checkpoints.metadata import compare_notes
from pytest_eac.lm.loading.model_folder import INDEX, WEIGHTS
from pytest_eac.lm.loading.tensors import open_checkpoint
from pytest_eac.measuring.checkpoint_diff import compare_checkpoints
from tests.conftest import TINY_LLAMA

BASE = TINY_LLAMA


def say(folder: Path, about: dict[str, str] | None) -> None:
    save_file(load_file(folder / WEIGHTS), folder / WEIGHTS, metadata=about)


def index(folder: Path, **more: Any) -> None:
    placed = dict.fromkeys(open_checkpoint(folder).tensors, WEIGHTS)
    (folder / INDEX).write_text(json.dumps({"weight_map": placed, **more}))


def compare(base: Path, edited: Path) -> list[str]:
    return compare_notes(open_checkpoint(base), open_checkpoint(edited))


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ({"format": "tf"}, '__metadata__.format is "tf", in the base "pt"'),
        (None, '__metadata__.format is not there, in the base "pt"'),
        ({"format": "pt", "more": "x"}, '__metadata__.more is "x", in the base not there'),
    ],
)
def test_what_a_file_of_weights_says_beside_its_tensors_is_compared(
    folder: Path, about: dict[str, str] | None, line: str
) -> None:
    say(folder, about)
    assert compare_checkpoints(BASE, folder).troubles == (f"{WEIGHTS}: {line}",)


def test_weights_in_other_files_may_say_less_and_name_their_format(
    folder: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    for about in ({"format": "pt", "by": "x"}, {"by": "x"}, None, {"format": "mlx"}):
        say(base, about)
        assert compare(base, folder) == []
        assert compare(base, base) == []


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        ({"metadata": {"total_size": 5, "total_parameters": 1.0}}, []),
        (
            {"metadata": {"dtype": "float16"}},
            ['metadata.dtype is "float16", in the base not there'],
        ),
        (
            {"metadata": {"total_size": {"x": 1}}},
            ['metadata.total_size is {"x": 1}, in the base not'],
        ),
        ({"metadata": [1]}, ["metadata is [1], in the base "]),
        ({"auto_map": {"AutoModel": "x.X"}}, ["auto_map is "]),
    ],
)
def test_what_an_index_says_beside_where_tensors_are_is_compared(
    folder: Path, more: dict[str, Any], lines: list[str]
) -> None:
    index(folder, **more)
    found = compare_checkpoints(BASE, folder).troubles
    assert [line[: len(INDEX) + 2 + len(one)] for line, one in zip(found, lines, strict=True)] == [
        f"{INDEX}: {one}" for one in lines
    ]


def test_an_index_may_leave_out_what_the_bases_says(folder: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    index(base, metadata={"merged_by": "x", "total_size": 1})
    assert compare(base, folder) == []
    index(folder, metadata={"total_size": 2})
    assert compare(base, folder) == []
    index(folder, metadata={"merged_by": "y"})
    assert compare(base, folder) == [f'{INDEX}: metadata.merged_by is "y", in the base "x"']
