"""Every architecture of the layout table, on tiny random models of the real classes."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_eac.cache.entries import Cache
from pytest_eac.editing.covariance import second_moments
from pytest_eac.editing.interface import Work
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.sequence import edit_in_sequence
from pytest_eac.editing.updates.memit import MemitOptions
from pytest_eac.errors import EacWarning, ModelError, SettingsError
from pytest_eac.lm.forward.generate import greedy, sample
from pytest_eac.lm.forward.hooks import capture, patch
from pytest_eac.lm.forward.tail import FullWindow, TailWindow, Window, open_windows
from pytest_eac.lm.layout import LAYOUTS, as_out_in, find_layout, find_module, shape_of, text_config
from pytest_eac.lm.loading.load import LoadedModel, load_model
from pytest_eac.lm.weights import fingerprint, restored
from pytest_eac.scoring.answers import force, force_ids
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.schema.settings import CovarianceSettings, MethodSettings
from tests.conftest import TINY_LLAMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from pytest_eac.editing.moment import Moment

TOKENIZER = TINY_LLAMA
WIDTH, INNER, LAYERS, LAYER = 32, 48, 6, 1

# Of different lengths, so that padding matters.
ROWS = [(1, 2, 3, 4, 5, 6, 7, 8, 9), (11, 12, 13), (21, 22, 23, 24, 25, 26), (31, 32, 33)]

# A random model says at once what it reads at the subject: the prompt ends there.
EDIT = Edit(
    subject="Odalys Ardwick",
    prompt="Everyone knows Odalys Ardwick",
    target="Kadrith",
    truth=None,
    paraphrases=(),
    neighborhood=(),
    origin="here",
)

# Pieces of rows: rows put together from them begin alike, or are each other's beginnings.
PIECES = [(5,), (8, 13), (31, 32, 33, 34, 35, 36, 37), (41, 42, 43, 44, 45, 46, 47, 48, 49)]
ASKS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map(lambda parts: sum(parts, ())),
        st.sampled_from([(51,), (52,), (51, 53), (8, 13, 5)]),
    ),
    min_size=1,
    max_size=8,
)

_COMMON: dict[str, Any] = {
    "vocab_size": 760,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_WIDE: dict[str, Any] = {
    **_COMMON,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
_GROUPED: dict[str, Any] = {**_WIDE, "num_key_value_heads": 2}
_HEADS: dict[str, Any] = {**_GROUPED, "head_dim": 16}
_GPT: dict[str, Any] = {
    **_COMMON,
    "n_embd": WIDTH,
    "n_inner": INNER,
    "n_layer": LAYERS,
    "n_head": 4,
    "n_positions": 64,
}
_FALCON: dict[str, Any] = {
    **_COMMON,
    "hidden_size": WIDTH,
    "ffn_hidden_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
}
# Every second layer's attention sees a window that is as long as the longest row and its tail.
_SLIDING: dict[str, Any] = {
    "sliding_window": 18,
    "layer_types": ["sliding_attention", "full_attention"] * 3,
}
_LONG_ROPE: dict[str, Any] = {
    "original_max_position_embeddings": 2,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [1.5, 2.0, 3.0, 4.0],
    },
}
_EYES: dict[str, Any] = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
# "architecture" or "architecture, variant": the configuration.
CONFIGS: dict[str, dict[str, Any]] = {
    "falcon": _FALCON,
    "falcon, alibi": {**_FALCON, "alibi": True, "bias": True},
    "falcon, new decoder": {**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 2},
    "falcon, one norm": {
        **_FALCON,
        "new_decoder_architecture": True,
        "num_kv_heads": 2,
        "num_ln_in_parallel_attn": 1,
    },
    "falcon, one after another": {**_FALCON, "multi_query": False, "parallel_attn": False},
    "gemma": _HEADS,
    "gemma2": {**_HEADS, **_SLIDING},
    "gemma3": {
        "text_config": {**_HEADS, **_SLIDING},
        "vision_config": _EYES,
        "mm_tokens_per_image": 4,
        "initializer_range": 0.2,
    },
    "gemma3_text": {**_HEADS, **_SLIDING},
    "gpt2": _GPT,
    "gpt_neox": _WIDE,
    "gpt_neox, one after another": {**_WIDE, "use_parallel_residual": False},
    "gptj": {**_GPT, "rotary_dim": 4},
    "llama": _GROUPED,
    "mistral": {**_GROUPED, "sliding_window": 18},
    "olmo": {**_GROUPED, "clip_qkv": 8.0},
    "olmo2": _GROUPED,
    "olmo3": {**_GROUPED, **_SLIDING},
    "phi": {**_GROUPED, "qk_layernorm": True},
    "phi3": _GROUPED,
    "phi3, long": {**_GROUPED, **_LONG_ROPE},
    "qwen2": {**_GROUPED, "tie_word_embeddings": True},
    "qwen2, sliding": {
        **_GROUPED,
        "use_sliding_window": True,
        "sliding_window": 18,
        "max_window_layers": 2,
    },
    "qwen3": _HEADS,
}


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A random model, saved and loaded as a user's would be."""
    folder = tmp_path_factory.mktemp("model")
    config = AutoConfig.for_model(request.param.split(",")[0], **CONFIGS[request.param])
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start out all alike
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder)
    return load_model(str(folder))


