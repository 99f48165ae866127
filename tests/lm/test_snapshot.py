"""What code may leave behind, one kind at a time: each is found, with its name and place."""

from __future__ import annotations

import builtins
import json
import logging
import math
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partialmethod, wraps
from importlib import import_module
from inspect import unwrap
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional
from torch import nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, cache_utils
from transformers.activations import ACT2FN
from transformers.integrations import sdpa_attention
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama import modeling_llama

from pytest_eac.errors import EditError, SpoiledModelError
from pytest_eac.lm.state import snapshot
from pytest_eac.lm.state.snapshot import Snapshot, unchanged
from pytest_eac.lm.weights import checksum, restored
from pytest_eac.scoring import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.loading.load import LoadedModel

Plant = Callable[["LoadedModel"], object]
DOWN = "model.layers.1.mlp.down_proj"


@pytest.fixture
def loaded(tiny_llama: LoadedModel) -> Iterator[LoadedModel]:
    """A copy of the tiny Llama to spoil; what belongs to the process is put back."""
    process = Snapshot(tiny_llama)
    yield replace(
        tiny_llama, model=deepcopy(tiny_llama.model), tokenizer=deepcopy(tiny_llama.tokenizer)
    )
    process.put_back()


def nothing(*_: Any, **__: Any) -> None:
    """A hook that does nothing."""


class Other(nn.SiLU):
    pass


def norm(loaded: LoadedModel) -> Any:
    return loaded.model.model.norm


def mlp(loaded: LoadedModel) -> Any:
    return loaded.model.model.layers[1].mlp


def _write_twice(loaded: LoadedModel) -> None:
    with torch.no_grad():
        norm(loaded).weight.add_(1).sub_(1)


def _write_past_autograd(loaded: LoadedModel) -> None:
    norm(loaded).weight.data.add_(1)


def _tensor_hook(loaded: LoadedModel) -> None:
    weight = norm(loaded).weight.requires_grad_()
    weight.register_hook(nothing)
    weight.requires_grad_(requires_grad=False)


def _other_class(loaded: LoadedModel) -> None:
    mlp(loaded).act_fn.__class__ = Other


def _reorder(loaded: LoadedModel) -> None:
    layers = loaded.model.model.layers
    layers[0], layers[1] = layers[1], layers[0]


def _new_memory(loaded: LoadedModel) -> None:
    norm(loaded).weight.data = norm(loaded).weight.data.clone()


def _new_parameter(loaded: LoadedModel) -> None:
    norm(loaded).weight = nn.Parameter(norm(loaded).weight.clone(), requires_grad=False)


def _grad(loaded: LoadedModel) -> None:
    norm(loaded).weight.grad = torch.zeros_like(norm(loaded).weight)


def _untie(loaded: LoadedModel) -> None:
    head = loaded.model.lm_head
    head.weight = nn.Parameter(head.weight.clone(), requires_grad=False)


def _other_buffer(loaded: LoadedModel) -> None:
    rotary = loaded.model.model.rotary_emb
    rotary.register_buffer("inv_freq", 2 * rotary.inv_freq, persistent=False)


def _scale(loaded: LoadedModel) -> None:
    loaded.model.model.layers[0].self_attn.scaling *= 2


def _set(path: str, value: object) -> Plant:
    def plant(loaded: LoadedModel) -> None:
        *holders, name = path.split(".")
        holder: Any = loaded
        for each in holders:
            holder = getattr(holder, each)
        if isinstance(holder, dict):
            holder[name] = value
        else:
            setattr(holder, name, value)

    return plant


def _normalizer(loaded: LoadedModel) -> None:
    from tokenizers.normalizers import Lowercase

    loaded.tokenizer.backend_tokenizer.normalizer = Lowercase()


def _rename_token(loaded: LoadedModel) -> None:
    """Put another vocabulary of the same size into the tokenizer."""
    from tokenizers import Tokenizer

    backend = loaded.tokenizer.backend_tokenizer
    text = json.loads(backend.to_str())
    words = text["model"]["vocab"]
    last = max(words, key=words.get)
    text["model"]["vocab"] = {f"{word}z" if word == last else word: words[word] for word in words}
    text["model"]["merges"] = []
    backend.model = Tokenizer.from_str(json.dumps(text)).model


