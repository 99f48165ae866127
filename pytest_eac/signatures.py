"""Signatures over all files of a folder, in the format of OpenSSF model-signing: verification.

model-signing (the extra ``sign``) decides whether a signature is one by a given key, without a
network. What it signs is compared with the files here, because a release may be links into the
cache of the hub and lack files that nobody reads, and because files that are *not* signed must be
found.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eac.data.files import file_sha256, open_regular
from pytest_eac.errors import ModelError, SettingsError, first_line
from pytest_eac.lm.loading.model_folder import SIGNATURE_BYTES
from pytest_eac.lm.loading.untrusted_files import files_below, require_inside
from pytest_eac.records.manifest import SIGNATURE
from pytest_eac.spec.schema.public_keys import public_key_trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from model_signing import manifest

    from pytest_eac.lm.loading.model_folder import ListedFile

# What the hub, git and the clients of the hub add to a folder, and what people edit there: the
# model card. Exports are signed without these, and they may be unsigned in any release.
_UNSIGNED_FILES = (".gitattributes", ".gitignore", "README.md")
_UNSIGNED_FOLDERS = (".cache/huggingface", ".git", ".github")
UNSIGNED = (*_UNSIGNED_FILES, *_UNSIGNED_FOLDERS)


def check_signature(
    folder: Path, keys: Sequence[str | Path], *, files: Iterable[ListedFile] | None = ()
) -> tuple[str, ...]:
    """Return what is wrong with the signature of a folder, a line each; empty if it holds.

    It holds if one of the keys has signed every file, and each is what was signed. Unsigned may be
    the model card and what git and the clients of the hub add.

    Args:
        folder: a release or an export.
        keys: PEM files of public keys.
        files: what its repository lists. One that is listed and not in the folder was not fetched,
            because nothing reads it; it is compared by the repository's SHA-256 if there is one.
            ``None`` if the list is not known: then no file is reported as missing.

    Raises:
        SettingsError: model-signing is not installed, or a key cannot be used.
    """
    return _check(folder, keys, files)[1]


def require_signed(folder: Path, keys: Sequence[Path]) -> dict[str, str]:
    """Raise unless a folder is signed with one of these keys; return the SHA-256 of each file.

    A file that is read later must be compared with its hash: it may have been replaced.

    Raises:
        ModelError: lists what is wrong with its signature.
        SettingsError: as for :func:`check_signature`.
    """
    signed, found = _check(folder, keys, ())
    if found:
        raise ModelError("\n".join(f"{folder}/{each}" for each in found))
    return signed


def _check(
    folder: Path, keys: Sequence[str | Path], files: Iterable[ListedFile] | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the hashes that were signed, and what is wrong with them or the signature."""
    require_installed()
    for key in keys:
        if trouble := public_key_trouble(Path(key)):
            raise SettingsError(f"found {str(key)!r}, {trouble}")
    listed = {each.name: each for each in files or ()}
    try:
        _require_size(folder, listed.get(SIGNATURE))
        signed = _hashes(_verified(folder / SIGNATURE, [Path(key) for key in keys]))
        here = {name for name, _ in files_below(folder)}
    except (ValueError, ModelError) as error:
        return {}, (f"{SIGNATURE}: {error}",)
    if files is None:
        signed = {name: each for name, each in signed.items() if name in here}
    return signed, tuple(_differences(folder, signed, here, listed))


def require_installed() -> None:
    """Raise a SettingsError if model-signing is not installed, or cannot be imported."""
    try:
        import model_signing  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"signatures need the package model-signing ({error}); run: "
            "pip install 'pytest-eac[sign]'"
        ) from None


def _require_size(folder: Path, listed: ListedFile | None) -> None:
    """Raise a ValueError if there is no signature, or a file too large to be one."""
    path = folder / SIGNATURE
    size = listed.size if listed else 0
    try:
        require_inside(folder, [SIGNATURE])
        with open_regular(path) as file:
            size = len(file.read(SIGNATURE_BYTES + 1))
    except FileNotFoundError:
        if not listed:
            raise ValueError("is missing: the files are not signed, as is asked for") from None
    except ModelError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if size > SIGNATURE_BYTES:
        raise ValueError(f"is larger than {SIGNATURE_BYTES:,} bytes, which no signature is")


def _verified(path: Path, keys: Sequence[Path]) -> manifest.Manifest:
    """Return the hashes that one of the keys has signed, or raise a ValueError.

    The verifier is taken from inside model-signing: its public way compares the files as well, and
    its result is a text. The supported versions are therefore narrow (pyproject.toml).
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing._signing.sign_ec_key import Verifier
    from model_signing._signing.sign_sigstore_pb import Signature

    try:
        signature = Signature.read(path)
    except Exception as error:  # whatever a broken file makes it raise
        raise ValueError(f"is not a signature of model-signing: {first_line(error)}") from None
    for key in keys:
        try:
            verifier = Verifier(key)
        except Exception as error:
            raise SettingsError(f"{key}: is not a usable key: {first_line(error)}") from None
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints advice
                return verifier.verify(signature)
        except InvalidSignature:
            continue
        except Exception as error:  # likewise
            if not str(error).startswith("Key mismatch"):
                text = f"is not a signature of model-signing: {first_line(error)}"
                raise ValueError(text) from None
    names = " or ".join(key.name for key in keys)
    raise ValueError(
        f"is not a signature by {names}: another key was used, or the signature was altered"
    )


def _hashes(signed: manifest.Manifest) -> dict[str, str]:
    """Return the SHA-256 of each signed file by its name, or raise a ValueError."""
    found = {each.identifier: each.digest for each in signed.resource_descriptors()}
    kinds = {each.algorithm for each in found.values()}
    if signed.serialization_type.get("method") != "files" or kinds - {"sha256"}:
        raise ValueError(
            "has hashes of another kind; expected SHA-256 of whole files, model-signing's default"
        )
    return {name: digest.digest_hex for name, digest in found.items()}


def _differences(
    folder: Path, signed: Mapping[str, str], here: set[str], listed: Mapping[str, ListedFile]
) -> Iterator[str]:
    for name in sorted((signed.keys() | here | listed.keys()) - {SIGNATURE}):
        if name not in signed:
            if not _may_be_unsigned(name):
                yield f"{name}: is not signed; {SIGNATURE} does not list it"
        elif name in here:
            yield from _altered(folder, name, signed[name])
        elif name not in listed:
            yield f"{name}: is missing; {SIGNATURE} lists it"
        elif (known := listed[name].hash) and len(known) == 64 and known != signed[name]:
            yield _other(name, signed[name], known)


def _may_be_unsigned(name: str) -> bool:
    return name in _UNSIGNED_FILES or name.startswith(
        tuple(f"{each}/" for each in _UNSIGNED_FOLDERS)
    )


def _altered(folder: Path, name: str, expected: str) -> Iterator[str]:
    path = folder / name
    try:
        require_inside(folder, [name])
        found = file_sha256(path)
    except ModelError as error:
        yield str(error).removeprefix(f"{folder}/")
    except OSError as error:
        yield f"{name}: cannot be read: {error.strerror}"
    else:
        if found != expected:
            yield _other(name, expected, found)


def _other(name: str, expected: str, found: str) -> str:
    return f"{name}: is not what was signed (sha256 {expected[:12]}), but {found[:12]}"
