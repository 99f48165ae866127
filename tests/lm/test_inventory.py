from __future__ import annotations

import json
import os
import shutil
from hashlib import sha1, sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints import inventory
from pytest_eac.lm.checkpoints.allowed_files import (
    HARMLESS_FILES,
    HARMLESS_KEYS,
    fits,
    is_pickle,
    reason_against,
)
from pytest_eac.lm.checkpoints.inventory import COMPARED, side, take_inventory
from pytest_eac.lm.loading import model_folder as folders
from pytest_eac.lm.loading.config_limits import require_companions
from pytest_eac.lm.loading.model_folder import (
    HARMLESS_FOLDERS,
    INDEX,
    WEIGHTS,
    ListedFile,
    list_tree,
)
from pytest_eac.lm.loading.tensors import open_checkpoint
from tests.conftest import ROOT, TINY_LLAMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.lm.checkpoints.inventory import Inventory

BASE = TINY_LLAMA
PLACED = {name: each.file.name for name, each in open_checkpoint(BASE).tensors.items()}


def put(folder: Path, name: str, content: bytes = b"x") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def take(
    folder: Path,
    base: Path = BASE,
    files: Sequence[ListedFile] = (),
    base_files: Sequence[ListedFile] = (),
) -> Inventory:
    return take_inventory(side(base, base_files), side(folder, files), PLACED)


def test_a_copy_has_nothing_to_report(folder: Path) -> None:
    found = take(folder)
    assert (found.troubles, found.extra, found.unedited, found.as_written) == ((), (), (), ())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pytorch_model.bin", "is a pickle file"),
        ("deep/er/Model.BIN", "is a pickle file"),
        ("state.joblib", "is a pickle file"),
        ("last.pth.tar", "is a pickle file"),
        ("runs/x.tfevents.pkl", "is a pickle file"),
        ("modeling_own.py", "is code, which is not the base's; it was not run"),
        ("custom_generate/generate.PY", "is code, which is not the base's; it was not run"),
        ("README.md.py", "is code"),
        ("model.fp16.safetensors", "holds weights that transformers does not load"),
        ("model-00002-of-00002.safetensors", "holds weights that transformers does not load"),
        ("gguf/Q4.GGUF", "holds weights that transformers does not load"),
        ("weights.npz", "may hold pickles or code"),
        ("saved.keras", "may hold pickles or code"),
        ("processor_config.json", "is not in the base and not known to be harmless; remove it"),
        ("onnx/config.json", "is not in the base and not known to be harmless"),
        ("Config.json", "is not in the base and not known to be harmless"),
        ("tokenizer.model", "is not in the base and not known to be harmless"),
        ("requirements.txt", "is not in the base and not known to be harmless"),
        ("sub/LICENSE", "is not in the base and not known to be harmless"),
        ("events.out.tfevents.1.0/config.json", "is not in the base and not known to be harmless"),
        ("x.events.out.tfevents.pyw", "is code"),
        ("events.out.tfevents.1.host", "is not in the base and not known to be harmless"),
        (".cache/huggingface/download/x.pyw", "is code"),
        (".cache/huggingface/x.so.1", "is code"),
        ("x/.cache/huggingface/x.lock", "is not in the base and not known to be harmless"),
        (".git/hooks/pre-commit", "is not in the base and not known to be harmless"),
        (".git/commondir", "is not in the base and not known to be harmless"),
        (".git", "is not in the base and not known to be harmless"),
        (".git/hooks/post-checkout", "is a program, which git runs in this folder"),
        (".git/config", "has a setting in line 1 by which git may run a program"),
        ("readme.html", "is not in the base and not known to be harmless"),
        ("additional_chat_templates/a/b.jinja", "is not in the base and not known to be harmless"),
        ("no_suffix", "is not in the base and not known to be harmless"),
        (INDEX, "cannot be read: not JSON"),
    ],
)
def test_a_file_that_is_neither_the_bases_nor_harmless_is_named(
    folder: Path, name: str, why: str
) -> None:
    put(folder, name)
    (found,) = take(folder).extra
    assert (found.name, found.why[: len(why)]) == (name, why)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/use.md",
        "LICENSE",
        "plot.png",
        ".gitattributes",
        ".git/index",
        ".git/hooks/pre-commit.sample",
        ".git/refs/heads/main",
        ".git/objects/4b/825dc6",
        ".cache/huggingface/.gitignore",
        ".cache/huggingface/download/onnx/x.metadata",
        "edit-manifest.json",
        "model.sig",
        "trainer_state.json",
        "runs/May/events.out.tfevents.1700000000.host.1234.0",
    ],
)
def test_a_file_that_is_known_to_be_harmless_is_not_named(folder: Path, name: str) -> None:
    put(folder, name)
    assert take(folder).extra == ()


