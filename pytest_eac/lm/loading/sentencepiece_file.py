"""The tokens in a sentencepiece model, without reading it as one.

It is a message of protocol buffers, of which field 1 is a token with its score and type
(https://protobuf.dev/programming-guides/encoding/).
"""

from collections.abc import Iterator

# How a message that begins with a token begins, and kinds of fields.
_TOKEN_FIELD, _VARINT, _DELIMITED, _FIXED = b"\n", 0, 2, {1: 8, 5: 4}


def is_sentencepiece(data: bytes) -> bool:
    """Say whether a file begins with a token, as models of sentencepiece do."""
    return data[:1] == _TOKEN_FIELD


def token_lengths(data: bytes) -> Iterator[int]:
    """Yield the lengths of the tokens in bytes, each with its score and type."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind, size = tag & 7, _FIXED.get(tag & 7, 0)
        if kind in {_VARINT, _DELIMITED}:
            number, at = _varint(data, at)
            size = number if kind == _DELIMITED else 0
        if tag >> 3 == 1:
            yield size
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it."""
    found = 0
    for shift, byte in enumerate(data[at : at + 10]):
        found |= (byte & 127) << 7 * shift
        if byte < 128:
            return found, at + shift + 1
    return found, len(data)
