"""GGUF files: metadata, descriptions of tensors, and their numbers, each of which may be wrong."""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

from benchmarks.fuzz import tiny
from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.models import import_architectures, use
from benchmarks.fuzz.mutate import changed_bytes
from pytest_eac.lm.loading.load import load_model

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY, _U64 = 4, 5, 6, 7, 8, 9, 10
_FORMATS = {_U32: "I", _I32: "i", _F32: "f", _BOOL: "?", _U64: "Q"}
_ALIGNMENT = 32
# (key, type, value); an array's type is (_ARRAY, type of its entries).
_KEYS: tuple[tuple[str, Any, Any], ...] = (
    ("general.architecture", _STRING, "llama"),
    ("general.name", _STRING, "tiny"),
    ("llama.block_count", _U32, 1),
    ("llama.context_length", _U32, 64),
    ("llama.embedding_length", _U32, tiny.SIZE),
    ("llama.feed_forward_length", _U32, tiny.INNER),
    ("llama.attention.head_count", _U32, tiny.HEADS),
    ("llama.attention.head_count_kv", _U32, 1),
    ("llama.attention.layer_norm_rms_epsilon", _F32, 1e-6),
    ("llama.rope.freq_base", _F32, 10000.0),
    ("llama.rope.dimension_count", _U32, tiny.SIZE // tiny.HEADS),
    ("llama.vocab_size", _U32, len(tiny.WORDS)),
    ("tokenizer.ggml.model", _STRING, "gpt2"),
    ("tokenizer.ggml.tokens", (_ARRAY, _STRING), tiny.WORDS),
    ("tokenizer.ggml.token_type", (_ARRAY, _I32), [3, 3, *([1] * (len(tiny.WORDS) - 2))]),
    ("tokenizer.ggml.merges", (_ARRAY, _STRING), [" ".join(pair) for pair in tiny.MERGES]),
    ("tokenizer.ggml.bos_token_id", _U32, 0),
    ("tokenizer.ggml.eos_token_id", _U32, 1),
    ("tokenizer.ggml.add_bos_token", _BOOL, True),
    ("tokenizer.chat_template", _STRING, tiny.TEMPLATE),
    ("general.alignment", _U32, _ALIGNMENT),
)
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "blk.0.attn_norm",
    "post_attention_layernorm": "blk.0.ffn_norm",
    **{f"self_attn.{each}_proj": f"blk.0.attn_{each}" for each in "qkv"},
    "self_attn.o_proj": "blk.0.attn_output",
    **{f"mlp.{each}_proj": f"blk.0.ffn_{each}" for each in ("gate", "up", "down")},
}
_COUNTS = (0, 1, 2, 3, 7, 1000, 10_001, 2**31 - 1, 2**31, 2**32 - 1)
_LARGE = (*_COUNTS, 2**60, 2**63, 2**64 - 1)
_TEXTS = (
    *("", "gemma2", "gemma3", "mixtral", "qwen2moe", "t5", "gpt2", "bert", "llama", "unigram"),
    *("\x1b[2J\n::error::x", "x" * 3000, "{{ 1/0 }}", "a b c", "\u0120", "no-such-thing"),
)


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data


def _plain(kind: int, value: Any) -> bytes:
    if kind == _STRING:
        return _text(str(value))
    try:
        return struct.pack(f"<{_FORMATS[kind]}", value)
    except struct.error:  # not of this type
        return struct.pack("<Q", 2**63)[: struct.calcsize(f"<{_FORMATS[kind]}")]


