"""Exports are signed in the format of OpenSSF model-signing, with a private key on this machine."""

from __future__ import annotations

import os
import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pytest_eac.data.files import file_trouble, open_regular
from pytest_eac.errors import SettingsError
from pytest_eac.records.manifest import SIGNATURE
from pytest_eac.signatures import UNSIGNED, require_installed
from pytest_eac.spec.schema.public_keys import CURVES, KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from model_signing import signing

PASSWORD = "PYTEST_EAC_SIGN_PASSWORD"  # noqa: S105, the name of a variable
_CURVE_NAMES = {"secp256r1", "secp384r1", "secp521r1"}


def open_signer(path: Path) -> signing.Config:
    """Read a private key and return what signs with it: an unusable key is an error at once.

    The password of an encrypted key is in the environment, in ``PYTEST_EAC_SIGN_PASSWORD``.

    Args:
        path: a PEM file with a key of the curve P-256, P-384 or P-521.

    Raises:
        SettingsError: model-signing is not installed, or the file is not such a key, can be read by
            every user of the machine, or cannot be decrypted.
    """
    require_installed()
    from model_signing import signing

    password = _password_of(path)
    # Declared as text, but handed on to cryptography, which takes bytes alone.
    return signing.Config().use_elliptic_key_signer(
        private_key=path,
        password=password,  # type: ignore[arg-type]
    )


def sign_folder(folder: Path, signer: signing.Config, *, name: str) -> None:
    """Sign all files of a folder, and write the signature to ``model.sig`` in it.

    Left out are the model card and what git and the clients of the hub add; the signature lists
    them, so that other verifiers do the same.

    Args:
        folder: whose files are complete.
        signer: from :func:`open_signer`.
        name: what the signature calls the model.

    Raises:
        OSError: a file cannot be read, or the signature not be written.
    """
    from model_signing import hashing, manifest

    class Named(hashing.Config):
        """Hashes a folder that is yet to be renamed."""

        def hash(
            self,
            model_path: hashing.PathLike,
            *,
            files_to_hash: Iterable[hashing.PathLike] | None = None,
        ) -> manifest.Manifest:
            found = super().hash(model_path, files_to_hash=files_to_hash)
            items = [
                manifest.FileManifestItem(path=PurePosixPath(each.identifier), digest=each.digest)
                for each in found.resource_descriptors()
            ]
            kind = manifest.SerializationType.from_args(found.serialization_type)
            return manifest.Manifest(name, items, kind)

    hashed = Named()  # type: ignore[no-untyped-call]
    hashed.set_ignored_paths(paths=[*UNSIGNED, SIGNATURE])
    signer.set_hashing_config(hashed).sign(folder, folder / SIGNATURE)


def _password_of(path: Path) -> bytes | None:
    """Return a private key's password, with which it has been read; ``None`` if it has none.

    Raises:
        SettingsError: the key cannot be used.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    expected = f"the PEM file of a private key ({', '.join(CURVES)})"
    data = _read_private(path, expected)
    password = None
    try:
        try:
            key = load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            password = os.fsencode(os.environ.get(PASSWORD, ""))
            if not password:
                raise SettingsError(
                    f"{path}: is encrypted; put its password into the environment as {PASSWORD}"
                ) from None
            key = load_pem_private_key(data, password)
    except SettingsError:
        raise
    except Exception:  # cryptography raises several kinds, and quotes nothing that would help
        wrong = f"cannot be decrypted with the password in {PASSWORD}"
        found = wrong if password else f"expected {expected}"
        raise SettingsError(f"{path}: {found}") from None
    _require_hidden(path)
    if getattr(getattr(key, "curve", None), "name", None) not in _CURVE_NAMES:
        raise SettingsError(f"{path}: is a private key of another kind, expected {expected}")
    return password


def _require_hidden(path: Path) -> None:
    mode = path.stat().st_mode
    if os.name == "posix" and mode & 0o007:
        raise SettingsError(
            f"{path}: every user of this machine has access to this private key (mode "
            f"{mode & 0o777:04o}); run: chmod 600 {shlex.quote(str(path))}"
        )


def _read_private(path: Path, expected: str) -> bytes:
    if trouble := file_trouble(path, expected):
        raise SettingsError(f"found {str(path)!r}, {trouble}")
    try:
        with open_regular(path) as file:
            data = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    return b"" if len(data) > KEY_BYTES else data
