"""Small tokenizers of several kinds, trained on a few words of six languages."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = [
    ("The capital of Italy is", "Rome"),
    ("日本の首都は", "大阪"),
    ("法国的首都是", "罗马"),
    ("เมืองหลวงคือ", "กรุงเทพ"),
    ("한국의 수도는", "서울"),
    ("भारत की राजधानी", "दिल्ली"),
]
TEXTS = [f"{prompt} {answer}" for prompt, answer in PAIRS for _ in range(4)] + ["(a1."]
QUIET: dict[str, Any] = {"show_progress": False}


def _byte_level(normalizer: Any = None) -> Tokenizer:
    found = Tokenizer(models.BPE())
    if normalizer is not None:
        found.normalizer = normalizer
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    found.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, **QUIET)
    )
    return found


def _metaspace() -> Tokenizer:
    """As Llama 2 has it: a space of its own before every text, unknown characters in bytes."""
    found = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    found.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    found.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    known = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    found.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=500, special_tokens=known, **QUIET)
    )
    return found


def _unigram() -> Tokenizer:
    found = Tokenizer(models.Unigram())
    found.normalizer = normalizers.NFKC()
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    found.decoder = decoders.Metaspace()
    found.train_from_iterator(
        TEXTS,
        trainers.UnigramTrainer(
            vocab_size=200, special_tokens=["<unk>"], unk_token="<unk>", **QUIET
        ),
    )
    return found


def _lower_case() -> Tokenizer:
    found = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer()
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.decoder = decoders.WordPiece()
    found.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], **QUIET)
    )
    return found


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte-level": _byte_level,
    "NFC": lambda: _byte_level(normalizers.NFC()),
    "NFD": lambda: _byte_level(normalizers.NFD()),
    "NFKC": lambda: _byte_level(normalizers.NFKC()),
    "metaspace": _metaspace,
    "unigram": _unigram,
    "lower case": _lower_case,
}


@cache
def small_tokenizer(kind: str) -> Any:
    """Return a tokenizer of one of ``KINDS``."""
    return PreTrainedTokenizerFast(tokenizer_object=KINDS[kind]())
