from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_eac.cache.entries import Cache, CacheWarning
from pytest_eac.cache.kinds import TRACINGS, kept
from pytest_eac.errors import EditError, NonFiniteError
from pytest_eac.lm.forward.hooks import patch
from pytest_eac.lm.forward.tail import FullWindow
from pytest_eac.lm.layout import find_module
from pytest_eac.lm.state.snapshot import unchanged
from pytest_eac.lm.tokens import continuation, encode
from pytest_eac.lm.weights import fingerprint
from pytest_eac.measuring import fact_run
from pytest_eac.measuring.tracing import default_window, trace
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.load import load_spec
from tests.conftest import QUICKSTART

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.tracing import Tracing


def edit(subject: str, prompt: str, truth: str | None) -> Edit:
    return Edit(
        subject=subject,
        prompt=prompt,
        target="x",
        truth=truth,
        paraphrases=(),
        neighborhood=(),
        origin="here:1",
    )


def count_passes(loaded: LoadedModel, run: Callable[[], Tracing]) -> tuple[Tracing, int]:
    passes: list[None] = []
    handle = loaded.model.register_forward_pre_hook(lambda *_: passes.append(None))
    try:
        return run(), len(passes)
    finally:
        handle.remove()


class Twin:
    """The slow twin: one fact, one noise sample, whole forward passes, each written out."""

    def __init__(self, loaded: LoadedModel, fact: Edit, *, seed: int, noise: float) -> None:
        encoded = loaded.tokenizer(fact.prompt, return_offsets_mapping=True)
        start = fact.prompt.index(fact.subject)
        end = start + len(fact.subject)
        self.loaded = loaded
        self.prompt = list(encoded["input_ids"])
        self.answer = list(
            continuation(loaded.tokenizer, fact.after(fact.prompt, fact.truth or ""))
        )
        self.subject = [
            index
            for index, (low, high) in enumerate(encoded["offset_mapping"])
            if set(range(low, high)) & set(range(start, end))
        ]
        table = loaded.model.get_input_embeddings().weight
        entries = torch.cat([table[self.prompt[place]] for place in self.subject])
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn((1, len(self.subject), table.shape[1]), generator=generator)
        self.noise = noise * entries.std() * drawn[0]

    def corrupted(self, _: Any, __: Any, output: Tensor) -> None:
        for place, noise in zip(self.subject, self.noise, strict=True):
            output[0, place] += noise

    @torch.no_grad()
    def run(self, hooks: dict[str, Callable[..., None]]) -> float:
        """Return the answer's probability, with each hook on the module of its path."""
        with ExitStack() as stack:
            for path, hook in hooks.items():
                module = self.loaded.model.get_submodule(path)
                stack.callback(module.register_forward_hook(hook).remove)
            ids = torch.tensor([self.prompt + self.answer])
            likely = self.loaded.model(input_ids=ids).logits[0].double().softmax(dim=-1)
        probability = 1.0
        for index, token in enumerate(self.answer):
            probability *= float(likely[len(self.prompt) - 1 + index, token])
        return probability

    def read(self, paths: Sequence[str]) -> tuple[float, dict[str, Tensor]]:
        """Return the clean probability and what each module gives at the subject's last token."""
        values: dict[str, Tensor] = {}

        def reader(path: str) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                states = output[0] if isinstance(output, tuple) else output
                values[path] = states[0, self.subject[-1]].clone()

            return hook

        return self.run({path: reader(path) for path in paths}), values

    def restored(self, values: dict[str, Tensor]) -> float:
        """Return the probability with noise on the subject and these values put back."""

        def writer(value: Tensor) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                states = output[0] if isinstance(output, tuple) else output
                states[0, self.subject[-1]] = value

            return hook

        embedding = {"gpt2": "transformer.wte", "llama": "model.embed_tokens"}
        path = embedding[self.loaded.model.config.model_type]
        return self.run(
            {path: self.corrupted} | {path: writer(value) for path, value in values.items()}
        )


