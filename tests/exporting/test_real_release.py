"""A release of SmolLM2: it passes its gate, and no tampered copy of it does."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_eac import Cache, load_spec
from pytest_eac.exporting.export import export_chain
from pytest_eac.judging.release_changes import judge_release
from pytest_eac.lm.loading.find import find_model
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.loading.model_folder import INDEX, WEIGHTS
from pytest_eac.measuring.release import inspect_release, measure_release
from pytest_eac.measuring.unedited import AskOptions
from tests.conftest import QUICKSTART, REAL_MODEL, USER_CACHE

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.manifest import Form
    from pytest_eac.records.run import Verdict
    from pytest_eac.spec.spec import Spec

pytestmark = pytest.mark.slow

EDITED = "model.layers.9.mlp.down_proj.weight"
EXTRA = "model.layers.0.mlp.extra.weight"
OTHER = "model.layers.20.mlp.up_proj.weight"
SHARDS = 4
QUICK = "{value: {steps: 6}, contexts: {texts: ['{}']}, base: rome, layers: [9], covariance: none}"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    path = tmp_path_factory.mktemp("spec") / "release.eac.yaml"
    path.write_text(
        f"eac: 1\nextends: {QUICKSTART}\nmethods: [quick: {QUICK}]\n"
        "sequence: {checkpoints: []}\n"
        "checks:\n  compare: []\n"
        f"  changed: {{only: ['*.9.mlp.down_proj.weight'], max_rank: 10, max_relative: 2,"
        " manifest: true}\n",
        encoding="utf-8",
    )
    return load_spec(path).limited(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The exported model, put into shards so that a copy costs no more than what it changes."""

    folder: Path
    adapter: Path
    base: Path

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.folder, folder, copy_function=os.link))


@pytest.fixture(scope="module")
def release(
    spec: Spec, real_model: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    root = tmp_path_factory.mktemp("release")
    forms: tuple[Form, ...] = ("model", "lora")
    for form in forms:
        export_chain(
            real_model,
            spec,
            spec.methods[0],
            root / form,
            form=form,
            cache_dir=USER_CACHE,
            cache=Cache(root / "cache"),
        )
    whole = root / "model" / WEIGHTS
    tensors = load_file(whole)
    names = sorted(tensors)
    placed = {
        name: f"model-{names.index(name) * SHARDS // len(names) + 1}.safetensors" for name in names
    }
    for file in set(placed.values()):
        mine = {name: tensors[name] for name in names if placed[name] == file}
        save_file(mine, whole.parent / file, metadata={"format": "pt"})
    whole.unlink()
    (whole.parent / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    return Release(
        folder=root / "model",
        adapter=root / "lora",
        base=find_model(REAL_MODEL, cache_dir=USER_CACHE).folder,
    )


def gate(spec: Spec, base: Path, folder: Path) -> Verdict:
    assert spec.checks.changed is not None
    return judge_release(inspect_release(spec, base, folder), spec.checks.changed)


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Tensor]], None]) -> str:
    """Change tensors of the shard that holds one; the original, to which it is a link, stays."""
    file = json.loads((folder / INDEX).read_text())["weight_map"][name]
    tensors = load_file(folder / file)
    change(tensors)
    (folder / file).unlink()
    save_file(tensors, folder / file, metadata={"format": "pt"})
    return str(file)


def replace_text(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text, encoding="utf-8")


def one_weight(folder: Path) -> str:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[EDITED][3, 5] += 1e-6

    rewrite(folder, EDITED, change)
    return rf"  {EDITED}: the release is not what edit-manifest\.json says"


def outside(folder: Path) -> str:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[OTHER][0, 0] += 1e-3

    rewrite(folder, OTHER, change)
    return rf"  {OTHER} \(.*\): is changed \(1 entries\), and is not one of \*\.9\.mlp"


def noise(folder: Path) -> str:
    def change(tensors: dict[str, Tensor]) -> None:
        for tensor in tensors.values():
            tensor.add_(1e-4 * tensor.std() * torch.randn(tensor.shape))

    for name in first_of_each(folder):
        rewrite(folder, name, change)
    return r"  model\.embed_tokens\.weight: is changed, but edit-manifest\.json does not list it"


def cast(folder: Path) -> str:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors.update({name: tensor.bfloat16() for name, tensor in tensors.items()})

    for name in first_of_each(folder):
        rewrite(folder, name, change)
    return r"  model\.embed_tokens\.weight \(.*\): is BF16, in the base F32"