def _value(kind: Any, value: Any, count: int | None = None) -> bytes:
    if not isinstance(kind, tuple):
        return struct.pack("<I", kind) + _plain(kind, value)
    _, inner = kind
    head = struct.pack("<IIQ", _ARRAY, inner, len(value) if count is None else count)
    return head + b"".join(_plain(inner, each) for each in value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    """What the header says of a tensor; ``shape`` has the fastest dimension first."""

    name: str
    shape: tuple[int, ...]
    start: int
    kind: int = 0

    @property
    def described(self) -> bytes:
        """What the header says, as bytes."""
        shape = struct.pack(f"<I{len(self.shape)}Q", len(self.shape), *self.shape)
        return _text(self.name) + shape + struct.pack("<IQ", self.kind, self.start)


def _padded(shape: tuple[int, ...]) -> int:
    return -(-4 * prod(shape) // _ALIGNMENT) * _ALIGNMENT


@cache
def _tensors() -> tuple[_Tensor, ...]:
    found, start = [], 0
    for name, shape in tiny.SHAPES.items():
        short = name.removesuffix(".weight").removeprefix("model.layers.0.")
        found.append(_Tensor(name=f"{_NAMES[short]}.weight", shape=shape[::-1], start=start))
        start += _padded(shape)
    return tuple(found)


@cache
def _content() -> bytes:
    return b"".join(
        tiny.numbers(shape).ljust(_padded(shape), b"\0") for shape in tiny.SHAPES.values()
    )


def _keys(rng: random.Random) -> list[bytes]:
    found = []
    changed = rng.sample(range(len(_KEYS)), rng.choice((0, 1, 1, 2)))
    for n, (key, kind, value) in enumerate(_KEYS):
        written = _text(key) + _value(kind, value)
        if n in changed:
            how = rng.randrange(6)
            if how == 0:
                continue
            written = _text(rng.choice(_TEXTS)) + _value(kind, value) if how == 1 else written
            if isinstance(kind, tuple):
                items = [*value[: rng.randint(0, len(value))], *rng.choices((*_TEXTS, -1, 9), k=2)]
                count = rng.choice((None, rng.choice(_LARGE)))
                written = _text(key) + _value(kind, items if how > 3 else value, count)
            elif how > 2:
                new = rng.choice(_TEXTS if kind == _STRING else (*_COUNTS, 0.0, 1e30, float("nan")))
                written = _text(key) + _value(kind, new)
            elif how == 2:
                written = _text(key) + _value(rng.choice((_U32, _U64, _STRING, _BOOL)), 1)
        found.append(written)
    if rng.random() < 0.05:
        found.append(rng.choice(found))
    return found


def _changed_tensor(rng: random.Random, tensor: _Tensor) -> _Tensor:
    how = rng.randrange(4)
    if how == 0:
        return replace(tensor, shape=(*tensor.shape[:-1], rng.choice(_LARGE)))
    if how == 1:
        return replace(tensor, kind=rng.choice((1, 2, 8, 12, 14, 24, 28, 30, 31, 99)))
    if how == 2:
        return replace(tensor, start=rng.choice(_LARGE))
    return replace(tensor, name=rng.choice((*_TEXTS, "output.weight", "blk.7.ffn_up.weight")))


def _file(
    keys: Sequence[bytes], tensors: Sequence[_Tensor], counts: Sequence[int], version: int = 3
) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(keys)
    head += b"".join(each.described for each in tensors)
    return head + bytes(-len(head) % _ALIGNMENT) + _content()


def sound() -> bytes:
    """Return a GGUF file of the tiny model."""
    keys = [_text(key) + _value(kind, value) for key, kind, value in _KEYS]
    return _file(keys, _tensors(), (len(_tensors()), len(keys)))


def make(rng: random.Random) -> bytes:
    """Return a GGUF file of the tiny model with a few things wrong in it."""
    keys = _keys(rng)
    tensors = list(_tensors())
    if rng.random() < 0.3:
        at = rng.randrange(len(tensors))
        tensors[at] = _changed_tensor(rng, tensors[at])
    if rng.random() < 0.1:
        tensors.pop(rng.randrange(len(tensors)))
    counts = [len(tensors), len(keys)]
    if rng.random() < 0.1:
        counts[rng.randrange(2)] = rng.choice(_LARGE)
    found = _file(keys, tensors, counts, rng.choice(_COUNTS) if rng.random() < 0.03 else 3)
    if rng.random() < 0.15:
        return changed_bytes(rng, found)
    return found[: rng.randint(0, len(found))] if rng.random() < 0.15 else found


def _read(file: Path) -> None:
    cache_folder = file.parent / "cache"
    try:
        use(load_model(str(file), device="cpu", cache_dir=cache_folder))
    finally:
        shutil.rmtree(cache_folder, ignore_errors=True)


def _prepare(folder: Path) -> None:
    import_architectures()
    file = folder / "model.gguf"
    file.write_bytes(sound())
    _read(file)


KINDS = (Kind(name="gguf", file="model.gguf", make=make, read=_read, prepare=_prepare),)