LFS_HOOK = r"""#!/bin/sh
command -v git-lfs >/dev/null 2>&1 || { printf >&2 "\n%s\n" "no git-lfs on your path."; exit 2; }
git lfs pre-push "$@"
"""
GIT_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
[remote "origin"]
\turl = https://huggingface.co/x/y
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
\tremote = origin
[lfs]
\trepositoryformatversion = 0
"""


def test_what_git_and_git_lfs_write_into_a_clone_is_not_named(folder: Path) -> None:
    put(folder, ".git/config", GIT_CONFIG.encode())
    put(folder, ".git/hooks/pre-push", LFS_HOOK.encode())
    assert take(folder).extra == ()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("[core]\n\tfsmonitor = ./x", 12),
        ("[core]\n\tHooksPath = x", 12),
        ("[core] bare = true", 11),
        ("[include]\n\tpath = /x", 12),
        ("[pager]\n\tremote = x", 12),
        ('[filter "x"]\n\tclean = x', 12),
        ('[remote "x"]\n\turl = ext::x', 12),
        ("[user]\n\tname = x\\\n\temail = x", 12),
    ],
)
def test_a_setting_by_which_git_may_run_a_program_is_named(
    folder: Path, more: str, line: int
) -> None:
    put(folder, ".git/config", f"{GIT_CONFIG}{more}\n".encode())
    (found,) = take(folder).extra
    assert found.name == ".git/config"
    assert found.why.startswith(f"has a setting in line {line} by which git may run a program")


@pytest.mark.parametrize(
    ("old", "new"), [("path.", "path.$(x)"), ("exit 2", "x; exit 2"), ('"$@"', '"$@"; x')]
)
def test_a_hook_that_git_lfs_has_not_written_is_named(folder: Path, old: str, new: str) -> None:
    put(folder, ".git/hooks/pre-push", LFS_HOOK.replace(old, new).encode())
    (found,) = take(folder).extra
    assert found.why.startswith("is a program, which git runs in this folder")


@pytest.mark.parametrize("name", ["modeling.py", "x.gguf", "tokenizer.model", "a/b.xyz", "p.json"])
def test_the_bases_own_file_is_not_named_and_another_of_its_name_is(
    folder: Path, tmp_path: Path, name: str
) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    for each in (base, folder):
        put(each, name, b"{}")
    found = take(folder, base)
    assert found.extra == ()
    assert found.unedited == (("x.gguf",) if name == "x.gguf" else ())
    put(folder, name, b"[]")
    changed = take(folder, base)
    assert (changed.as_written or (changed.extra[0].name,)) == (name,)
    assert bool(changed.as_written) == (name == "p.json")


def test_a_pickle_is_named_even_if_it_is_the_bases_own(folder: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    for each in (base, folder):
        put(each, "pytorch_model.bin")
    (found,) = take(folder, base).extra
    assert found.why.startswith("is a pickle file")


def listed(name: str, content: bytes, *, large: bool) -> ListedFile:
    blob = sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    known = sha256(content).hexdigest() if large else blob
    return ListedFile(name=name, size=len(content), hash=known)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("on_disk", ["base", "release", "neither"])
def test_a_file_that_was_not_fetched_is_known_by_its_hash(
    folder: Path, tmp_path: Path, on_disk: str, *, large: bool
) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    files = [listed("x.onnx", b"weights", large=large)]
    if on_disk != "neither":
        put({"base": base, "release": folder}[on_disk], "x.onnx", b"weights")
    sides = {
        "files": files if on_disk != "release" else (),
        "base_files": files if on_disk != "base" else (),
    }
    assert take(folder, base, **sides).unedited == ("x.onnx",)
    other = [listed("x.onnx", b"WEIGHTS", large=large)]
    changed = {name: other if given else () for name, given in sides.items()}
    if on_disk == "neither":
        changed["files"] = files
    assert [each.name for each in take(folder, base, **changed).extra] == ["x.onnx"]


@pytest.mark.parametrize("side", ["base", "release"])
def test_what_is_on_disk_counts_and_not_what_the_repository_lists(
    folder: Path, tmp_path: Path, side: str
) -> None:
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    files = [listed("tokenizer.model", b"good", large=True)]
    for each in (base, folder):
        put(each, "tokenizer.model", b"good")
    assert take(folder, base, files=files, base_files=files).extra == ()
    put({"base": base, "release": folder}[side], "tokenizer.model", b"evil")
    found = take(folder, base, files=files, base_files=files).extra
    assert [each.name for each in found] == ["tokenizer.model"]


def test_a_file_of_another_size_than_the_repository_lists_is_named(folder: Path) -> None:
    put(folder, "README.md", b"long")
    (line,) = take(folder, files=[ListedFile(name="README.md", size=1, hash="0")]).troubles
    assert line.startswith("README.md: has 4 bytes, but the repository lists 1")


def test_an_adapter_beside_the_weights_is_named(folder: Path) -> None:
    put(folder, "adapter_config.json", b"{}")
    found = take(folder)
    assert found.extra == ()
    assert found.troubles[0].startswith("adapter_config.json: is an adapter")


def test_an_index_beside_a_single_file_must_say_the_same(folder: Path, tmp_path: Path) -> None:
    put(folder, INDEX, json.dumps({"weight_map": PLACED}).encode())
    assert take(folder).extra == ()
    first = next(iter(PLACED))
    for placed in (
        {name: file for name, file in PLACED.items() if name != first},
        {**PLACED, first: "model-1.safetensors"},
    ):
        put(folder, INDEX, json.dumps({"weight_map": placed}).encode())
        (found,) = take(folder).extra
        assert found.name == INDEX
        assert found.why.startswith(f"does not place all tensors in {WEIGHTS}")
    base = Path(shutil.copytree(folder, tmp_path / "base"))
    assert take(folder, base).extra == ()  # the base has both as well
    (base / WEIGHTS).unlink()
    assert [each.name for each in take(folder, base).extra] == [INDEX]  # left over from the base


def test_an_index_beside_a_single_file_that_gives_a_key_twice_is_named(folder: Path) -> None:
    good = json.dumps(PLACED)
    evil = json.dumps(dict.fromkeys(PLACED, "evil.safetensors"))
    for text in (
        f'{{"weight_map": {evil}, "weight_map": {good}}}',
        f'{{"weight_map": {evil[:-1]}, {good[1:]}}}',
    ):
        put(folder, INDEX, text.encode())
        (found,) = take(folder).extra
        assert found.name == INDEX
        assert "twice in an object" in found.why


def test_shards_that_no_index_names_are_named(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "a.safetensors")
    put(folder, INDEX, b"{}")
    put(folder, "b.safetensors")
    placed = dict.fromkeys(PLACED, "a.safetensors")
    (found,) = take_inventory(side(BASE), side(folder), placed).extra
    assert found.name == "b.safetensors"


@pytest.mark.skipif(os.name == "nt", reason="links need rights that not every user has")
def test_links_and_what_is_no_file_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    put(tmp_path, "secret.md")
    (folder / "notes.md").symlink_to(tmp_path / "secret.md")
    (folder / "more").symlink_to(tmp_path / "outside")
    (folder / "here").symlink_to(folder)
    (folder / ".git").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe.md")
    lines = take(folder).troubles
    assert [line.partition(": ")[0] for line in lines] == [
        *(".git", "here", "more", "notes.md", "pipe.md")
    ]
    assert "is a link to" in lines[0]
    assert "is a link to a folder" in lines[1]
    assert "is a link to" in lines[3]
    assert "is no regular file" in lines[4]


@pytest.mark.skipif(os.name == "nt", reason="links need rights that not every user has")
def test_links_in_a_circle_are_named(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    assert take(folder).troubles == ("loop: is a link that leads nowhere; remove it",)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("config.json")
    with pytest.raises(ModelError, match=r"config\.json: is a link that leads nowhere"):
        require_companions(folder)


@pytest.mark.skipif(os.name == "nt", reason="there are no such paths")
def test_folders_deeper_than_any_path_are_an_error(folder: Path) -> None:
    name = "d" * 250
    place = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=place)
        deeper = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    with pytest.raises(ModelError, match="cannot be read: File name too long"):
        list_tree(folder)


def test_a_folder_of_too_many_files_is_not_listed_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(30):
        put(folder, f"deep/{n}.md")
    count = len(list_tree(folder))
    for module in (folders, inventory):
        monkeypatch.setattr(module, "MAX_FILES", 20)
    assert (count, len(list_tree(folder))) == (35, 21)
    assert "model: found more than 20 files" in take(folder).troubles[0]


def test_the_tables_are_those_of_the_docs() -> None:
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    folders_too = {f"{name}/": why for name, why in HARMLESS_FOLDERS.items()}
    for table in ({**HARMLESS_FILES, **folders_too}, HARMLESS_KEYS):
        reasons: dict[str, list[str]] = {}
        for name, why in table.items():
            reasons.setdefault(why, []).append(f"`{name}`")
        rows = "\n".join(f"| {', '.join(names)} | {why} |" for why, names in reasons.items())
        assert f"|---|---|\n{rows}\n\n" in text, rows
    assert all(f"`{name}`" in text for name in COMPARED)


def test_no_pattern_of_harmless_files_lets_a_pickle_or_code_pass() -> None:
    for pattern in HARMLESS_FILES:
        for suffix in (".pkl", ".py", ".so", ".safetensors", ".zip"):
            name = f"{pattern.replace('*', 'x')}{suffix}"
            assert reason_against(name) or not fits(name, HARMLESS_FILES), name
    assert is_pickle("x/y.PT")