MODEL: dict[str, tuple[Plant, str]] = {
    "forward hook": (
        lambda it: norm(it).register_forward_hook(nothing),
        "forward hooks of model.norm",
    ),
    "forward hook with keywords": (
        lambda it: norm(it).register_forward_hook(nothing, with_kwargs=True),
        "forward hooks with keywords of model.norm",
    ),
    "forward hook that is always called": (
        lambda it: norm(it).register_forward_hook(nothing, always_call=True),
        "forward hooks that are always called of model.norm",
    ),
    "forward pre-hook": (
        lambda it: it.model.register_forward_pre_hook(nothing),
        "forward pre-hooks of the model",
    ),
    "full backward hook": (
        lambda it: norm(it).register_full_backward_hook(nothing),
        "backward hooks of model.norm",
    ),
    "backward pre-hook": (
        lambda it: norm(it).register_full_backward_pre_hook(nothing),
        "backward pre-hooks of model.norm",
    ),
    "state_dict hook": (
        lambda it: norm(it).register_state_dict_post_hook(nothing),
        "state_dict hooks of model.norm",
    ),
    "state_dict pre-hook": (
        lambda it: norm(it).register_state_dict_pre_hook(nothing),
        "state_dict pre-hooks of model.norm",
    ),
    "load_state_dict hook": (
        lambda it: norm(it).register_load_state_dict_post_hook(nothing),
        "load_state_dict hooks of model.norm",
    ),
    "load_state_dict pre-hook": (
        lambda it: norm(it).register_load_state_dict_pre_hook(nothing),
        "load_state_dict pre-hooks of model.norm",
    ),
    "module swapped": (
        lambda it: setattr(mlp(it), "act_fn", nn.SiLU()),
        "submodules of model.layers.1.mlp",
    ),
    "module added": (
        lambda it: norm(it).add_module("adapter", nn.Identity()),
        "submodules of model.norm",
    ),
    "layers reordered": (_reorder, "submodules of model.layers"),
    "class": (_other_class, "the class of model.layers.1.mlp.act_fn (was SiLU"),
    "parametrization": (
        lambda it: parametrize.register_parametrization(mlp(it).down_proj, "weight", nn.Identity()),
        f"the class of {DOWN} (was Linear, is ParametrizedLinear)",
    ),
    "forward patched": (
        lambda it: setattr(mlp(it), "forward", nothing),
        "forward of model.layers.1.mlp",
    ),
    "attribute": (_scale, "scaling of model.layers.0.self_attn"),
    "attribute deleted": (
        lambda it: delattr(it.model.model.layers[0].self_attn, "scaling"),
        "scaling of model.layers.0.self_attn",
    ),
    "training mode": (lambda it: norm(it).train(), "training mode of model.norm"),
    "weight written and written back": (_write_twice, "model.norm.weight (written to)"),
    "weight in other memory": (_new_memory, "memory of model.norm.weight"),
    "weight transposed": (
        lambda it: setattr(mlp(it).down_proj.weight, "data", mlp(it).down_proj.weight.data.t()),
        f"shape of {DOWN}.weight (was torch.Size([64, 176]), is torch.Size([176, 64]))",
    ),
    "another parameter": (_new_parameter, "parameters of model.norm"),
    "weights untied": (_untie, "parameters of lm_head"),
    "dtype": (
        lambda it: norm(it).to(torch.bfloat16),
        "dtype of model.norm.weight (was torch.float32, is torch.bfloat16)",
    ),
    "device": (lambda it: norm(it).to("meta"), "parameters of model.norm"),
    "requires_grad": (
        lambda it: it.model.requires_grad_(),
        "requires_grad of model.norm.weight (was False, is True)",
    ),
    "gradient": (_grad, "gradient of model.norm.weight"),
    "hook of a tensor": (_tensor_hook, "hooks of model.norm.weight"),
    "buffer written": (
        lambda it: it.model.model.rotary_emb.inv_freq.mul_(2),
        "the values of model.rotary_emb.inv_freq",
    ),
    "buffer replaced": (_other_buffer, "buffers of model.rotary_emb"),
    "buffer added": (
        lambda it: norm(it).register_buffer("codebook", torch.zeros(3)),
        "buffers of model.norm",
    ),
    "configuration": (
        _set("model.config.rms_norm_eps", 0.5),
        "config.rms_norm_eps (was 1e-06, is 0.5)",
    ),
    "nested configuration": (
        _set("model.config.rope_parameters.rope_theta", 7.0),
        "config.rope_parameters.rope_theta (was 10000.0, is 7.0)",
    ),
    "new entry of the configuration": (
        _set("model.config.extra", 1),
        "config.extra (was not set, is 1)",
    ),
    "attention": (
        lambda it: it.model.set_attn_implementation("eager"),
        "config._attn_implementation (was sdpa, is eager)",
    ),
    "generation configuration": (
        _set("model.generation_config.repetition_penalty", 1.5),
        "generation_config.repetition_penalty (was ",
    ),
    "padding side": (
        _set("tokenizer.padding_side", "left"),
        "tokenizer.padding_side (was right, is left)",
    ),
    "special token": (
        _set("tokenizer.pad_token", "the"),
        "tokenizer._special_tokens_map.pad_token (was ",
    ),
    "chat template": (
        _set("tokenizer.chat_template", "{{ x }}"),
        "tokenizer.chat_template (was None, is {{ x }})",
    ),
    "token added": (
        lambda it: it.tokenizer.add_tokens(["zyzzyva"]),
        "tokenizer.vocabulary size (was ",
    ),
    "shape": (_set("shape.vocab_size", 3), "loaded.shape.vocab_size (was "),
}
MODEL["normalizer"] = (_normalizer, "tokenizer.normalizer (was ")
WHOLE: dict[str, tuple[Plant, str]] = {
    "weight written past autograd": (_write_past_autograd, "the values of model.norm.weight"),
    "a token renamed": (_rename_token, "the tokenizer's model"),
}