def first_of_each(folder: Path) -> list[str]:
    placed = json.loads((folder / INDEX).read_text())["weight_map"]
    return list({file: name for name, file in placed.items()}.values())


def missing(folder: Path) -> str:
    (folder / "model-2.safetensors").unlink()
    return r"  model-2\.safetensors: is missing"


def truncated(folder: Path) -> str:
    file = folder / "model-2.safetensors"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[: len(content) // 2])
    return r"  model-2\.safetensors: is damaged or cut off"


def swapped_tokenizer(folder: Path) -> str:
    path = folder / "tokenizer.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = text["model"]["vocab"]
    vocabulary["Paris"], vocabulary["Rome"] = 1001, 1000
    replace_text(path, json.dumps(text))
    return r"  tokenizer\.json: "


def extra(folder: Path) -> str:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[EXTRA] = torch.ones(2, 2)

    _list(folder, EXTRA, rewrite(folder, OTHER, change))
    return rf"  {EXTRA} \(.*\): is not in the base"


def unlisted(folder: Path) -> str:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[EXTRA] = torch.ones(2, 2)

    rewrite(folder, OTHER, change)
    return rf"  model-\d\.safetensors: has {EXTRA}, which {INDEX} does not list"


def _list(folder: Path, name: str, file: str) -> None:
    """Add a tensor to the index."""
    found = json.loads((folder / INDEX).read_text())
    found["weight_map"][name] = file
    replace_text(folder / INDEX, json.dumps(found))


def not_a_number(folder: Path) -> str:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[EDITED][1, 1] = torch.nan

    rewrite(folder, EDITED, change)
    return rf"  {EDITED} \(.*\): 1 entries are NaN or infinite"


def stale(folder: Path) -> str:
    path = folder / "edit-manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["changed"][EDITED]["after"] = "0" * 64
    replace_text(path, json.dumps(manifest))
    return rf"  {EDITED}: the release is not what edit-manifest\.json says \(sha256 0+\)"


TAMPERED = [
    one_weight, outside, noise, cast, missing, truncated, swapped_tokenizer, extra, unlisted,
    not_a_number, stale,
]  # fmt: skip


def test_a_release_passes_its_gate(spec: Spec, release: Release) -> None:
    verdict = gate(spec, release.base, release.folder)
    assert verdict.outcome == "passed", verdict.message
    assert verdict.observed == 1


@pytest.mark.parametrize("tamper", TAMPERED)
def test_a_tampered_copy_fails_with_the_name_of_the_tensor_or_file(
    spec: Spec, release: Release, tmp_path: Path, tamper: Callable[[Path], str]
) -> None:
    folder = release.copy(tmp_path / "tampered")
    try:
        expected = tamper(folder)
        verdict = gate(spec, release.base, folder)
    finally:
        shutil.rmtree(folder)
    assert verdict.outcome == "failed"
    assert re.search(expected, verdict.message), verdict.message


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_a_release_and_its_adapter_score_as_the_chain_did(
    spec: Spec, release: Release, tmp_path: Path
) -> None:
    import peft

    cache = Cache(tmp_path)
    found = inspect_release(spec, release.base, release.folder)
    manifest = json.loads((release.folder / "edit-manifest.json").read_text(encoding="utf-8"))
    told = {each["check"]: each["observed"] for each in manifest["verdicts"]}

    def with_adapter() -> LoadedModel:
        loaded = load_model(REAL_MODEL, cache_dir=USER_CACHE)
        merged = peft.PeftModel.from_pretrained(loaded.model, release.adapter).merge_and_unload()
        return replace(loaded, model=merged.requires_grad_(requires_grad=False))

    chains = [
        measure_release(
            spec,
            one,
            load_base=lambda: load_model(REAL_MODEL, cache_dir=USER_CACHE),
            load_edited=load,
            options=AskOptions(cache=cache),
        )
        for one, load in (
            (found, lambda: load_model(str(release.folder))),
            (inspect_release(spec, release.base, release.base), with_adapter),
        )
    ]
    whole, adapted = (each.checkpoints[0] for each in chains)
    for metric in ("generalization", "locality", "retention"):
        assert whole.metrics[metric].value == pytest.approx(told[metric])
        assert whole.metrics[metric] == adapted.metrics[metric]
