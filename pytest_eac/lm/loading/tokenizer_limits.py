"""Bounds on what a tokenizer's files ask for, checked before any library reads them.

tokenizers carries out every step of a tokenizer, when it is loaded and for each text: 24 steps
that write each letter twice make 16 million letters of one. transformers tries each place
where a token may be split, and tokenizers keeps an entry for each letter of some vocabularies.

A text's growth is bounded by the largest factor of each step, in bytes of UTF-8, so that it holds
for all texts. Format: huggingface/tokenizers, ``tokenizer.json``.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from pytest_eac.data.files import open_regular
from pytest_eac.errors import ModelError
from pytest_eac.lm.loading.sentencepiece_file import is_sentencepiece, token_lengths
from pytest_eac.lm.loading.untrusted_files import TEXT_BYTES, read_object

MAX_STEPS = 1_000
"""How many steps one part of a tokenizer may have; known ones have up to about 30."""
MOST_GROWTH = {"normalizer": 4096, "pre_tokenizer": 64, "post_processor": 64, "decoder": 64}
"""How many bytes a part of a tokenizer may make of one; the normalizer of ALBERT can make 2,904."""
TOKEN_SPLITS = 2**30
"""What the squared lengths of a vocabulary's tokens may sum to; about 2^24 in a large one."""
SCORED_BYTES = 2**23
"""How long the tokens of a vocabulary with scores (Unigram) may be in sum; 250,000 have 2^21."""
ADDED_BYTES = 2**23
"""How long added tokens may be in sum, once they are normalized; tens of thousands have 2^20."""
AFFIX_BYTES = 1_000
"""How long what is added to the parts of a word may be; known ones have up to four letters."""
MAX_ID = 10_000_000
"""How large the id of a token may be: a list as long as that may be made."""