@pytest.mark.parametrize("case", MODEL | WHOLE)
def test_what_is_left_on_a_model_is_reported_with_its_place(loaded: LoadedModel, case: str) -> None:
    plant, said = (MODEL | WHOLE)[case]
    _ = loaded.shape
    before = Snapshot(loaded, whole=case in WHOLE)
    assert before.differences() == []
    plant(loaded)
    found = before.differences()
    assert any(each.startswith(said) for each in found), found
    before.put_back()
    assert before.differences() == found  # a new model is needed


class Mode(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        return func(*args, **(kwargs or {}))


MODE: Any
MODE = torch.inference_mode()  # ends when it is forgotten

PROCESS: dict[str, tuple[Callable[[], object], str]] = {
    "gradient mode": (
        lambda: torch.set_grad_enabled(not torch.is_grad_enabled()),
        "torch's gradient mode (was True, is False)",
    ),
    "inference mode": (
        MODE.__enter__,
        "torch's inference mode (was False, is True)",
    ),
    "default dtype": (
        lambda: torch.set_default_dtype(torch.float64),
        "torch's default dtype (was torch.float32, is torch.float64)",
    ),
    "default device": (
        lambda: torch.set_default_device("meta"),
        "torch's default device (was None, is meta)",
    ),
    "autocast": (
        lambda: torch.set_autocast_enabled("cpu", True),
        "autocast on cpu (was False, is True)",
    ),
    "deterministic mode": (
        lambda: torch.use_deterministic_algorithms(mode=True, warn_only=True),
        "torch's deterministic mode (was 0, is 1)",
    ),
    "precision": (
        lambda: torch.set_float32_matmul_precision("medium"),
        "torch's float32 matmul precision (was highest, is medium)",
    ),
    "threads": (
        lambda: torch.set_num_threads(torch.get_num_threads() + 1),
        "torch's number of threads (was ",
    ),
    "subnormal numbers": (
        lambda: torch.set_flush_denormal(True),
        "torch's flushing of subnormal numbers (was False, is True)",
    ),
    "a backend's flag": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        "torch.backends.cudnn.benchmark (was False, is True)",
    ),
    "attention kernels": (
        lambda: torch.backends.cuda.enable_math_sdp(False),
        "math attention kernels (was True, is False)",
    ),
    "function mode": (
        lambda: cast("Any", Mode()).__enter__(),
        "the number of active function modes (was 0",
    ),
    "forward hook on all modules": (
        lambda: nn.modules.module.register_module_forward_hook(nothing),
        "hooks on all modules (torch.nn.modules.module._global_forward_hooks)",
    ),
    "backward hook on all modules": (
        lambda: nn.modules.module.register_module_full_backward_hook(nothing),
        "hooks on all modules (torch.nn.modules.module._global_backward_hooks)",
    ),
    "attention function": (
        lambda: ALL_ATTENTION_FUNCTIONS.update({"sdpa": nothing}),
        "ALL_ATTENTION_FUNCTIONS['sdpa'] (replaced)",
    ),
    "function of masks": (
        lambda: ALL_MASK_ATTENTION_FUNCTIONS.register("sdpa", nothing),
        "AttentionMaskInterface._global_mapping['sdpa'] (replaced)",
    ),
    "entry of a registry": (
        lambda: ACT2FN.update({"silu": Other}),
        "ACT2FN['silu'] (replaced)",
    ),
    "entry of a registry removed": (
        lambda: OrderedDict.__delitem__(ACT2FN, "silu"),
        "ACT2FN['silu'] (replaced)",
    ),
    "forward of a class": (
        lambda: setattr(modeling_llama.LlamaMLP, "forward", nothing),
        "LlamaMLP.forward (replaced)",
    ),
    "function of transformers": (
        lambda: setattr(modeling_llama, "apply_rotary_pos_emb", nothing),
        "transformers.models.llama.modeling_llama.apply_rotary_pos_emb (replaced)",
    ),
    "function of torch": (
        lambda: setattr(torch.nn.functional, "silu", nothing),
        "torch.nn.functional.silu (replaced)",
    ),
    "operation of torch": (
        lambda: setattr(torch, "rsqrt", nothing),
        "torch.rsqrt (replaced)",
    ),
    "operation of tensors": (
        lambda: setattr(torch.Tensor, "mean", nothing),
        "Tensor.mean (replaced)",
    ),
    "method that a class had inherited": (
        lambda: setattr(modeling_llama.LlamaMLP, "__call__", partialmethod(nothing)),
        "LlamaMLP.__call__ (replaced)",
    ),
    "function behind an attention function": (
        lambda: setattr(sdpa_attention, "repeat_kv", nothing),
        "transformers.integrations.sdpa_attention.repeat_kv (replaced)",
    ),
    "function that scores": (
        lambda: setattr(answers, "force_ids", nothing),
        "pytest_eac.scoring.answers.force_ids (replaced)",
    ),
    "method of a class that no module inherits from": (
        lambda: setattr(cache_utils.DynamicLayer, "update", nothing),
        "DynamicLayer.update (replaced)",
    ),
    "code of a function": (
        lambda: setattr(modeling_llama.rotate_half, "__code__", nothing.__code__),
        "transformers.models.llama.modeling_llama.rotate_half (its code replaced)",
    ),
    "code of a method": (
        lambda: setattr(modeling_llama.LlamaRMSNorm.forward, "__code__", nothing.__code__),
        "transformers.models.llama.modeling_llama.LlamaRMSNorm.forward (its code replaced)",
    ),
    "code behind a decorator": (
        lambda: setattr(unwrap(modeling_llama.LlamaModel.forward), "__code__", nothing.__code__),
        "transformers.models.llama.modeling_llama.LlamaModel.forward (its code replaced)",
    ),
    "defaults of a function": (
        lambda: setattr(torch.nn.functional.softmax, "__defaults__", (0, 3, None)),
        "torch.nn.functional.softmax (its defaults replaced)",
    ),
    "step of an optimizer": (
        lambda: setattr(torch.optim.Adam, "step", torch.optim.SGD.step),
        "Adam.step (replaced)",
    ),
    "optimizer": (
        lambda: setattr(torch.optim, "Adam", torch.optim.SGD),
        "torch.optim.Adam (replaced)",
    ),
    "function that torch has wrapped": (
        lambda: setattr(torch.optim.Adam, "step", torch._dynamo.disable(nothing)),
        "Adam.step (replaced)",
    ),
    "function that torch wraps itself": (
        lambda: setattr(torch, "manual_seed", wraps(torch.manual_seed)(nothing)),
        "torch.manual_seed (replaced)",
    ),
    "module": (
        lambda: setattr(nn, "functional", nn.init),
        "torch.nn.functional (replaced)",
    ),
    "constant": (
        lambda: setattr(snapshot, "_SMALL", 1),
        "pytest_eac.lm.state.snapshot._SMALL (replaced)",
    ),
    "built-in function": (
        lambda: setattr(builtins, "round", nothing),
        "builtins.round (replaced)",
    ),
    "built-in function hidden in a module": (
        lambda: setattr(modeling_llama, "max", nothing),
        "transformers.models.llama.modeling_llama.max (replaced)",
    ),
    "function of numpy": (
        lambda: setattr(np.linalg, "norm", nothing),
        "numpy.linalg.norm (replaced)",
    ),
    "function of Python": (lambda: setattr(math, "log", nothing), "math.log (replaced)"),
    "precision under its newer name": (
        lambda: setattr(cast("Any", torch.backends.mkldnn).matmul, "fp32_precision", "bf16"),
        "torch.backends.mkldnn.matmul.fp32_precision (was ",
    ),
    "errors of numpy": (
        lambda: np.seterr(over="raise"),
        "numpy's treatment of floating-point errors (was ",
    ),
    "umask": (lambda: os.umask(0o777), "the rights of new files (umask) (was "),
    "signals": (
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        "handlers of signals (SIGTERM)",
    ),
    "current folder": (lambda: os.chdir("/"), "the current folder (was "),
    "environment": (
        lambda: os.environ.update({"HF_HOME": "/secret"}),
        "environment variables (HF_HOME)",
    ),
}


