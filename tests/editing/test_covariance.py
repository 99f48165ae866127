"""The second moment against one plain computation over the whole text, and its cache."""

from __future__ import annotations

import copy
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from tokenizers.normalizers import Lowercase

from pytest_eac.cache.entries import Cache, CacheWarning
from pytest_eac.cache.kinds import COVARIANCE, PARTIAL, kept
from pytest_eac.editing import covariance
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.moment import Moment
from pytest_eac.errors import (
    DataError,
    EditError,
    NonFiniteError,
    UnavailableError,
)
from pytest_eac.lm.forward import hooks
from pytest_eac.lm.layout import find_module
from pytest_eac.spec.schema.settings import CovarianceSettings

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel

TEXTS = [
    "Odalys Ardwick was born in Esselwater.",
    "The old cat stayed there after the storm. Everyone knows that Fenna Ostrane is a map maker.",
    "It is late.",
    "The bell rang." + " The bell rang." * 60,  # longer than the models' 128 positions
    "Marn",
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join(TEXTS), encoding="utf-8")
    return path


def asked(corpus: Path | str, **more: Any) -> CovarianceSettings:
    return CovarianceSettings(corpus=str(corpus), **{"ridge": 1.0, **more})


def at_once(loaded: LoadedModel, path: str, tokens: int = 10**9) -> tuple[Tensor, int]:
    """Every text alone, in pieces of the model's positions, each through the whole model."""
    keys: list[Tensor] = []
    module = find_module(loaded.model, path)
    handle = module.register_forward_hook(lambda _, args, __: keys.append(args[0][0].double()))
    left = tokens
    with torch.no_grad():
        for text in TEXTS:
            encoded = loaded.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
            ids = encoded.ids[:left]
            left -= len(ids)
            for start in range(0, len(ids), 128):
                loaded.model(input_ids=torch.tensor([ids[start : start + 128]]))
    handle.remove()
    every = torch.cat(keys)
    return sum(torch.outer(key, key) for key in every) / len(every), len(every)  # type: ignore[return-value]