def _settings(base: str, *layers: int) -> MethodSettings:
    return MethodSettings.model_validate(
        {"base": base, "layers": layers, "value": {"steps": 30, "clamp": 16.0}}
    )


@contextmanager
def _edited(
    loaded: LoadedModel, settings: MethodSettings, moments: Mapping[str, Moment] | None = None
) -> Iterator[list[str]]:
    """Make one edit for the time of the block; yield the weights that it may change."""
    paths = edited_modules(loaded, settings)
    with restored(loaded.model, paths):
        work = Work(contexts=("{}", "It is late. {}"), edits=(EDIT,), moments=moments or {})
        list(edit_in_sequence(loaded, settings, work))
        yield [f"{path}.weight" for path in paths]


def _with_delta(
    loaded: LoadedModel, window: Window, delta: Tensor, starts: tuple[int, ...], *, layer: int
) -> Tensor:
    """Logits at each row's last token, with ``delta`` added to the MLP at its start."""
    rows, begins = torch.arange(len(ROWS)), torch.tensor(starts)

    def add(output: Tensor) -> Tensor:
        changed = output.clone()
        changed[rows, begins - window.offset] += delta
        return changed

    last = torch.tensor([len(row) - 1 for row in ROWS])
    with patch(find_module(loaded.model, loaded.layout.down.format(layer)), add):
        return window.logits(rows, last)


def test_every_architecture_of_the_table_is_tried() -> None:
    assert {name.split(",")[0] for name in CONFIGS} == set(LAYOUTS)


def test_the_edited_matrix_maps_the_inner_width_to_the_hidden_one(loaded: LoadedModel) -> None:
    for layer in range(LAYERS):
        module = find_module(loaded.model, loaded.layout.down.format(layer))
        assert as_out_in(module.weight, module).shape == (WIDTH, INNER)  # type: ignore[arg-type]
    names = ("hidden_size", "num_hidden_layers", "vocab_size")
    assert [loaded.shape[name] for name in names] == [WIDTH, LAYERS, 760]


def test_an_edit_works_in_its_matrix_alone_and_is_undone_exactly(loaded: LoadedModel) -> None:
    pair = [(EDIT.prompt, EDIT.ending)]
    state = loaded.model.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    original, (score_before,) = fingerprint(loaded.model), force(loaded, pair)
    with _edited(loaded, _settings("rome", LAYER)) as meant:
        changed = [name for name in state if not torch.equal(state[name], before[name])]
        (score,) = force(loaded, pair)
    assert changed == meant
    assert score.log_likelihood > score_before.log_likelihood + 1
    assert fingerprint(loaded.model) == original


