from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac import Cache, Solved, WeightDelta, load_spec, run_chain
from pytest_eac.cache.entries import CacheWarning
from pytest_eac.cache.kinds import EDITS, MEASUREMENTS, kept
from pytest_eac.editing import sequence
from pytest_eac.editing.prompts import make_contexts
from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.weights import fingerprint
from pytest_eac.measuring.chain import RunOptions
from pytest_eac.measuring.metrics import locality
from pytest_eac.spec import registry
from pytest_eac.spec.schema.settings import ContextSettings
from tests.chains import timeless, without_cache
from tests.conftest import QUICKSTART, TINY_LLAMA, WORLD
from tests.measuring.asking import after, answer, ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_eac.editing.sequence import Step
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.run import Chain, Unfinished
    from pytest_eac.scoring.asker import Asker
    from pytest_eac.spec.spec import Spec


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Spec]:
    """Writes a spec of four facts for one method on the tiny models."""

    def write(
        base: str = "ft", *, batch: int = 1, match: str = "accuracy", more: str = "", seed: int = 0
    ) -> Spec:
        method = f"base: {base}, layers: [1], value: {{steps: 4}}"
        if base.startswith("ft"):
            method = f"base: {base}, layers: [1], update: {{steps: 4}}"
        else:
            method += ", contexts: {lengths: [[3, 2]]}"
            method += f", covariance: {{corpus: {WORLD}, column: prompt, ridge: 1.0}}"
        path = tmp_path / "small.yaml"
        path.write_text(
            f"eac: 1\nmethods: {{m: {{{method}{more}}}}}\nseeds: [{seed}]\n"
            f"edits: [{{from: {WORLD}, format: jsonl, take: 4}}]\n"
            f"sequence: {{checkpoints: [{batch}], batch: {batch}}}\nscoring: {{match: {match}}}\n"
        )
        return load_spec(path)

    return write


def run(loaded: LoadedModel, spec: Spec, cache: Cache | Path | None) -> Chain:
    cache = Cache(cache) if isinstance(cache, Path) else cache
    return run_chain(loaded, spec, spec.methods[0], seed=spec.seeds[0], cache=cache)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on nothing may be solved, asked or sampled."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was run")

    def stop() -> None:
        monkeypatch.setattr(sequence, "solve", refuse)
        monkeypatch.setattr("pytest_eac.scoring.asker.force", refuse)
        monkeypatch.setattr("pytest_eac.scoring.asker.generate", refuse)
        monkeypatch.setattr("pytest_eac.editing.prompts.sample", refuse)

    return stop


@pytest.mark.parametrize(
    ("base", "batch"),
    [
        ("ft", 1),  # a dense change, no values
        ("rome", 1),
        ("rome-eac", 1),
        ("rect", 2),
        ("memit", 3),
        ("memit-prev-eac", 1),  # a state that grows
        ("alphaedit", 2),
        ("nas-eac", 1),  # a norm in the state
        ("prune", 1),  # a state that is replaced
    ],
)
def test_a_second_run_gives_the_same_record_without_running_the_model(
    tiny: LoadedModel,
    spec: Callable[..., Spec],
    tmp_path: Path,
    idle: Callable[[], None],
    base: str,
    batch: int,
) -> None:
    task = spec(base, batch=batch)
    plain = run(tiny, task, None)
    first = run(tiny, task, tmp_path)
    before = fingerprint(tiny.model)
    idle()
    second = run(tiny, task, tmp_path)
    assert without_cache(second) == without_cache(first)
    assert timeless(first) == timeless(plain)
    assert [cost.cached for cost in first.per_edit] == [False] * 4
    assert [cost.cached for cost in second.per_edit] == [True] * 4
    assert second.cached_measurements > 8
    assert fingerprint(tiny.model) == before == tiny.fingerprint


@pytest.mark.parametrize("base", ["alphaedit", "memit-prev-eac", "ft", "prune"])
def test_a_chain_of_which_parts_are_lost_is_the_same(
    tiny: LoadedModel, spec: Callable[..., Spec], tmp_path: Path, base: str
) -> None:
    first = run(tiny, spec(base), tmp_path)
    solved = [each for each in kept(tmp_path, EDITS) if each.size > 1000]
    for each in (solved[1], solved[3]):
        each.path.unlink()
    again = run(tiny, spec(base), tmp_path)
    assert sorted(cost.cached for cost in again.per_edit) == [False, False, True, True]
    assert timeless(again) == timeless(first)


