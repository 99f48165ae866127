"""Files of models: each is loaded as that of a base, and compared as that of a release."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

from benchmarks.fuzz import tiny
from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.mutate import changed_bytes, changed_text, changed_value
from pytest_eac.lm.chat import TEXT_CHARACTERS
from pytest_eac.lm.chat_process import render
from pytest_eac.lm.checkpoints.configuration import compare_companions
from pytest_eac.lm.layout import LAYOUTS
from pytest_eac.lm.library_calls import quiet
from pytest_eac.lm.loading.load import load_model
from pytest_eac.lm.loading.pretrained import load_tokenizer
from pytest_eac.lm.tokens import continuation, decode, encode
from pytest_eac.measuring.checkpoint_diff import compare_checkpoints
from pytest_eac.text.spacing import Continuation

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from pytest_eac.lm.loading.load import LoadedModel

# Values that mean something in these files, beside those that are odd anywhere.
_VALUES: tuple[Any, ...] = (
    *("8", "1e9", "float16", "float4", "torch.float32", "cuda", "gelu_new", "dynamic", "yarn"),
    *("gpt2", "gemma3", "gemma2", "mixtral", "bert", "t5", "whisper", "flash_attention_2"),
    *("org/kernel", "auto_map", "x--y.Z", "../config.json", "model.bin", "WordLevel", "Unigram"),
    *(3, 7, 16, 33, 34, 35, 100, 10_001, 2**31, 2**32, 2**63, 2**64, -(2**63), 1e-320, 0.1),
    *("<s>", "</s>", "\u0120", "a" * 300, "{{", "{% for x in range(9) %}{% endfor %}", "(a*)*b"),
)  # fmt: skip
_CONFIG_MORE: tuple[tuple[str, Any], ...] = (
    ("text_config", tiny.CONFIG),
    ("auto_map", {"AutoConfig": "x.Y", "AutoModelForCausalLM": "x.Z"}),
    ("quantization_config", {"quant_method": "gptq", "bits": 4}),
    ("quantization_config", {"quant_method": "bitsandbytes", "load_in_4bit": True}),
    ("quantization_config", {"quant_method": "fp8"}),
    ("rope_scaling", {"type": "linear", "factor": 2.0}),
    ("rope_scaling", {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}),
    ("rope_parameters", {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}),
    ("attn_implementation", "flash_attention_3"),
    ("_attn_implementation", "eager"),
    ("layer_types", ["full_attention"]),
    ("sliding_window", 4),
    ("num_experts", 4),
    ("id2label", {"0": "a"}),
    ("pruned_heads", {"0": [0]}),
    ("torch_dtype", "bfloat16"),
    ("tie_word_embeddings", True),
    ("output_attentions", True),
    ("return_dict", False),
    ("is_encoder_decoder", True),
    ("base_model_tp_plan", {"layers.*": "colwise"}),
    ("transformers_weights", "x.bin"),
)
_TOKENIZER_MORE: tuple[tuple[str, Any], ...] = (
    ("normalizer", {"type": "Replace", "pattern": {"Regex": "(a|a)*$"}, "content": "b"}),
    ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(?<=a)"}, "behavior": "Isolated"}),
    ("pre_tokenizer", {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}),
    ("truncation", {"max_length": 3, "strategy": "LongestFirst", "stride": 1}),
    ("padding", {"strategy": {"Fixed": 9}, "direction": "Left", "pad_id": 77, "pad_token": "x"}),
    ("decoder", {"type": "Strip", "content": "a", "start": 9, "stop": 9}),
    ("post_processor", {"type": "RobertaProcessing", "sep": ["</s>", 99], "cls": ["<s>", 0]}),
    ("model", {"type": "WordLevel", "vocab": {"a": 0, "the": 99}, "unk_token": "a"}),
    ("model", {"type": "Unigram", "vocab": [["a", -1.0], ["b", 0.0]], "unk_id": 7}),
    ("model", {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "[UNK]"}),
)
_SETTINGS_MORE: tuple[tuple[str, Any], ...] = (
    *(("tokenizer_class", name) for name in ("LlamaTokenizerFast", "GPT2Tokenizer", "T5Tokenizer")),
    ("tokenizer_class", "BertTokenizer"),
    ("auto_map", {"AutoTokenizer": ["x.Y", None]}),
    ("chat_template", [{"name": "default", "template": "{{ 1/0 }}"}]),
    ("chat_template", {"default": "{{ messages }}"}),
    ("split_special_tokens", True),
    ("extra_special_tokens", {"image_token": "<img>"}),
    ("added_tokens_decoder", {"99": {"content": "the", "special": False}}),
    ("vocab_file", "../../x"),
    ("tokenizer_file", "/etc/passwd"),
    ("from_slow", True),
    ("legacy", False),
    ("add_prefix_space", True),
    ("max_length", 2),
)
_TEMPLATES = (
    tiny.TEMPLATE,
    "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}",
    "{%- macro f(x) %}{{ x|tojson }}{% endmacro %}{{ f(messages) }}{{ strftime_now('%Y') }}",
    "{% generation %}{{ messages[0].content.split(' ')[-1][::-1] }}{% endgeneration %}",
    "{% set ns = namespace(n=0) %}{% for i in range(9) %}{% set ns.n = i %}{% endfor %}{{ ns.n }}",
    "{{ cycler('a').next() }}{{ ''.__class__.__mro__ }}{{ lipsum() }}",
)  # fmt: skip
_MESSAGES = [{"role": "user", "content": "the\x1b cat"}]


def _written(rng: random.Random, value: Any) -> bytes:
    text = json.dumps(value)
    if rng.random() < 0.15:
        text = changed_text(rng, text)
    data = text.encode("utf-8", "surrogatepass")
    return changed_bytes(rng, data) if rng.random() < 0.15 else data


def _json(value: Any, more: Sequence[tuple[str, Any]] = ()) -> Callable[[random.Random], bytes]:
    """Return what makes a file of a JSON value, which may be given further keys."""

    def make(rng: random.Random) -> bytes:
        found = {**value, **dict(rng.sample(more, rng.choice((0, 0, 1, 2)) if more else 0))}
        if rng.random() < 0.9:
            found = changed_value(rng, found, _VALUES)
        return nested(rng) if rng.random() < 0.01 else _written(rng, found)

    return make


def nested(rng: random.Random) -> bytes:
    """Return JSON that is nested deeply."""
    depth = rng.choice((50, 500, 900, 2_000, 100_000))
    return b'{"a":' * depth + b"1" + b"}" * depth


def _template(rng: random.Random) -> bytes:
    text = rng.choice(_TEMPLATES)
    return changed_bytes(rng, changed_text(rng, text).encode("utf-8", "surrogatepass"))


def _weights(rng: random.Random) -> bytes:
    """Change what the header says, what it is written as, or how long it is said to be."""
    content = tiny.data()
    value = tiny.header()
    if rng.random() < 0.1:
        value.pop(rng.choice(list(value)))
    if rng.random() < 0.1:
        value["extra"] = {"dtype": "F32", "shape": [2**60, 0], "data_offsets": [0, 0]}
    if rng.random() < 0.8:
        types = ("F4", "F8_E4M3", "BF16", "I64", "BOOL", "F6_E2M3", "C64", [0, 0], [2**60, 0])
        value = changed_value(rng, value, (*types, *_VALUES))
    head = nested(rng) if rng.random() < 0.02 else _written(rng, value)
    found = tiny.safetensors(head, content)
    how = rng.randrange(8)
    if how == 0:
        found = (
            rng.choice((0, 1, 7, len(head) - 1, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little")
            + found[8:]
        )
    elif how == 1:
        found = found[: rng.randint(0, len(found))]
    elif how == 2:
        found += bytes(rng.randint(1, 9))
    return found


def _index(rng: random.Random) -> bytes:
    names = dict.fromkeys(tiny.SHAPES, "part.safetensors")
    return _json({"metadata": {"total_size": 9}, "weight_map": names})(rng)


def _save(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _prepare(folder: Path) -> None:
    _save(folder / "base", tiny.files())
    _save(folder / "model", tiny.files())
    import_architectures()


@cache
def import_architectures() -> None:
    """Import what transformers imports when it is first needed, which may take seconds."""
    for name in (*LAYOUTS, *filter(CONFIG_MAPPING.__contains__, _VALUES)):
        if kind := MODEL_FOR_CAUSAL_LM_MAPPING.get(CONFIG_MAPPING[name], None):
            kind.__name__  # noqa: B018 - looking it up imports it
    with TemporaryDirectory() as folder:
        _save(Path(folder) / "model", tiny.files())
        use(load_model(f"{folder}/model", device="cpu"))


def _prepare_index(folder: Path) -> None:
    _prepare(folder)
    weights = folder / "model" / "model.safetensors"
    weights.rename(weights.with_name("part.safetensors"))


def _without(folder: Path, keys: Sequence[str]) -> None:
    """Write the model with settings of its tokenizer that leave keys to another file."""
    _prepare(folder)
    settings = {key: value for key, value in tiny.TOKENIZER_CONFIG.items() if key not in keys}
    (folder / "model" / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


def _prepare_template(folder: Path) -> None:
    _without(folder, ["chat_template"])


def _prepare_special_tokens(folder: Path) -> None:
    _without(folder, ["added_tokens_decoder", *tiny.SPECIAL_TOKENS])


def _compare(file: Path) -> None:
    """Compare a release that has the file with its base."""
    "\n".join(compare_companions(file.parents[1] / "base", file.parent)).encode(
        "utf-8", "backslashreplace"
    )


def _read(file: Path) -> None:
    """Compare a release that has the file with its base, then load it as a base."""
    _compare(file)
    use(load_model(str(file.parent), device="cpu"))


def _read_weights(file: Path) -> None:
    compare_checkpoints(file.parents[1] / "base", file.parent)
    use(load_model(str(file.parent), device="cpu"))


def _read_tokenizer(file: Path) -> None:
    """Do the same with a file of a tokenizer, for which no model is needed."""
    _compare(file)
    where = {"pretrained_model_name_or_path": str(file.parent), "trust_remote_code": False}
    with quiet():
        use_tokenizer(load_tokenizer("model", where))


def _read_template(file: Path) -> None:
    _read_tokenizer(file)
    setting = {"template": file.read_text("utf-8"), "special": {"bos_token": "<s>"}}
    json.dumps(render(setting, {"messages": _MESSAGES, "answer": True}, TEXT_CHARACTERS))


def use_tokenizer(tokenizer: Any) -> list[int]:
    """Encode and decode with a tokenizer; return ids of a text."""
    answer = continuation(tokenizer, Continuation(" the"))
    ids = [*encode(tokenizer, "The the abc"), *answer]
    decode(tokenizer, ids, special=False)
    return ids


def use(loaded: LoadedModel) -> None:
    """Do with a loaded model what is done before the first edit, and run it once."""
    json.dumps([loaded.shape, sorted(loaded.stop_ids)])
    ids = use_tokenizer(loaded.tokenizer)
    loaded.require_room(ids, 1)
    with torch.no_grad():
        loaded.model(**loaded.pad([ids, ids[:1]], side="left").as_inputs())


def _of_model(name: str, file: str, make: Callable[[random.Random], bytes], **more: Any) -> Kind:
    given = {"read": _read, "prepare": _prepare, **more}
    return Kind(name=name, file=f"model/{file}", make=make, **given)


KINDS = (
    _of_model("config", "config.json", _json(tiny.CONFIG, _CONFIG_MORE)),
    _of_model("generation", "generation_config.json", _json(tiny.GENERATION)),
    _of_model(
        "tokenizer",
        "tokenizer.json",
        _json(tiny.TOKENIZER, _TOKENIZER_MORE),
        read=_read_tokenizer,
    ),
    _of_model(
        "tokenizer-config",
        "tokenizer_config.json",
        _json(tiny.TOKENIZER_CONFIG, _SETTINGS_MORE),
        read=_read_tokenizer,
    ),
    _of_model(
        "special-tokens",
        "special_tokens_map.json",
        _json(tiny.SPECIAL_TOKENS),
        read=_read_tokenizer,
        prepare=_prepare_special_tokens,
    ),
    _of_model(
        "template",
        "chat_template.jinja",
        _template,
        prepare=_prepare_template,
        read=_read_template,
    ),
    _of_model("weights", "model.safetensors", _weights, read=_read_weights),
    _of_model(
        "index", "model.safetensors.index.json", _index, prepare=_prepare_index, read=_read_weights
    ),
    _of_model("adapter", "adapter_config.json", _json(tiny.ADAPTER)),
)