def test_memit_shares_an_edit_out_over_two_matrices(loaded: LoadedModel, tmp_path: Path) -> None:
    """Or, where a norm follows the MLP, writes to one and refuses two."""
    settings = _settings("memit", LAYER, LAYER + 1)
    if loaded.layout.normed:
        with pytest.raises(SettingsError, match="a norm stands between each matrix"):
            edited_modules(loaded, settings)
        settings = _settings("memit", LAYER)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(f"{EDIT.prompt} and so on.", encoding="utf-8")
    covariance = CovarianceSettings(corpus=str(corpus), ridge=1.0)
    paths = edited_modules(loaded, settings)
    moments = second_moments(loaded, paths, covariance, cache=Cache(tmp_path))
    settings = settings.model_copy(update={"update": MemitOptions(weight=0.1)})
    pair = [(EDIT.prompt, EDIT.ending)]
    state = loaded.model.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    (score_before,) = force(loaded, pair)
    with _edited(loaded, settings, moments) as meant:
        changed = [name for name in state if not torch.equal(state[name], before[name])]
        (score,) = force(loaded, pair)
    assert sorted(changed) == sorted(meant)
    assert score.log_likelihood > score_before.log_likelihood + 1
    assert not [name for name in state if not torch.equal(state[name], before[name])]


@pytest.mark.parametrize(
    ("starts", "layer"), [((5, 0, 2, 1), 0), ((0, 0, 0, 0), 1), ((5, 0, 2, 1), 4)]
)
def test_the_tail_gives_the_whole_forwards_logits_and_gradients(
    loaded: LoadedModel, starts: tuple[int, ...], layer: int
) -> None:
    results = []
    for window in (
        FullWindow(loaded, ROWS),
        open_windows(loaded, ROWS, starts, layers=[layer])[layer],
    ):
        delta = torch.linspace(-3, 3, WIDTH).requires_grad_()
        for _ in range(2):  # a second pass finds the constants unharmed
            logits = _with_delta(loaded, window, delta, starts, layer=layer)
        logits.log_softmax(-1)[:, 7].sum().backward()
        results.append((logits.detach(), delta.grad))
    assert isinstance(window, TailWindow)
    (whole, whole_gradient), (tail, tail_gradient) = results
    assert whole_gradient is not None
    assert whole_gradient.abs().max() > 0
    torch.testing.assert_close(tail, whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tail_gradient, whole_gradient, rtol=1e-3, atol=1e-4)


def test_rows_that_outgrow_a_sliding_window_are_run_whole(loaded: LoadedModel) -> None:
    slides = getattr(text_config(loaded.model.config), "sliding_window", None) is not None
    if not slides:
        assert isinstance(
            open_windows(loaded, [range(1, 11)], (0,), layers=[LAYER])[LAYER], TailWindow
        )
        return
    with pytest.warns(EacWarning, match="do not fit into the model's sliding window"):
        assert isinstance(
            open_windows(loaded, [range(1, 11)], (0,), layers=[LAYER])[LAYER], FullWindow
        )


@torch.no_grad()
def test_padding_on_either_side_changes_nothing(loaded: LoadedModel) -> None:
    whole = _with_delta(
        loaded, FullWindow(loaded, ROWS), torch.zeros(WIDTH), (0, 0, 0, 0), layer=LAYER
    )
    alone = [loaded.model(torch.tensor([row])).logits[0, -1] for row in ROWS]
    torch.testing.assert_close(whole, torch.stack(alone), rtol=1e-4, atol=1e-4)
    one_by_one = [sample(loaded, [row], tokens=5)[0] for row in ROWS]
    assert sample(loaded, ROWS, tokens=5) == one_by_one


@settings(max_examples=8)
@given(asks=ASKS, budget=st.integers(1, 80))
@torch.no_grad()
def test_a_score_does_not_depend_on_the_rows_it_is_computed_with(
    loaded: LoadedModel, asks: list[tuple[tuple[int, ...], tuple[int, ...]]], budget: int
) -> None:
    """Held against each row alone, all of its logits; with and without room in a window."""
    for (before, wanted), score in zip(asks, force_ids(loaded, asks, budget=budget), strict=True):
        ids = torch.tensor([before + wanted[:-1]])
        logits = loaded.model(ids).logits[0, len(before) - 1 :]
        likely = logits.double().log_softmax(-1)[range(len(wanted)), wanted]
        assert score.log_likelihood == pytest.approx(float(likely.mean()), abs=1e-4)
        assert score.predicted == tuple(logits.argmax(-1).tolist())