_FAST, _SETTINGS, _ADDED = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
_NESTED = ("normalizers", "pretokenizers", "processors", "decoders")
_AFFIXES = ("continuing_subword_prefix", "end_of_word_suffix")
# What one byte may become in each kind of step. Steps with texts of their own are not here.
_FACTORS: dict[str, float] = {
    **dict.fromkeys(("NFKD", "NFKC"), 11),  # U+FDFA: 3 bytes to 33
    **dict.fromkeys(("NFD", "NFC"), 3),  # U+0390: 2 bytes to 6
    **dict.fromkeys(("StripAccents", "Strip", "Nmt"), 1),
    "Lowercase": 1.5,  # U+0130: 2 bytes to 3
    "BertNormalizer": 7.5,  # of NFD, lower case, and spaces around ideographs
    "ByteLevel": 4,  # 2 bytes for each, after a space
    "Metaspace": 6,  # 3 for a space, after another
    **dict.fromkeys(
        ("Split", "Punctuation", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Digits"), 1
    ),
    **dict.fromkeys(("UnicodeScripts", "CharDelimiterSplit", "FixedLength"), 1),
    **dict.fromkeys(("BertProcessing", "RobertaProcessing"), 1),
    **dict.fromkeys(("ByteFallback", "Fuse"), 1),
    **dict.fromkeys(("WordPiece", "BPEDecoder", "CTC"), 2),  # a space after each
}
_UNKNOWN = 4
_DIGITS = 15
_PIECES = ("*.model", "*.tiktoken")
_SQUARED = "tokens whose lengths in bytes, squared, sum to"


def require_bounded(folder: Path) -> None:
    """Raise if a folder's tokenizer asks for more than any tokenizer needs.

    Raises:
        ModelError: names the file, what it asks for, and the limit.
    """
    growth = 1.0
    if (folder / _FAST).is_file():
        growth = _require_fast(folder / _FAST, read_object(folder / _FAST))
    for path in sorted(each for pattern in _PIECES for each in folder.glob(pattern)):
        _require_pieces(path)
    if (folder / "vocab.json").is_file():
        _require_vocabulary(folder / "vocab.json", {"vocab": read_object(folder / "vocab.json")})
    for name in (_SETTINGS, "special_tokens_map.json", _ADDED):
        if (folder / name).is_file():
            found = read_object(folder / name)
            found.pop("chat_template", None)
            _require_ids(folder / name, found.get("added_tokens_decoder"))
            _require_added(folder / name, [*found] if name == _ADDED else found, growth)


def require_bounded_texts(where: Path, tokenizer: Any) -> None:
    """Raise if a tokenizer made from another file than tokenizer.json grows texts too much.

    Args:
        where: its folder.
        tokenizer: as transformers has loaded it.

    Raises:
        ModelError: says what it asks for, and the limit.
    """
    if not (where / _FAST).is_file() and tokenizer.is_fast:
        _require_fast(where, json.loads(tokenizer.backend_tokenizer.to_str()))


def _require_fast(where: Path, tokenizer: Mapping[str, Any]) -> float:
    """Raise if tokenizer.json exceeds a bound; return the growth by its normalizer."""
    growth = _require_steps(where, tokenizer)
    _require_vocabulary(where, tokenizer.get("model"))
    _require_added(where, tokenizer.get("added_tokens"), growth)
    return growth


def _require_pieces(path: Path) -> None:
    """Raise if the tokens of a sentencepiece model, or of a list of tiktoken, are too long."""
    with open_regular(path) as file:
        data = file.read(TEXT_BYTES + 1)
    _require(path, "a file of as many bytes as", len(data), TEXT_BYTES)
    total = squares = 0
    for length in token_lengths(data) if is_sentencepiece(data) else map(len, BytesIO(data)):
        total += length
        squares += length**2
    _require(path, _SQUARED, squares, TOKEN_SPLITS)
    _require(path, "tokens of as many bytes as", total, SCORED_BYTES)


def _require_steps(where: Path, tokenizer: Mapping[str, Any]) -> float:
    """Raise if a part has too many steps or grows texts too much; return the first growth."""
    found = {}
    for part, most in MOST_GROWTH.items():
        steps = list(_steps(tokenizer.get(part)))
        if len(steps) > MAX_STEPS:
            raise ModelError(
                f"{where}: found {part} of {len(steps):,} steps, expected at most {MAX_STEPS:,}"
            )
        grown = 1.0
        for factor, more in map(_grows, steps):
            grown = grown * factor + more
        found[part] = grown
        if grown > most:
            raise ModelError(
                f"{where}: found {part} that can make {grown:,.0f} bytes of one, expected at most "
                f"{most:,}; take out the steps that replace a text by a longer one"
            )
    return found["normalizer"]


def _steps(part: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the steps of a part in their order, those of nested sequences in their place."""
    left = [part]
    while left:
        step = left.pop()
        if not isinstance(step, dict):
            continue
        inner = [each for name in _NESTED for each in _list(step.get(name))]
        left.extend(reversed(inner))
        if not inner or step.keys() - {"type", *_NESTED}:
            yield step


def _grows(step: Mapping[str, Any]) -> tuple[float, int]:
    """Return what a step multiplies the length of a text by, and what it adds then, at most."""
    if (kind := str(step.get("type"))) in _FACTORS:
        return _FACTORS[kind], 0
    # By their keys: tokenizers reads steps without a type, too.
    if "content" in step:
        return _replaces(step.get("pattern"), _bytes(step["content"]))
    if "prepend" in step:
        return 1, _bytes(step["prepend"])
    if "single" in step:
        return max(1, *(len(_list(step.get(each))) for each in ("single", "pair"))), 0
    if "precompiled_charsmap" in step:
        return _longest(step["precompiled_charsmap"]), 0
    return _UNKNOWN, 0


def _replaces(pattern: Any, content: int) -> tuple[float, int]:
    text = pattern.get("String") if isinstance(pattern, dict) else pattern
    if isinstance(text, str) and text:
        return max(1, content / _bytes(text)), 0
    return 1 + content, content  # an expression may match between any two letters


def _longest(charsmap: Any) -> int:
    """Return the length of the longest text in a map of sentencepiece: a trie, and the texts."""
    try:
        data = base64.b64decode(charsmap)
    except (TypeError, ValueError):
        return 1  # tokenizers refuses it
    trie = 4 + int.from_bytes(data[:4], "little")
    return max(1, *(len(each) for each in data[trie:].split(b"\0")))


def _require_vocabulary(where: Path, model: Any) -> None:
    model = model if isinstance(model, dict) else {}
    vocabulary = model.get("vocab")
    scored = [token for each in _list(vocabulary) for token in _list(each)[:1]]
    lengths = [_bytes(token) for token in (*_keys(vocabulary), *scored)]
    _require(where, _SQUARED, sum(each**2 for each in lengths), TOKEN_SPLITS)
    if scored:
        _require(where, "tokens with scores of as many bytes as", sum(lengths), SCORED_BYTES)
    if isinstance(vocabulary, dict):
        ids = [each for each in vocabulary.values() if isinstance(each, int)]
        _require(where, "a vocabulary with an id of", max(ids, default=0), MAX_ID)
    for name in _AFFIXES:
        _require(where, f"{name} of as many bytes as", _bytes(model.get(name)), AFFIX_BYTES)


def _require_added(where: Path, added: Any, growth: float) -> None:
    """Raise if added tokens are too long; they are normalized unless they say otherwise."""
    length, left = 0.0, [added]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            left.extend(each for name, each in part.items() if name != "content")
            factor = 1 if part.get("normalized") is False else growth
            length += factor * _bytes(part.get("content"))
        elif isinstance(part, list):
            left.extend(part)
        else:
            length += growth * _bytes(part)
    _require(where, "added tokens that normalized have as many bytes as", int(length), ADDED_BYTES)


def _require_ids(where: Path, added: Any) -> None:
    ids = [each for each in _keys(added) if each.isdecimal()]
    highest = max((int(each) if len(each) < _DIGITS else MAX_ID**2 for each in ids), default=0)
    _require(where, "added_tokens_decoder with an id of", highest, MAX_ID)


def _require(where: Path, what: str, found: int, most: int) -> None:
    if found > most:
        raise ModelError(f"{where}: found {what} {found:,}, expected at most {most:,}")


def _keys(found: Any) -> list[str]:
    return list(found) if isinstance(found, dict) else []


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _bytes(found: Any) -> int:
    return len(found.encode("utf-8", "surrogatepass")) if isinstance(found, str) else 0