def paths_of(loaded: LoadedModel) -> list[str]:
    return [loaded.layout.down.format(layer) for layer in (1, 2)]


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each forward pass of the measurement has had."""
    rows: list[int] = []
    original = hooks.read_states

    def counting(model: Any, inputs: dict[str, Tensor], modules: Any) -> Any:
        rows.append(len(inputs["input_ids"]))
        return original(model, inputs, modules)

    monkeypatch.setattr(covariance, "read_states", counting)
    return rows


# The matrix


def test_it_is_the_mean_outer_product_of_all_inputs(
    tiny: LoadedModel, corpus: Path, tmp_path: Path
) -> None:
    found = second_moments(tiny, paths_of(tiny), asked(corpus), cache=Cache(tmp_path))
    assert list(found) == paths_of(tiny)
    for path, moment in found.items():
        expected, tokens = at_once(tiny, path)
        assert moment.tokens == tokens > 300
        assert moment.matrix.dtype == torch.float64
        torch.testing.assert_close(moment.matrix, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_neither_batches_nor_padding_matter(
    tiny_llama: LoadedModel,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forwards: list[int],
    size: int,
) -> None:
    monkeypatch.setattr(covariance, "_BATCH_TOKENS", size)
    (path, _) = paths_of(tiny_llama)
    (moment,) = second_moments(tiny_llama, [path], asked(corpus), cache=Cache(tmp_path)).values()
    torch.testing.assert_close(moment.matrix, at_once(tiny_llama, path)[0], rtol=1e-4, atol=1e-6)
    rows = sum(forwards)
    assert rows > len(TEXTS), "the long text is cut"
    assert {1: len(forwards) == rows, 100: 1 < len(forwards) < rows, 10**6: forwards == [rows]}[
        size
    ]


@pytest.mark.parametrize("tokens", [1, 25, 200])
def test_no_more_tokens_are_read_than_asked_for(
    tiny: LoadedModel, corpus: Path, tmp_path: Path, tokens: int
) -> None:
    (path, _) = paths_of(tiny)
    settings = asked(corpus, tokens=tokens)
    (moment,) = second_moments(tiny, [path], settings, cache=Cache(tmp_path)).values()
    expected, count = at_once(tiny, path, tokens)
    assert moment.tokens == count == tokens
    torch.testing.assert_close(moment.matrix, expected, rtol=1e-4, atol=1e-6)


def test_progress_counts_tokens(tiny_llama: LoadedModel, corpus: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    settings = asked(corpus, tokens=200)
    second_moments(
        tiny_llama,
        paths_of(tiny_llama),
        settings,
        cache=Cache(tmp_path),
        progress=lambda *at: told.append(at),
    )
    assert told[-1] == (200, 200)


# The cache


def test_a_second_call_runs_no_forward_pass(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path, forwards: list[int]
) -> None:
    one, two = paths_of(tiny_llama)
    first = second_moments(tiny_llama, [one], asked(corpus), cache=Cache(tmp_path))[one]
    assert forwards
    forwards.clear()
    again = second_moments(tiny_llama, [one], asked(corpus), cache=Cache(tmp_path))[one]
    assert not forwards
    assert torch.equal(again.matrix, first.matrix)
    assert again.tokens == first.tokens
    # Another ridge is the same measurement; another layer, beside it, is measured alone.
    other = second_moments(tiny_llama, [one], asked(corpus, ridge=2.0), cache=Cache(tmp_path))[one]
    assert not forwards
    assert (other.ridge, first.ridge) == (2.0, 1.0)
    both = second_moments(tiny_llama, [one, two], asked(corpus), cache=Cache(tmp_path))
    assert forwards
    assert torch.equal(both[one].matrix, first.matrix)
    torch.testing.assert_close(both[two].matrix, at_once(tiny_llama, two)[0], rtol=1e-4, atol=1e-6)


def _other_weights(loaded: LoadedModel) -> LoadedModel:
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        find_module(model, loaded.layout.down.format(0)).weight[0, 0] += 1  # type: ignore[index, operator]
    return replace(loaded, model=model)


def _other_tokenizer(loaded: LoadedModel) -> LoadedModel:
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.backend_tokenizer.normalizer = Lowercase()
    return replace(loaded, tokenizer=tokenizer)


@pytest.mark.parametrize(
    "changed", ["weights", "tokenizer", "tokens", "corpus", "path of the corpus"]
)
def test_what_it_was_measured_on_tells_it_from_others(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path, forwards: list[int], changed: str
) -> None:
    (path, _) = paths_of(tiny_llama)
    second_moments(tiny_llama, [path], asked(corpus), cache=Cache(tmp_path))
    forwards.clear()
    loaded, settings = tiny_llama, asked(corpus)
    if changed == "weights":
        loaded = _other_weights(tiny_llama)
    elif changed == "tokenizer":
        loaded = _other_tokenizer(tiny_llama)
    elif changed == "tokens":
        settings = asked(corpus, tokens=90)
    elif changed == "corpus":
        corpus.write_text("It is late.", encoding="utf-8")
    else:
        settings = asked(corpus.rename(tmp_path / "elsewhere.txt"))
    second_moments(loaded, [path], settings, cache=Cache(tmp_path))
    assert bool(forwards) == (changed != "path of the corpus")


def test_an_interrupted_measurement_goes_on_where_it_was(
    tiny_llama: LoadedModel,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forwards: list[int],
) -> None:
    monkeypatch.setattr(covariance, "_BATCH_TOKENS", 1)  # every row is a batch
    monkeypatch.setattr(covariance, "_SAVE_SECONDS", 0)
    paths, settings = paths_of(tiny_llama), asked(corpus)
    whole = second_moments(tiny_llama, paths, settings, cache=Cache(tmp_path / "whole"))
    batches = len(forwards)
    assert batches >= 6
    forwards.clear()

    def stop(tokens: int, _: int) -> None:
        if len(forwards) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        second_moments(tiny_llama, paths, settings, cache=Cache(tmp_path), progress=stop)
    assert len(forwards) == 4
    assert len(kept(tmp_path, PARTIAL)) == 1
    forwards.clear()
    found = second_moments(tiny_llama, paths, settings, cache=Cache(tmp_path))
    assert len(forwards) == batches - 3, "the fourth batch was not saved yet"
    for path in paths:
        assert found[path].tokens == whole[path].tokens
        matrices = found[path].matrix, whole[path].matrix
        torch.testing.assert_close(*matrices, rtol=1e-12, atol=1e-15)
    assert len(kept(tmp_path, COVARIANCE)) == len(paths)
    assert not kept(tmp_path, PARTIAL), "the sums so far are gone"


def test_two_that_ask_at_once_measure_once(
    tiny_llama: LoadedModel,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forwards: list[int],
) -> None:
    monkeypatch.setattr(covariance, "_BATCH_TOKENS", 1)
    paths, together = paths_of(tiny_llama), threading.Barrier(2)
    alone = second_moments(tiny_llama, paths, asked(corpus), cache=Cache(tmp_path / "alone"))
    batches = len(forwards)
    forwards.clear()
    reading = Cache.read
    looked: set[int] = set()

    def read(cache: Cache, kind: str, key: Any) -> Any:
        found = reading(cache, kind, key)
        if cache.root.name == "both" and threading.get_ident() not in looked:
            looked.add(threading.get_ident())
            together.wait(timeout=30)  # neither finds an entry
        return found

    monkeypatch.setattr(Cache, "read", read)
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(
                second_moments, tiny_llama, paths, asked(corpus), cache=Cache(tmp_path / "both")
            )
            for _ in range(2)
        ]
        found = [run.result(timeout=120) for run in runs]
    assert len(forwards) == batches
    for each in found:
        assert all(torch.equal(each[path].matrix, alone[path].matrix) for path in paths)


def test_finished_files_are_read_without_waiting(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = paths_of(tiny_llama)
    first = second_moments(tiny_llama, paths, asked(corpus), cache=Cache(tmp_path))

    def wait(*_: object) -> None:
        raise AssertionError("another run may hold the lock for hours")

    monkeypatch.setattr(Cache, "working", wait)
    again = second_moments(tiny_llama, paths, asked(corpus), cache=Cache(tmp_path))
    assert all(torch.equal(again[path].matrix, first[path].matrix) for path in paths)


def _flip(path: Path) -> None:
    """Change one bit in the middle of what a cached file holds of a matrix."""
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 0x10
    path.write_bytes(content)


def test_a_flipped_bit_is_noticed_and_the_moment_measured_again(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path, forwards: list[int]
) -> None:
    paths, cache = paths_of(tiny_llama), Cache(tmp_path)
    first = second_moments(tiny_llama, paths, asked(corpus), cache=cache)
    broken = kept(tmp_path, COVARIANCE)[0].path
    _flip(broken)
    forwards.clear()
    with pytest.warns(CacheWarning) as warned:
        again = second_moments(tiny_llama, paths, asked(corpus), cache=cache)
    (warning,) = warned
    assert str(warning.message).startswith(f"{broken}: is damaged")
    assert forwards
    for path in paths:
        assert torch.equal(first[path].matrix, again[path].matrix)
    forwards.clear()
    second_moments(tiny_llama, paths, asked(corpus), cache=cache)
    assert not forwards, "the broken entry has been replaced"


def test_a_flipped_bit_in_the_sums_so_far_starts_the_measurement_again(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covariance, "_BATCH_TOKENS", 1)
    monkeypatch.setattr(covariance, "_SAVE_SECONDS", 0)
    paths, cache = paths_of(tiny_llama)[:1], Cache(tmp_path)
    whole = second_moments(tiny_llama, paths, asked(corpus), cache=Cache(tmp_path / "whole"))

    def stop(tokens: int, _: int) -> None:
        if kept(tmp_path, PARTIAL):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        second_moments(tiny_llama, paths, asked(corpus), cache=cache, progress=stop)
    (partial,) = kept(tmp_path, PARTIAL)
    _flip(partial.path)
    with pytest.warns(CacheWarning, match=partial.path.name):
        found = second_moments(tiny_llama, paths, asked(corpus), cache=cache)
    assert torch.equal(found[paths[0]].matrix, whole[paths[0]].matrix)


@pytest.mark.parametrize("place", ["a file", "a folder without rights"])
def test_a_cache_folder_that_cannot_be_used_is_one_warning_and_the_moments_are_measured(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path, place: str
) -> None:
    paths = paths_of(tiny_llama)
    expected = second_moments(tiny_llama, paths, asked(corpus), cache=Cache(tmp_path / "good"))
    bad = tmp_path / "bad"
    if place == "a file":
        bad.write_text("", encoding="utf-8")
    else:  # as root has all rights: neither lock can be made
        (bad / "entries.lock").mkdir(parents=True)
        (bad / COVARIANCE / "lock").mkdir(parents=True)
    with pytest.warns(CacheWarning, match=r"cannot be used: .*--eac-cache") as warned:
        found = second_moments(tiny_llama, paths, asked(corpus), cache=Cache(bad))
    assert len(warned) == 1
    assert all(torch.equal(found[path].matrix, expected[path].matrix) for path in paths)


# What is refused


@pytest.mark.parametrize("seconds", [0.0, 60.0])
@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_inputs_that_are_not_finite_are_refused_and_nothing_is_kept(
    tiny_llama: LoadedModel,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    bad: float,
) -> None:
    monkeypatch.setattr(covariance, "_SAVE_SECONDS", seconds)
    paths = paths_of(tiny_llama)
    original = hooks.read_states

    def overflown(model: Any, inputs: dict[str, Tensor], modules: Any) -> Any:
        states = original(model, inputs, modules)
        states[paths[1]].input[0, 0, 3] = bad
        return states

    monkeypatch.setattr(covariance, "read_states", overflown)
    with pytest.raises(NonFiniteError) as raised:
        second_moments(tiny_llama, paths, asked(corpus), cache=Cache(tmp_path))
    assert str(raised.value) == (
        f"covariance: the inputs of {paths[1]} are not finite in torch.float32; try --eac-dtype="
        "bfloat16 or float32"
    )
    assert not list(tmp_path.rglob("*.safetensors*"))


def test_too_few_tokens_are_refused_with_what_is_missing(
    tiny: LoadedModel, corpus: Path, tmp_path: Path
) -> None:
    (path, _) = paths_of(tiny)
    width = find_module(tiny.model, path).weight.numel() // 64  # type: ignore[operator]
    settings = asked(corpus, tokens=100, ridge=0.99)
    with pytest.raises(DataError) as caught:
        second_moments(tiny, [path], settings, cache=Cache(tmp_path))
    said = str(caught.value)
    assert f"{corpus} gave 100 tokens, but the layer's input has {width} dimensions" in said
    assert f"{width - 100} tokens are missing" in said
    # A ridge of 1 makes up for it.
    settings = asked(corpus, tokens=100, ridge=1.0)
    assert second_moments(tiny, [path], settings, cache=Cache(tmp_path))[path].tokens == 100


@pytest.mark.parametrize("text", ["", "\n\n\n\n"])
def test_a_corpus_without_text_is_refused(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path, text: str
) -> None:
    corpus.write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    empty = corpus.rename(tmp_path / "empty.jsonl")
    if text:
        empty.write_text(json.dumps({"text": ""}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"covariance: .*empty\.jsonl holds no text"):
        second_moments(tiny_llama, paths_of(tiny_llama), asked(empty), cache=Cache(tmp_path))


# The matrix in use


def _moment(ridge: float = 0.5, size: int = 6, keys: int = 20) -> Moment:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(size, keys, generator=generator, dtype=torch.float64)
    return Moment(matrix=inputs @ inputs.T / keys, tokens=keys, ridge=ridge)


@pytest.mark.parametrize(("weight", "identity"), [(1.0, 0.0), (3.0, 0.0), (3.0, 0.25)])
def test_solving_is_with_the_weighted_matrix_and_its_ridge(weight: float, identity: float) -> None:
    moment = _moment()
    before = moment.matrix.clone()
    mean = sum(float(moment.matrix[i, i]) for i in range(6)) / 6
    right = torch.eye(6, 2, dtype=torch.float64)
    expected = weight * (before + 0.5 * mean * torch.eye(6)) + identity * torch.eye(6)
    for _ in range(2):  # the second time from the factor that was kept
        found = moment.solve(right, weight=weight, identity=identity)
        torch.testing.assert_close(expected @ found, right)
    assert torch.equal(moment.matrix, before)
    torch.testing.assert_close(moment.regularised(), before + 0.5 * mean * torch.eye(6))
    # One weight's factor is not taken for another's.
    torch.testing.assert_close(moment.regularised() @ moment.solve(right), right)


def test_a_singular_matrix_is_refused() -> None:
    moment = _moment(ridge=0.0, size=6, keys=3)
    with pytest.raises(EditError, match=r"of 3 tokens is singular \(6 dimensions, ridge 0\)"):
        moment.solve(torch.ones(6, 1))
    assert _moment(ridge=0.1, size=6, keys=3).solve(torch.ones(6, 1)).shape == (6, 1)


# Texts


def test_a_corpus_that_changes_while_it_is_read_gives_no_statistics(
    tiny_llama: LoadedModel, corpus: Path, tmp_path: Path
) -> None:
    def rewrite(*_: int) -> None:
        corpus.write_text(TEXTS[0], encoding="utf-8")

    module = tiny_llama.layout.down.format(1)
    cache = Cache(tmp_path / "cache")
    with pytest.raises(DataError, match=r"corpus\.txt: was changed while it was read"):
        second_moments(tiny_llama, (module,), asked(corpus), cache=cache, progress=rewrite)
    assert not list(kept(tmp_path / "cache", COVARIANCE))


def test_a_model_that_is_loaded_offline_fetches_no_data_set(
    monkeypatch: pytest.MonkeyPatch, tiny_llama: LoadedModel, tmp_path: Path
) -> None:
    found: list[bool] = []

    def fetch(_: str, *, local_files_only: bool, **__: object) -> str:
        found.append(local_files_only)
        raise LocalEntryNotFoundError("it is not here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    loaded = replace(tiny_llama, offline=True)
    path = loaded.layout.down.format(1)
    with pytest.raises(UnavailableError):
        second_moments(loaded, (path,), asked("hub:owner/texts"), cache=Cache(tmp_path))
    assert found == [True]