@settings(max_examples=4)
@given(asks=ASKS, budget=st.integers(1, 80))
@torch.no_grad()
def test_an_answer_does_not_depend_on_the_rows_it_is_found_with(
    loaded: LoadedModel, asks: list[tuple[tuple[int, ...], tuple[int, ...]]], budget: int
) -> None:
    # Three tokens more: the long phi3 turns positions otherwise once a row has more than two.
    rows = [(3, 4, 6, *before) for before, _ in asks]
    for row, answer in zip(rows, greedy(loaded, rows, tokens=3, budget=budget), strict=True):
        ids = row
        for _ in answer:
            ids = (*ids, int(loaded.model(torch.tensor([ids])).logits[0, -1].argmax()))
        assert ids == row + answer
        texts = {count: loaded.tokenizer.decode(answer[:count]) for count in range(3, 7)}
        whole = next((each for each in texts if not texts[each].endswith("\ufffd")), 6)
        assert len(answer) == whole or set(answer) & loaded.stop_ids


@torch.no_grad()
def test_a_captured_output_is_what_the_matrix_makes_of_its_input(loaded: LoadedModel) -> None:
    module = find_module(loaded.model, loaded.layout.down.format(LAYER))
    with capture(module) as seen:
        loaded.model(torch.tensor([ROWS[0]]))
    torch.testing.assert_close(seen.output, module(seen.input))


@torch.no_grad()
def test_a_layers_output_can_be_read_and_patched(loaded: LoadedModel) -> None:
    ids = torch.tensor([ROWS[0]])
    layer = find_module(loaded.model, loaded.layout.layer.format(LAYER))
    before = loaded.model(ids).logits

    def add(output: Tensor) -> Tensor:
        changed = output.clone()
        changed[:, 4] += torch.linspace(-3, 3, WIDTH)
        return changed

    with capture(layer) as unpatched:
        loaded.model(ids)
    with patch(layer, add), capture(layer) as patched:
        after = loaded.model(ids).logits
    assert unpatched.output.shape == (1, len(ROWS[0]), WIDTH)
    torch.testing.assert_close(patched.output, add(unpatched.output))
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert (after[:, 4:] - before[:, 4:]).abs().amax(-1).min() > 1e-3
    assert torch.equal(loaded.model(ids).logits, before)


@pytest.mark.parametrize(
    ("model_type", "found"),
    [
        ("mixtral", "(num_experts|num_local_experts): 8"),
        ("qwen2_moe", "num_experts: 60"),
        ("qwen3_moe", "num_experts: 128"),
        ("olmoe", "num_experts: 64"),
        ("phimoe", "num_local_experts: 16"),
        ("gpt_oss", "(num_local_experts|num_experts): 128"),
        ("deepseek_v3", "(num_local_experts|n_routed_experts): 256"),
        ("llama4", "num_local_experts: 16"),
        ("ernie4_5_moe", "(num_experts|moe_num_experts): 64"),
    ],
)
def test_a_mixture_of_experts_is_refused_with_the_reason(model_type: str, found: str) -> None:
    with pytest.raises(
        ModelError,
        match=rf"'{model_type}' is a mixture of experts \({found}\).*so there is no one matrix "
        "to edit. Take a dense model; known are falcon, gemma",
    ):
        find_layout(AutoConfig.for_model(model_type))


def test_one_expert_is_no_mixture() -> None:
    with pytest.raises(ModelError, match="'mixtral' is not known; known are"):
        find_layout(AutoConfig.for_model("mixtral", num_local_experts=1))


def test_a_mixture_of_experts_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    AutoConfig.for_model("qwen3_moe").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="mixture of experts"):
        load_model(str(tmp_path))


def test_a_nested_configuration_is_read_where_the_language_model_is() -> None:
    shape = shape_of(AutoConfig.for_model("gemma3", **CONFIGS["gemma3"]))
    assert shape == {
        "model_type": "gemma3",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "vocab_size": 760,
        "intermediate_size": INNER,
    }
