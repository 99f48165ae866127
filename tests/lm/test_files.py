"""A model and its files that somebody else changes during a run."""

from __future__ import annotations

import mmap
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_eac.errors import ModelError
from pytest_eac.lm.loading import pretrained
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.loading.model_folder import TEMPLATES, WEIGHTS
from pytest_eac.lm.loading.unchanged_files import files_of
from pytest_eac.lm.weights import fingerprint
from tests.conftest import FIXTURES, TINY_LLAMA

BASE = TINY_LLAMA


def rewrite(path: Path) -> None:
    """Change the end of a file in place, as a copy onto it does."""
    with path.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(bytes(100))


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2"])
def test_weights_stay_as_they_are_when_their_file_is_rewritten_or_cut_off(
    tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(FIXTURES / name, tmp_path / "model"))
    loaded = load_model(str(folder))
    kept = {name: each.clone() for name, each in loaded.model.state_dict().items()}
    weights = folder / WEIGHTS
    with weights.open("r+b") as file:
        file.write(b"\1" * weights.stat().st_size)
        now = loaded.model.state_dict()
        assert all(torch.equal(each, now[name]) for name, each in kept.items())
        file.truncate(0)  # a mapped weight would end the process here
    assert fingerprint(loaded.model) == load_model(str(FIXTURES / name)).fingerprint


def test_tied_weights_stay_tied() -> None:
    model = load_model(str(FIXTURES / "tiny-gpt2")).model
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.transformer.wte.weight


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
def test_a_file_that_was_rewritten_is_named(folder: Path, name: str) -> None:
    loaded = load_model(str(folder))
    loaded.require_files()
    rewrite(folder / name)
    with pytest.raises(
        ModelError, match=f"{name}: was changed, added or removed since it was loaded"
    ):
        loaded.require_files()


def test_a_file_that_is_gone_is_named(folder: Path) -> None:
    loaded = load_model(str(folder))
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=f"{WEIGHTS}: was changed, added or removed"):
        loaded.require_files()


@pytest.mark.parametrize(
    "name", ["other.safetensors", "vocab.txt", "chat_template.jinja", f"{TEMPLATES}/other.jinja"]
)
def test_a_file_that_was_added_is_named(folder: Path, name: str) -> None:
    loaded = load_model(str(folder))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    with pytest.raises(ModelError, match=f"{name}: was changed, added or removed since it was"):
        loaded.require_files()


def test_content_counts_even_where_nothing_of_the_file_shows_a_change(folder: Path) -> None:
    weights = folder / WEIGHTS
    before = files_of(folder).hashed()
    with weights.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[-100:] = bytes(100)  # may leave the times of change as they are
    later = files_of(folder).hashed()
    before.require_same(before, "since")
    with pytest.raises(ModelError, match=f"{WEIGHTS}: was changed, added or removed since, by"):
        before.require_same(later, "since")
    (folder / "vocab.txt").write_text("x")
    with pytest.raises(ModelError, match=r"vocab.txt: was changed, added or removed since, by"):
        later.require_same(files_of(folder).hashed(), "since")


def test_files_with_the_same_content_are_unchanged(folder: Path) -> None:
    loaded = load_model(str(folder))
    os.utime(folder / WEIGHTS, ns=(1, 1))
    shutil.copy(folder / "config.json", folder / "copy")
    (folder / "copy").replace(folder / "config.json")
    (folder / "README.md").write_text("not of the model")
    loaded.require_files()


def test_content_counts_even_where_the_time_of_change_was_put_back(folder: Path) -> None:
    loaded = load_model(str(folder))
    before = (folder / WEIGHTS).stat()
    rewrite(folder / WEIGHTS)
    os.utime(folder / WEIGHTS, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelError, match=WEIGHTS):
        loaded.require_files()


def test_a_file_that_changes_while_it_is_loaded_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = pretrained.load_tokenizer

    def read(*arguments: Any) -> object:
        rewrite(folder / WEIGHTS)
        return reading(*arguments)

    monkeypatch.setattr(pretrained, "load_tokenizer", read)
    with pytest.raises(
        ModelError, match=f"{WEIGHTS}: was changed, added or removed while it was loaded"
    ):
        load_model(str(folder))
