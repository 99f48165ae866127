"""Keys to sign with, made for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    from pathlib import Path


def make_key(
    folder: Path,
    name: str = "release",
    *,
    password: str | None = None,
    curve: ec.EllipticCurve | None = None,
    is_rsa: bool = False,
) -> tuple[Path, Path]:
    """Write a private key, ``NAME.pem``, and its public key, ``NAME.pub``."""
    key: Any = ec.generate_private_key(curve or ec.SECP256R1())
    if is_rsa:
        key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    hidden: Any = serialization.NoEncryption()
    if password is not None:
        hidden = serialization.BestAvailableEncryption(password.encode())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    )
    private.chmod(0o600)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public
