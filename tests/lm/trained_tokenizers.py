"""Small tokenizers of every kind that models have, trained in memory on a few lines of text."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Callable

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
)
_BYTES = [f"<0x{number:02X}>" for number in range(256)]


@cache
def trained() -> dict[str, PreTrainedTokenizerFast]:
    """The tokenizers by name; ``byte-*`` are byte-level, so that no byte of a text is lost."""
    lower = [normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents()]
    llama = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    return {
        "byte-plain": _byte_level(None, trim=True),
        "byte-nfc": _byte_level(normalizers.NFC(), trim=False),
        "byte-nfd": _byte_level(normalizers.NFD(), trim=True),
        "byte-nfkc": _byte_level(normalizers.NFKC(), trim=True),
        "byte-with-prefix": _byte_level(normalizers.NFC(), trim=True, prefix=True),
        "metaspace": _fallback(None, pre_tokenizers.Metaspace()),
        "metaspace-nfc": _fallback(normalizers.NFC(), pre_tokenizers.Metaspace()),
        "llama-2": _fallback(normalizers.Sequence(llama), None),
        "lower": _fallback(normalizers.Sequence(lower), pre_tokenizers.Metaspace()),
        "unigram-nfkc": _unigram(),
        "bert": _word_piece(),
    }


def _wrapped(tokenizer: Tokenizer, **special: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def _byte_level(normalizer: Any, *, trim: bool, prefix: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _train(tokenizer, trainers.BpeTrainer, vocab_size=900, initial_alphabet=alphabet)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim, add_prefix_space=prefix)
    return _wrapped(tokenizer)


def _fallback(normalizer: Any, pre: Any) -> PreTrainedTokenizerFast:
    """As SentencePiece's BPE: what is not in the vocabulary becomes bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
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