@pytest.mark.parametrize("case", PROCESS)
def test_what_is_left_in_the_process_is_reported_and_put_back(
    loaded: LoadedModel, case: str
) -> None:
    plant, said = PROCESS[case]
    before = Snapshot(loaded)
    plant()
    try:
        found = before.differences()
    finally:
        before.put_back()
    # A dictionary is named after the first module that it is found in.
    assert any(said in each for each in found), found
    assert before.differences() == []


def _call(loaded: LoadedModel, **more: Any) -> Any:
    return loaded.model(**loaded.tokenizer("The Louvre", return_tensors="pt"), **more)


def _restore(loaded: LoadedModel) -> None:
    with restored(loaded.model, [DOWN]), torch.no_grad():
        loaded.model.get_submodule(DOWN).weight.add_(1)


def _pad(loaded: LoadedModel) -> None:
    loaded.tokenizer(["one", "and two"], padding="max_length", truncation=True, max_length=2)


def _register_again(loaded: LoadedModel) -> None:
    rotary = loaded.model.model.rotary_emb
    rotary.register_buffer("inv_freq", rotary.inv_freq.clone(), persistent=False)


def _hook_for_a_while(loaded: LoadedModel) -> None:
    handle = norm(loaded).register_forward_hook(nothing)
    _call(loaded)
    handle.remove()