@pytest.mark.parametrize("window", [1, 2, 3, 9])
@pytest.mark.parametrize("index", [0, 8, 20])
def test_a_trace_agrees_with_one_written_out(
    tiny: LoadedModel, world: tuple[Edit, ...], tmp_path: Path, window: int, index: int
) -> None:
    fact = world[index]
    found = trace(tiny, [fact], seed=3, samples=1, noise=1.5, window=window, cache=Cache(tmp_path))
    twin = Twin(tiny, fact, seed=3, noise=1.5)
    mlps = [tiny.layout.down.format(layer) for layer in range(5)]
    states = [tiny.layout.layer.format(layer) for layer in range(5)]
    clean, values = twin.read([*mlps, *states])
    corrupted = twin.restored({})
    assert clean - corrupted > 0.05
    assert found.facts[0].clean == pytest.approx(clean, abs=1e-5)
    assert found.facts[0].corrupted == pytest.approx(corrupted, abs=1e-5)
    for layer in range(5):
        around = range(max(0, layer - window // 2), min(5, layer - (-window // 2)))
        mlp = twin.restored({mlps[each]: values[mlps[each]] for each in around})
        state = twin.restored({states[layer]: values[states[layer]]})
        assert found.layers[layer].mlp.value == pytest.approx(mlp - corrupted, abs=1e-5)
        assert found.layers[layer].state.value == pytest.approx(state - corrupted, abs=1e-5)


def test_without_noise_nothing_is_lost_and_nothing_returns(
    tiny: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    found = trace(tiny, world[:4], noise=0.0, samples=2, cache=Cache(tmp_path))
    for fact in found.facts:
        assert fact.corrupted == pytest.approx(fact.clean, abs=1e-5)
    for each in found.layers:
        assert each.mlp.value == pytest.approx(0, abs=1e-5)
        assert each.state.value == pytest.approx(0, abs=1e-5)


def test_all_that_the_answer_is_read_from_put_back_gives_the_clean_probability(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    """Where the prompt ends with the subject, the last layer's output is all there is to read."""
    fact = edit("Odalys Ardwick", "Everyone knows that Odalys Ardwick", None)
    found = trace(tiny, [fact], samples=3, cache=Cache(tmp_path))
    lost = found.facts[0].clean - found.facts[0].corrupted
    assert abs(lost) > 0.05
    assert found.layers[-1].state.value == pytest.approx(lost, abs=1e-5)


def test_the_last_layer_at_the_subject_reaches_no_later_token(
    tiny: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    last = trace(tiny, world[:3], samples=2, window=1, cache=Cache(tmp_path)).layers[-1]
    assert last.mlp.value == pytest.approx(0, abs=1e-6)
    assert last.state.value == pytest.approx(0, abs=1e-6)


def test_the_tail_and_the_whole_forward_give_the_same_effects(
    tiny: LoadedModel,
    world: tuple[Edit, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def whole(
        loaded: LoadedModel, rows: Sequence[Sequence[int]], _: Sequence[int], *, layers: range
    ) -> dict[int, FullWindow]:
        return dict.fromkeys(layers, FullWindow(loaded, rows))

    tail = trace(tiny, world[:3], samples=2, window=2, cache=Cache(tmp_path / "a"))
    monkeypatch.setattr(fact_run, "open_windows", whole)
    full = trace(tiny, world[:3], samples=2, window=2, cache=Cache(tmp_path / "b"))
    for one, two in zip(tail.layers, full.layers, strict=True):
        assert one.mlp.value == pytest.approx(two.mlp.value, abs=1e-5)
        assert one.state.value == pytest.approx(two.state.value, abs=1e-5)


def test_a_seed_decides_the_noise(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    one, again, other = (
        trace(tiny_llama, world[:2], seed=seed, samples=2, cache=Cache(tmp_path / name))
        for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert one == again
    assert other.layers != one.layers
    assert (one.seed, other.seed) == (1, 2)
    assert [fact.clean for fact in other.facts] == [fact.clean for fact in one.facts]


def test_a_second_trace_is_read_from_the_cache(
    tiny: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []

    def run(**settings: Any) -> Callable[[], Tracing]:
        def progress(done: int, total: int) -> None:
            told.append((done, total))

        return lambda: trace(tiny, world[:2], cache=Cache(tmp_path), progress=progress, **settings)

    first, passes = count_passes(tiny, run(samples=2))
    assert passes > 0
    assert told == [(done, 10) for done in range(1, 11)]
    assert count_passes(tiny, run(samples=2)) == (first, 0)
    assert len(told) == 10
    for settings in ({"samples": 3}, {"seed": 1}, {"window": 4}, {"noise": 2.0}):
        assert count_passes(tiny, run(**{"samples": 2, **settings}))[1] > 0
    assert count_passes(tiny, run(samples=2)) == (first, 0)


def test_other_facts_are_another_trace(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    one = trace(tiny_llama, world[:1], samples=1, cache=Cache(tmp_path))
    two = trace(tiny_llama, world[1:2], samples=1, cache=Cache(tmp_path))
    assert one.facts != two.facts
    unaimed = [replace(world[0], target="something else", paraphrases=())]
    assert count_passes(
        tiny_llama, lambda: trace(tiny_llama, unaimed, samples=1, cache=Cache(tmp_path))
    ) == (one, 0)


def test_a_broken_tracing_is_traced_again_with_one_warning(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    first = trace(tiny_llama, world[:1], samples=1, cache=Cache(tmp_path))
    (entry,) = kept(tmp_path, TRACINGS)
    text = entry.path.read_bytes()
    entry.path.write_bytes(text.replace(b"clean", b"cleaM"))
    with pytest.warns(CacheWarning) as warned:
        assert trace(tiny_llama, world[:1], samples=1, cache=Cache(tmp_path)) == first
    assert [entry.path.name in str(each.message) for each in warned] == [True]


def test_a_cache_that_cannot_be_written_is_one_warning_and_the_facts_are_traced(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(CacheWarning, match="cannot be used") as warned:
        found = trace(tiny_llama, world[:1], samples=1, cache=Cache(tmp_path / "file"))
    assert len(warned) == 1
    assert found == trace(tiny_llama, world[:1], samples=1, cache=Cache(tmp_path / "good"))


def test_facts_that_cannot_be_traced_are_left_out_with_the_reason(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    wrong = replace(world[1], truth="Esselwater")
    again = replace(world[0], target="another")
    found = trace(tiny_llama, [world[0], wrong, again], samples=1, cache=Cache(tmp_path))
    assert [fact.edit for fact in found.facts] == [0]
    assert [each.edit for each in found.skipped] == [1, 2]
    assert found.skipped[0].reason.startswith("the model says 'P")
    assert found.skipped[0].reason.endswith(", not 'Esselwater'")
    assert found.skipped[1].reason == "asks the same as edit 1"
    assert found.layers[0].mlp.low is None


def test_without_a_truth_the_likeliest_next_token_is_traced(
    tiny: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    open_ = [replace(world[0], truth=None), world[1]]
    own, given = trace(tiny, open_, samples=1, cache=Cache(tmp_path)).facts
    ids = torch.tensor([encode(tiny.tokenizer, world[0].prompt)])
    likely = tiny.model(ids).logits[0, -1].softmax(dim=-1)
    assert (own.own, given.own) == (True, False)
    assert own.answer == tiny.tokenizer.decode(likely.argmax()).strip()
    assert own.clean == pytest.approx(float(likely.max()), abs=1e-5)
    assert given.answer == world[1].truth


def test_a_model_that_knows_nothing_of_a_spec_is_told_with_what_to_do(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    wrong = [replace(each, truth="Nowhere") for each in world[:4]]
    with pytest.raises(EditError) as raised:
        trace(tiny_llama, wrong, cache=Cache(tmp_path))
    first, *reasons = str(raised.value).splitlines()
    assert "knows none of the facts (asked: 4)" in first
    assert "leave truth out" in first
    assert len(reasons) == 4
    assert reasons[0].strip().startswith(f"'{world[0].prompt}': the model says ")
    assert reasons[-1] == "  and 1 more"


def test_logits_that_are_not_finite_are_an_error(
    tiny_llama: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    head = find_module(tiny_llama.model, "lm_head")
    with patch(head, lambda logits: logits * torch.nan), pytest.raises(NonFiniteError):
        trace(tiny_llama, world[:1], cache=Cache(tmp_path))


def test_a_trace_leaves_the_model_as_it_was(
    tiny: LoadedModel, world: tuple[Edit, ...], tmp_path: Path
) -> None:
    before = fingerprint(tiny.model)
    with unchanged(tiny, "tracing"):
        found = trace(tiny, world[:1], samples=1, cache=Cache(tmp_path))
    assert fingerprint(tiny.model) == before == found.fingerprint


@pytest.mark.parametrize(("depth", "window"), [(2, 1), (5, 1), (12, 2), (30, 6), (32, 6), (48, 10)])
def test_the_window_is_a_fifth_of_the_layers(depth: int, window: int) -> None:
    assert default_window(depth) == window


@pytest.mark.slow
def test_the_real_models_facts_are_found_in_its_early_layers(
    real_model: LoadedModel, tmp_path: Path
) -> None:
    edits = load_spec(QUICKSTART).edits[:3]
    found = trace(real_model, edits, samples=4, cache=Cache(tmp_path))
    assert len(found.facts) == 3
    assert len(found.layers) == 30
    assert found.window == 6
    assert all(fact.corrupted < 0.2 < fact.clean for fact in found.facts)
    assert found.best_layer < 12
    assert found.layers[found.best_layer].mlp.value > 0.1
    assert max(each.mlp.value for each in found.layers[16:]) < 0.05
