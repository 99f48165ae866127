"""Small tokenizers of every kind that models have, trained in memory on a few lines of text."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
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
TEXTS = (
    "José lives in Paris; Beyoncé Knowles sang in Zürich, Ångström in Malmö. ﬁne ½ ² Å",
    "José also lives in Ấn Độ and the São Paulo of Lech Wałęsa, Dvořák and Erdoğan.",
    "서울은 대한민국의 수도이다 마실까해요 부산에서",
    "東京は日本の首都です。北京是中国的首都 アメリカ ガギグゲゴ",
    "กรุงเทพมหานคร เป็นเมืองหลวงของไทย ភ្នំពេញ ວຽງຈັນ",
    "Москва столица России, Йошкар-Ола город; Київ",
    "القاهرة عاصمة مصر מרכז ירושלים هو تهران پایتخت",
    "नई दिल्ली भारत की राजधानी है क्षत्रिय தமிழ் বাংলা",
    "👩‍👩‍👧‍👦 family 🇫🇷🇺🇸 flags 👍🏽 ❤️ and 😀 faces",
    "İstanbul'un nüfusu; Αθήνα η πρωτεύουσα Ελλάδας, Ἀθῆναι",
    *(f"{prompt} {answer}" for prompt, answer in PAIRS),
    "(a1.",
)
_BYTES = [f"<0x{number:02X}>" for number in range(256)]


def _byte_level(
    normalizer: Any = None, *, trim: bool = True, prefix: bool = False
) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _train(tokenizer, trainers.BpeTrainer, vocab_size=900, initial_alphabet=alphabet)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim, add_prefix_space=prefix)
    return _wrapped(tokenizer)


def _fallback(*normalizer: Any, metaspace: bool = True) -> PreTrainedTokenizerFast:
    """As SentencePiece's BPE: what is not in the vocabulary becomes bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if normalizer:
        tokenizer.normalizer = normalizers.Sequence(list(normalizer))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", *_BYTES]
    _train(
        tokenizer, trainers.BpeTrainer, vocab_size=650, special_tokens=special, limit_alphabet=99
    )
    _with_start(tokenizer)
    return _wrapped(tokenizer, unk_token="<unk>", bos_token="<s>")


def _unigram() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>"]
    _train(
        tokenizer,
        trainers.UnigramTrainer,
        vocab_size=500,
        special_tokens=special,
        unk_token="<unk>",
    )
    _with_start(tokenizer)
    return _wrapped(tokenizer, unk_token="<unk>", bos_token="<s>")


def _word_piece() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    _train(tokenizer, trainers.WordPieceTrainer, vocab_size=600, special_tokens=special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return _wrapped(tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def _with_start(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )


def _train(tokenizer: Tokenizer, trainer: Callable[..., Any], **options: Any) -> None:
    tokenizer.train_from_iterator(TEXTS, trainer(show_progress=False, **options))


def _wrapped(tokenizer: Tokenizer, **special: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "byte-plain": _byte_level,
    "byte-nfc": partial(_byte_level, normalizers.NFC(), trim=False),
    "byte-nfd": partial(_byte_level, normalizers.NFD()),
    "byte-nfkc": partial(_byte_level, normalizers.NFKC()),
    "byte-with-prefix": partial(_byte_level, normalizers.NFC(), prefix=True),
    "metaspace": _fallback,
    "metaspace-nfc": partial(_fallback, normalizers.NFC()),
    "llama-2": partial(
        _fallback, normalizers.Prepend("▁"), normalizers.Replace(" ", "▁"), metaspace=False
    ),
    "lower": partial(
        _fallback, normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents()
    ),
    "unigram-nfkc": _unigram,
    "bert": _word_piece,
}
"""Each kind by its name; ``byte-*`` are byte-level, so that no byte of a text is lost."""


@cache
def trained(kind: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of one of ``KINDS``."""
    return KINDS[kind]()