def _compile() -> None:
    torch.compile(lambda tensor: tensor + 1, backend="aot_eager")(torch.ones(1))
    torch.compile(nn.Linear(1, 1), backend="eager")(torch.ones(1))


HARMLESS: dict[str, Plant] = {
    "a call": _call,
    "what torch wraps when it loads its compiler": lambda _: import_module("torch._dynamo"),
    "what torch wraps when it compiles": lambda _: _compile(),
    "a call for hidden states": lambda it: _call(it, output_hidden_states=True),
    "a text": lambda it: it.model.generate(
        **it.tokenizer("The Louvre", return_tensors="pt"), max_new_tokens=2, do_sample=False
    ),
    "declared weights that are put back": _restore,
    "a hook that is removed": _hook_for_a_while,
    "padding and truncation of a call": _pad,
    "an equal buffer": _register_again,
    "a library's module that is loaded later": lambda _: import_module(
        "transformers.models.cohere.modeling_cohere"
    ),
    "the first optimizer of its class": lambda _: torch.optim.Rprop([torch.zeros(1)]),
    "another attention function": lambda _: AttentionInterface.register("mine", nothing),
    "another variable of the environment": lambda _: os.environ.update({"NOT_OURS": "1"}),
    "what is found out once": lambda it: (it.shape, it.stop_ids, it.fingerprint),
}


