"""A manifest is compared with the files of its release and with the spec.

Content is verified by hashes. What cannot be read off weights (how they came about) is only held to
be consistent with itself and with the spec; docs/gate.md says what that proves.
"""

import json
import re
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from pytest_eac.errors import SettingsError
from pytest_eac.records.checkpoint_diff import Changes, TensorDifference
from pytest_eac.records.manifest import MANIFEST, Fact, Manifest
from pytest_eac.records.run import converted
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.schema.settings import MethodSettings
from pytest_eac.spec.spec import Spec

# What safetensors calls the types that a model can be edited in.
_TYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
_LAYER = re.compile(r"\.(\d+)\.")
_PACKAGE = "package:"
_SHOWN = 10  # layers


def broken_promises(
    manifest: Manifest, changes: Changes, spec: Spec, *, limited: bool = False
) -> Iterator[str]:
    """Yield a line for each statement of a manifest that is wrong.

    Args:
        manifest: of the release.
        changes: what was found of its files.
        spec: whose edits the release is to hold.
        limited: whether the spec has lost edits, so that the release may hold more of them.
    """
    if manifest.form != "model":
        yield f"{MANIFEST}: is that of an export as {manifest.form}, expected model"
    elif manifest.files or manifest.error:
        yield f"{MANIFEST}: has files or an error, which an export as model has not"
    for what, said, is_ in (
        ("base.fingerprint", manifest.base.fingerprint, changes.base_fingerprint),
        ("edited_fingerprint", manifest.edited_fingerprint, changes.fingerprint),
    ):
        if is_ and said != is_:
            yield f"{MANIFEST}: {what}: found {said[:12]}, but the tensors have {is_[:12]}"
    if changes.compared:
        yield from _other_tensors(manifest, changes)
    yield from _other_method(manifest, spec)
    yield from _other_edits(manifest.edits, spec.edits, limited=limited)


def other_base(manifest: Manifest, base: str, revision: str | None = None) -> Iterator[str]:
    """Yield a line if a manifest names another base than the one that the release is held against.

    Ids are compared if both are of the hub or both of packages: a folder has no name of its own.

    Args:
        manifest: of the release.
        base: the base's id, as the user has given it.
        revision: its commit, if the user has chosen it.
    """
    said = manifest.base
    if _kind(said.id) != _kind(base) or _kind(base) == "folder":
        return
    one, two = said.id, base
    if "/" not in one or "/" not in two:  # the hub knows some models without their owner, too
        one, two = (each.rpartition("/")[2] for each in (one, two))
    if one != two:
        yield f"{MANIFEST}: base.id: found {said.id!r}, but it is held against {base!r}"
    elif revision and said.revision and said.revision != revision:
        yield (
            f"{MANIFEST}: base.revision: found {said.revision!r}, but it is held against "
            f"{revision!r}"
        )


def _kind(model_id: str) -> str:
    if model_id.startswith(_PACKAGE):
        return _PACKAGE
    looks_like_path = model_id.startswith((".", "/", "~")) or model_id.count("/") > 1
    return "folder" if looks_like_path or "\\" in model_id else "hub"


def _other_tensors(manifest: Manifest, changes: Changes) -> Iterator[str]:
    known = _TYPES.get(manifest.base.dtype)
    if known is None:
        yield (
            f"{MANIFEST}: base.dtype: found {manifest.base.dtype!r}, expected one of "
            f"{', '.join(_TYPES)}"
        )
    found = {each.name: each for each in changes.differences if each.kind == "changed"}
    for name in sorted(found.keys() | manifest.changed.keys()):
        if name not in manifest.changed:
            yield f"{name}: is changed, but {MANIFEST} does not list it"
        elif name not in found:
            yield f"{name}: is as in the base, or has another form; {MANIFEST} lists it as changed"
        else:
            yield from _other_content(name, manifest, found[name])
            if known and found[name].dtype != known:
                yield (
                    f"{name}: is {found[name].dtype}, but {MANIFEST} says that it was edited in "
                    f"{manifest.base.dtype}"
                )


def _other_method(manifest: Manifest, spec: Spec) -> Iterator[str]:
    """Hold what cannot be verified to be consistent: with itself, the tensors and the spec."""
    for what, said, known in (
        ("method", manifest.method, [each.name for each in spec.methods]),
        ("seed", manifest.seed, spec.seeds),
    ):
        if f"{what}s" in spec.written and said not in known:
            expected = ", ".join(map(str, known))
            yield f"{MANIFEST}: {what}: found {said!r}, expected one of the spec's: {expected}"
    try:
        settings = MethodSettings.model_validate_json(json.dumps(manifest.hyperparameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, ("hyperparameters", *first["loc"])))
        yield f"{MANIFEST}: {place}: {first['msg']}"
        return
    except SettingsError as error:  # a package announces the method and cannot be imported
        yield f"{MANIFEST}: hyperparameters.base: {error}"
        return
    if not isinstance(settings.layers, str):
        yield from _other_layers(manifest, settings.layers)


def _other_layers(manifest: Manifest, layers: Sequence[int]) -> Iterator[str]:
    known = set(map(str, layers))
    numbers = {name: each[1] for name in manifest.changed if (each := _LAYER.search(name))}
    other = [name for name, number in numbers.items() if number not in known]
    if other:
        shown = ", ".join([*map(str, layers[:_SHOWN]), *(["..."] if len(layers) > _SHOWN else [])])
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        yield f"{MANIFEST}: lists {other[0]}{more} as changed, but hyperparameters.layers: {shown}"


def _other_content(name: str, manifest: Manifest, found: TensorDifference) -> Iterator[str]:
    promised = manifest.changed[name]
    for side, said, is_ in (
        ("release", promised.after, found.sha256 or ""),
        ("base", promised.before, found.base_sha256 or ""),
    ):
        if said != is_:
            yield (
                f"{name}: the {side} is not what {MANIFEST} says (sha256 {said[:12]}), "
                f"but {is_[:12]}: the one or the other is of another export"
            )


def promises(promised: Sequence[Fact], wanted: Sequence[Edit]) -> bool:
    """Say whether a manifest lists these edits first, in this order."""
    return list(promised[: len(wanted)]) == _facts(wanted)


def _facts(edits: Sequence[Edit]) -> list[Fact]:
    return [converted(Fact, each) for each in edits]


def _other_edits(
    promised: Sequence[Fact], wanted: Sequence[Edit], *, limited: bool
) -> Iterator[str]:
    asked = _facts(wanted)
    known, listed = set(asked), set(promised)  # either may be long
    for fact in asked:
        if fact not in listed:
            yield f"{MANIFEST}: does not list an edit of the spec: {_shown(fact)}"
    if limited:
        return
    for fact in promised:
        if fact not in known:
            yield f"{MANIFEST}: lists an edit that the spec has not: {_shown(fact)}"
    if listed == known and list(promised) != asked:
        yield f"{MANIFEST}: lists the edits of the spec in another order, or one of them again"


def _shown(fact: Fact) -> str:
    return f"{fact.prompt!r} -> {fact.target!r}"
