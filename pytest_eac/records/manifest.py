"""The ``edit-manifest.json`` of an export: what it is made of, and what it was found to do."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal

from pytest_eac.strict_json import Count, Number, Size, read_numbered

MANIFEST = "edit-manifest.json"
SIGNATURE = "model.sig"
Form = Literal["model", "deltas", "lora"]
SCHEMA = 1
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The base, edited in ``dtype``; ``fingerprint`` is a SHA-256 over its files' tensors.

    See :func:`pytest_eac.lm.loading.tensors.fingerprint_of`.
    """

    id: str
    revision: str | None
    fingerprint: str
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """An edit, by what it asks and what is to be answered."""

    subject: str
    prompt: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTensor:
    """A tensor that the edits changed, by the SHA-256 of its dtype, shape and bytes."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check said of the edited model."""

    check: str
    outcome: str
    observed: Number | None
    required: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an export holds.

    Attributes:
        form: ``model``, ``deltas`` or ``lora``.
        base: the model that was edited.
        edited_fingerprint: the same of the base's tensors with the edited ones in their places.
        spec: the spec's name.
        method: the method's name in the spec.
        seed: the chain's.
        hyperparameters: all of them.
        contexts: the templates that the edits were solved in.
        edits: in their order.
        changed: the tensors that differ from the base's, by name; all others are the base's.
        files: SHA-256 of the files that hold deltas or an adapter, by name.
        error: largest absolute difference from the edited weights, of an adapter that cannot hold
            them in full; 0 otherwise.
        verdicts: what the spec's checks said.
        version: of pytest-eac.
    """

    form: Form
    base: Origin
    edited_fingerprint: str
    spec: str
    method: str
    seed: Count
    hyperparameters: dict[str, Any]
    contexts: tuple[str, ...]
    edits: tuple[Fact, ...]
    changed: dict[str, ChangedTensor]
    files: dict[str, str]
    error: Size
    verdicts: tuple[Finding, ...]
    version: str
    schema: int = SCHEMA


def manifest_to_json(manifest: Manifest) -> str:
    """Serialise a manifest."""
    return json.dumps(asdict(manifest), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def manifest_from_json(text: str) -> Manifest:
    """Read a manifest back.

    Raises:
        ValueError: the text is not one, names a file of another folder, or has a hash that is none;
            names the place, what was found and what was expected.
    """
    try:
        manifest = read_numbered({SCHEMA: Manifest}, text, remedy="export the model again")
    except ValueError as error:
        raise ValueError(f"not a manifest: {error}") from None
    if json.loads(manifest_to_json(manifest)) != json.loads(text):
        raise ValueError("not a manifest: it has keys or values that no manifest is written with")
    for name in manifest.files:
        plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
        if not plain or name in {"", ".."}:
            raise ValueError(f"names the file {name!r}, expected one of the same folder")
    for place, found in _hashes(manifest):
        if not _SHA256.fullmatch(found):
            shown = f"{found!r:.60}"
            raise ValueError(f"{place}: found {shown}, expected a SHA-256: 64 hexadecimal digits")
    return manifest


def _hashes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield all hashes, each with its place."""
    yield "base.fingerprint", manifest.base.fingerprint
    yield "edited_fingerprint", manifest.edited_fingerprint
    for name, found in manifest.files.items():
        yield f"files[{name!r}]", found
    for name, tensor in manifest.changed.items():
        yield f"changed[{name!r}].before", tensor.before
        yield f"changed[{name!r}].after", tensor.after