@pytest.mark.parametrize("case", HARMLESS)
@pytest.mark.parametrize("whole", [False, True])
def test_what_leaves_nothing_behind_is_no_difference(
    loaded: LoadedModel, case: str, *, whole: bool
) -> None:
    before = Snapshot(loaded, [DOWN], whole=whole)
    HARMLESS[case](loaded)
    before.put_back()
    assert before.differences() == []
    assert loaded.tokenizer.backend_tokenizer.padding is None
    assert loaded.tokenizer.backend_tokenizer.truncation is None


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that a test may forget and import again."""
    name = "pytest_eac.reporting.causality"
    monkeypatch.setitem(sys.modules, name, import_module(name))
    monkeypatch.setattr(name, sys.modules[name])
    return name


def test_a_module_that_was_forgotten_may_be_imported_again(
    loaded: LoadedModel, module: str
) -> None:
    """A pytest run inside of a test forgets what it was the first to import."""
    del sys.modules[module]
    before = Snapshot(loaded)
    import_module(module)
    assert before.differences() == []


def test_a_module_that_is_imported_again_while_it_is_known_has_been_replaced(
    loaded: LoadedModel, module: str
) -> None:
    before = Snapshot(loaded)
    del sys.modules[module]
    import_module(module)
    assert before.differences() == [f"{module} (replaced)"]


def test_what_is_not_compared_goes_unnoticed(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docs/security.md says of the limits of the comparison is still so."""
    before = Snapshot(loaded)
    monkeypatch.setattr(ALL_ATTENTION_FUNCTIONS, "variable", 1, raising=False)
    monkeypatch.setattr(logging, "_srcfile", None)
    monkeypatch.setattr(modeling_llama, "logger", None)
    monkeypatch.syspath_prepend("/nowhere")
    assert before.differences() == []


def test_declared_weights_may_be_edited_but_must_end_as_they_were(loaded: LoadedModel) -> None:
    before = Snapshot(loaded, [DOWN])
    weight = loaded.model.get_submodule(DOWN).weight
    with torch.no_grad():
        weight[0, 0] += 1
    assert before.differences(edited=True) == []
    assert before.differences() == [f"the values of {DOWN}.weight"]
    weight.requires_grad_()
    assert before.differences(edited=True) == [
        f"requires_grad of {DOWN}.weight (was False, is True)"
    ]


def _spoil(loaded: LoadedModel, error: BaseException) -> None:
    with unchanged(loaded, "foo", remedy="Do better."):
        norm(loaded).register_forward_hook(nothing)
        torch.set_default_dtype(torch.float64)
        raise error


def test_a_block_that_raises_must_change_nothing_either(loaded: LoadedModel) -> None:
    with pytest.raises(SpoiledModelError) as raised:
        _spoil(loaded, EditError("no luck"))
    assert str(raised.value) == (
        "foo changed what it must leave as it was: forward hooks of model.norm; torch's default "
        "dtype (was torch.float32, is torch.float64). Later results would depend on that: the "
        "model must be loaded again, and nothing is kept. Do better."
    )
    assert isinstance(raised.value.__context__, EditError)
    assert torch.get_default_dtype() == torch.float32


def test_an_interrupted_block_is_not_blamed_but_the_process_is_put_back(
    loaded: LoadedModel,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _spoil(loaded, KeyboardInterrupt())
    assert torch.get_default_dtype() == torch.float32


def test_the_first_to_be_blamed_stays_so(loaded: LoadedModel) -> None:
    with (
        pytest.raises(SpoiledModelError, match=r"^inner changed"),
        unchanged(loaded, "outer"),
        restored(loaded.model, [DOWN]),  # fails, since the module is gone
        unchanged(loaded, "inner"),
    ):
        del mlp(loaded).down_proj


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("count", [1, 3, 8, 131_073])
def test_a_checksum_changes_with_every_byte(dtype: torch.dtype, count: int) -> None:
    tensor = torch.zeros(count, dtype=dtype)
    sums = {checksum(tensor)}
    for place in {0, count // 2, count - 1}:
        other = tensor.clone()
        other[place] = 1
        sums.add(checksum(other))
    assert len(sums) == 1 + len({0, count // 2, count - 1})
    assert checksum(torch.zeros(count + 1, dtype=dtype)[1:]) == checksum(tensor)