def test_damaged_edits_are_solved_anew_with_a_warning(
    tiny: LoadedModel, spec: Callable[..., Spec], tmp_path: Path
) -> None:
    first = run(tiny, spec(), tmp_path)
    for each in kept(tmp_path, EDITS):
        content = each.path.read_bytes()
        each.path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.warns(CacheWarning, match="is damaged"):
        second = run(tiny, spec(), tmp_path)
    assert timeless(second) == timeless(first)
    assert not any(cost.cached for cost in second.per_edit)


def test_without_a_folder_to_write_to_the_chain_runs_with_one_warning(
    tiny: LoadedModel, spec: Callable[..., Spec], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(CacheWarning) as told:
        chain = run(tiny, spec(), tmp_path / "file" / "cache")
    assert len(told) == 1
    assert timeless(chain) == timeless(run(tiny, spec(), None))


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"batch": 2}, {"more": ", anchors: {ratio: 0.1}"}, {"base": "r-rome-eac"}],
    ids=str,
)
def test_another_chain_solves_its_own_edits(
    tiny_llama: LoadedModel, spec: Callable[..., Spec], tmp_path: Path, changes: dict[str, Any]
) -> None:
    base = {"base": "memit-eac" if "batch" in changes else "rome-eac"}
    run(tiny_llama, spec(**base), tmp_path)
    other = run(tiny_llama, spec(**{**base, **changes}), tmp_path)
    assert not any(cost.cached for cost in other.per_edit)


def test_another_way_of_scoring_measures_anew_what_was_edited_before(
    tiny_llama: LoadedModel, spec: Callable[..., Spec], tmp_path: Path
) -> None:
    run(tiny_llama, spec(), tmp_path)
    generated = run(tiny_llama, spec(match="generation"), tmp_path)
    assert all(cost.cached for cost in generated.per_edit)
    assert timeless(generated) == timeless(run(tiny_llama, spec(match="generation"), None))


@pytest.mark.parametrize("match", ["accuracy", "success", "generation"])
def test_answers_come_back_as_they_were_given(
    tiny_llama: LoadedModel, spec: Callable[..., Spec], tmp_path: Path, match: str
) -> None:
    edits = tuple(
        replace(edit, neighborhood=tuple(replace(near, answer=None) for near in edit.neighborhood))
        for edit in spec().edits
    )
    fresh = ask(tiny_llama, edits, match)  # type: ignore[arg-type]
    for _ in range(2):
        recall = ask(tiny_llama, edits, match, cache=Cache(tmp_path))  # type: ignore[arg-type]
        assert recall.known == fresh.known
        assert locality(after(recall, 4)) == locality(after(fresh, 4))
        assert answer(recall, 1) == answer(fresh, 1)


def test_what_cannot_be_named_is_neither_looked_up_nor_kept(
    tiny_llama: LoadedModel, spec: Callable[..., Spec], tmp_path: Path
) -> None:
    recall = ask(tiny_llama, spec().edits, "accuracy", cache=Cache(tmp_path))

    def put(asker: Asker, index: int) -> None:
        asker.ask_in_words([recall.questions.targets[index].question])

    put(recall.asker, 0)
    count = len(kept(tmp_path, MEASUREMENTS))
    edited = recall.asker.after(None, {})
    for index in (0, 1):
        put(edited, index)
    assert len(kept(tmp_path, MEASUREMENTS)) == count
    put(recall.asker.after("some update", {}), 0)
    put(recall.asker, 0)
    assert len(kept(tmp_path, MEASUREMENTS)) == count + 2, "its score, and what it wrote instead"


