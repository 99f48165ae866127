"""Public keys that a spec or an option names: PEM files with a key of an elliptic curve.

The files are checked without a package for cryptography, so that a spec can be validated where
nothing is verified.
"""

import base64
import re
from pathlib import Path

from pytest_eac.data.files import file_trouble, open_regular

KEY_BYTES = 2**16
"""How large the file of a key may be."""
# The curves that model-signing has, by the object identifier that a DER-encoded key holds.
CURVES = {
    "P-256": bytes.fromhex("06082a8648ce3d030107"),
    "P-384": bytes.fromhex("06052b81040022"),
    "P-521": bytes.fromhex("06052b81040023"),
}
_EXPECTED = f"the PEM file of a public key ({', '.join(CURVES)})"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)
_LONGEST = 1000  # bytes of a public key, of which the largest curve needs 158


def public_key_trouble(path: Path) -> str | None:
    """Say why a file is not the PEM file of a public key that can be used, if so."""
    if trouble := file_trouble(path, _EXPECTED):
        return trouble
    try:
        with open_regular(path) as file:
            data = file.read(KEY_BYTES + 1)
    except OSError as error:
        return f"which cannot be read ({error.strerror}): expected {_EXPECTED}"
    blocks = {} if len(data) > KEY_BYTES else dict(_BLOCK.findall(data))
    if any(name.endswith(b"PRIVATE KEY") for name in blocks):
        return (
            f"which holds a private key: expected {_EXPECTED}; keep the private key secret, and "
            "write its public key to a file with openssl pkey -in KEY -pubout -out KEY.pub"
        )
    if b"PUBLIC KEY" not in blocks:
        return f"which holds no public key: expected {_EXPECTED}"
    if not any(curve in _decoded(blocks[b"PUBLIC KEY"]) for curve in CURVES.values()):
        return f"which holds a key of another kind, or a damaged one: expected {_EXPECTED}"
    return None


def _decoded(text: bytes) -> bytes:
    """Return the bytes of a PEM block; none if it is damaged, or longer than a key is."""
    try:
        key = base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError:
        return b""
    return key if len(key) <= _LONGEST else b""
