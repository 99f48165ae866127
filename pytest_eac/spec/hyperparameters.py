"""Where a method's hyperparameters come from.

Each source is laid over the one before: the defaults of ``settings``, those of the method, the
preset of the model (``presets/models``), the preset that the spec names (``presets/released.yaml``;
``paper`` is the defaults), and what the spec itself says.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_eac.errors import SettingsError
from pytest_eac.spec.methods import find_method, plain_name
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.schema.settings import MethodSettings
from pytest_eac.spec.yaml.values import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetCovariance:
    """What the covariance was measured on that a preset's numbers were found with.

    Attributes:
        documents: of Wikipedia, where the source counts these.
        tokens: of the built-in corpus, where the numbers were found by this project.
        ridge: as in a spec; the published code has none.
    """

    documents: int | None = None
    tokens: int | None = None
    ridge: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPreset:
    """Hyperparameters known for one model, recognised by its shape.

    ``settings`` has parts for ``all`` methods, for a family (``one-layer``, ``many-layers``), for
    ``eac`` (all that solve by EAC), and for methods by name; a later one wins.
    """

    name: str
    match: Mapping[str, Any]
    source: str
    settings: Mapping[str, Mapping[str, Any]]
    covariance: PresetCovariance


def _read_preset(name: str) -> dict[str, Any]:
    file = resources.files("pytest_eac.spec") / "presets" / name
    data: dict[str, Any] = parse(file.read_text(encoding="utf-8"), Path(name)).value
    return data


@cache
def model_presets() -> tuple[ModelPreset, ...]:
    """Return the presets that ship with the package."""
    folder = resources.files("pytest_eac.spec") / "presets" / "models"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    found = (_read_preset(f"models/{name}") for name in names)
    return tuple(
        ModelPreset(**{**data, "covariance": PresetCovariance(**data["covariance"])})
        for data in found
    )


def find_model_preset(shape: Mapping[str, Any]) -> ModelPreset | None:
    """Return the preset whose ``match`` agrees with ``shape``, a model's configuration values."""
    for preset in model_presets():
        if all(shape.get(key) == value for key, value in preset.match.items()):
            return preset
    return None


def resolve_settings(choice: MethodChoice, shape: Mapping[str, Any]) -> MethodSettings:
    """Fill in every hyperparameter of a chosen method for a model.

    Args:
        choice: what the spec says of the method.
        shape: the model's configuration values (``model_type``, ``hidden_size``, ...).

    Raises:
        SettingsError: no layer is known for this model, or a given layer is not in it.
    """
    method = find_method(choice.base)
    merged: dict[str, Any] = {"update": {}, "value": dict(method.value)}
    if method.covariance:
        merged["covariance"] = {}
    preset = find_model_preset(shape)
    presets = [preset.settings] if preset else []
    if choice.preset != "paper":
        presets.append(_read_preset(f"{choice.preset}.yaml")["settings"])
    for settings in presets:
        for part in _parts(choice.base, method):
            _lay_over(merged, settings.get(part, {}))
    given = choice.model_dump(exclude_unset=True, exclude={"options"})
    _make_way(merged["update"], given.get("update", {}), method)
    _lay_over(merged, given)
    if not merged.get("layers"):
        raise SettingsError(_no_layer(choice.base, shape))
    resolved = MethodSettings(**_without_the_unused(merged, method), options=choice.options)
    _check_layers(resolved, method, shape)
    return resolved


def _parts(name: str, method: Method) -> Iterator[str]:
    """Yield the parts of a preset that are for a method, the most general first."""
    yield "all"
    yield "many-layers" if method.many_layers else "one-layer"
    if method.anchors:
        yield "eac"
        yield plain_name(name)
    yield name


def _without_the_unused(merged: dict[str, Any], method: Method) -> dict[str, Any]:
    """Drop what a preset gives to all methods and this one has no use for."""
    if not method.anchors:
        merged.pop("anchors", None)
    else:
        merged.setdefault("anchors", {})
    merged["update"] = {
        key: value for key, value in merged["update"].items() if key in method.update.model_fields
    }
    if not method.covariance or merged.get("covariance") == "none":
        merged["covariance"] = None
    return merged


def _make_way(preset: dict[str, Any], given: Mapping[str, Any], method: Method) -> None:
    """Drop what a preset has where the spec gives an alternative to it."""
    alternatives: tuple[str, ...] = getattr(method.update, "alternatives", ())
    if any(name in given for name in alternatives):
        for name in alternatives:
            preset.pop(name, None)


def _lay_over(base: dict[str, Any], top: Mapping[str, Any]) -> None:
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _lay_over(base[key], value)
        else:
            base[key] = copy.deepcopy(value)


def _no_layer(method: str, shape: Mapping[str, Any]) -> str:
    known = ", ".join(preset.name for preset in model_presets())
    return (
        f"no hyperparameters are known for this model ({shape.get('model_type')}, "
        f"{shape.get('num_hidden_layers')} layers of width {shape.get('hidden_size')}); known "
        f"models: {known}. Say which layer to edit, e.g. methods: [{{my-{method}: "
        f"{{base: {method}, layers: [{int(shape.get('num_hidden_layers') or 2) // 3}]}}}}], or "
        "layers: auto to find it by causal tracing"
    )


def _check_layers(settings: MethodSettings, method: Method, shape: Mapping[str, Any]) -> None:
    if settings.layers == "auto":
        return
    layers = settings.layers
    if not method.many_layers and len(layers) != 1:
        raise SettingsError(f"{settings.base} edits one layer, found layers: {list(layers)}")
    if list(layers) != sorted(set(layers)):
        raise SettingsError(f"found layers: {list(layers)}, expected them ascending, each once")
    depth = shape.get("num_hidden_layers")
    if depth is not None and max(layers) >= depth - 1:
        raise SettingsError(
            f"layer {max(layers)} cannot be edited: the model has layers 0 to {depth - 1},"
            " and at least one must follow the edited one (it reads what the edit writes)"
        )