def test_sampled_contexts_are_kept_by_model_lengths_and_seed(
    tiny_llama: LoadedModel, tmp_path: Path, idle: Callable[[], None]
) -> None:
    cache = Cache(tmp_path)
    settings = ContextSettings(lengths=((3, 2),))
    one = make_contexts(tiny_llama, settings, seed=1, cache=cache)
    two = make_contexts(tiny_llama, settings, seed=2, cache=cache)
    longer = make_contexts(tiny_llama, ContextSettings(lengths=((4, 2),)), seed=1, cache=cache)
    assert one == make_contexts(tiny_llama, settings, seed=1)
    assert len({one, two, longer}) == 3
    idle()
    assert make_contexts(tiny_llama, settings, seed=1, cache=cache) == one


@pytest.fixture
def calls(_own_registry: None) -> list[str]:
    """A method and a metric of another package, and each call of them."""
    made: list[str] = []

    def method(loaded: Any, edits: Any, settings: Any) -> Solved:
        made.append("method")
        path = loaded.layout.down.format(1)
        rows = loaded.model.get_submodule(path).weight.shape
        return Solved(deltas=(WeightDelta(module=path, left=torch.full(rows, 1e-3)),))

    def metric(loaded: Any, edits: Any) -> float:
        made.append("metric")
        return 1.0

    registry.register(registry.METHODS, "mine", method)
    registry.register(registry.METRICS, "mine", metric)
    return made


def test_a_method_of_another_package_solves_each_time(
    tiny_llama: LoadedModel, tmp_path: Path, calls: list[str]
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "eac: 1\nmethods: {m: {base: mine, layers: [1]}}\n"
        f"edits: [{{from: {WORLD}, format: jsonl, take: 2}}]\n"
    )
    spec = load_spec(path)
    first, second = (run(tiny_llama, spec, tmp_path / "cache") for _ in range(2))
    assert calls == ["method"] * 4
    assert not any(cost.cached for cost in second.per_edit)
    assert not kept(tmp_path / "cache", EDITS)
    assert second.cached_measurements > 0  # what the unedited model said
    assert timeless(second) == timeless(first)


def test_a_metric_of_another_package_measures_each_time(
    tiny_llama: LoadedModel, spec: Callable[..., Spec], tmp_path: Path, calls: list[str]
) -> None:
    task = spec()
    task = replace(task, checks=task.checks.model_copy(update={"metrics": {"mine": None}}))
    for _ in range(2):
        run(tiny_llama, task, tmp_path)
    assert calls == ["metric"] * 4


@pytest.mark.slow
def test_on_the_real_model_a_second_run_solves_nothing_and_restores_the_weights(
    real_model: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(
        f"extends: {QUICKSTART}\neac: 1\n"
        "methods: [rome-eac: {base: rome-eac, covariance: none}, rome: {base: rome}]\n"
    )
    spec = load_spec(path).limited(2)
    first, second = (run(real_model, spec, tmp_path / "cache") for _ in range(2))
    assert without_cache(second) == without_cache(first)
    assert all(cost.cached for cost in second.per_edit)
    assert second.cached_measurements > first.cached_measurements
    assert fingerprint(real_model.model) == real_model.fingerprint


def test_a_model_file_that_changes_during_a_chain_is_an_error_and_the_cache_stays_right(
    spec: Callable[..., Spec], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(TINY_LLAMA, tmp_path / "model"))
    weights = folder / "model.safetensors"
    good = weights.read_bytes()
    small = spec()
    loaded = load_model(str(folder))
    expected = run(loaded, small, None)
    stopped: list[Unfinished] = []

    def change(step: Step) -> None:
        with weights.open("r+b") as file:
            file.seek(-len(good) // 2, os.SEEK_END)
            file.write(bytes(len(good) // 2))

    cache = Cache(tmp_path / "cache")
    with pytest.raises(ModelError, match=r"model.safetensors: was changed"):
        run_chain(
            loaded,
            small,
            small.methods[0],
            cache=cache,
            options=RunOptions(watch=change, stopped=stopped.append),
        )
    assert [each.chain.model.fingerprint for each in stopped] == [expected.model.fingerprint]
    with pytest.raises(ModelError, match=r"model.safetensors: was changed"):
        run(loaded, small, None)
    weights.write_bytes(good)
    again = run(load_model(str(folder)), small, cache)
    assert all(cost.cached for cost in again.per_edit)
    assert again.checkpoints == expected.checkpoints
