"""Names and hyperparameters of the editing methods, as data.

A method is three parts: *key* (where to write), *value* (what to write) and *update* (how the
matrix changes). Its hyperparameters come from, each laid over the one before: the defaults below,
the preset of the model (``presets/models``), the preset that the spec names
(``presets/released.yaml``; ``paper`` is the defaults), and what the spec itself says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from pytest_eac.errors import SettingsError
from pytest_eac.spec.marked import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_eac.spec.schema import MethodChoice

MethodName = Literal["rome", "rome-eac"]
Preset = Literal["paper", "released"]
METHODS: tuple[str, ...] = get_args(MethodName)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=1, le=10_000)]


def has_anchors(method: str) -> bool:
    """Say whether ``method`` solves for its value by Editing Anchor Compression."""
    return method.endswith("-eac")


class Strict(BaseModel):
    """Frozen; refuses keys that it does not know and values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _one_place(text: str) -> str:
    if text.count("{}") != 1:
        raise PydanticCustomError("one_place", "expected {braces} exactly once", {"braces": "{}"})
    return text


ContextText = Annotated[str, AfterValidator(_one_place)]


class ContextSettings(Strict):
    """Short texts put before a prompt, so that an edit holds in any context."""

    lengths: tuple[tuple[Steps, Steps], ...] = Field(
        ((5, 10), (10, 10)),
        description="Pairs (tokens, how many) of prefixes to sample from the unedited model.",
    )
    texts: tuple[ContextText, ...] | None = Field(
        None,
        min_length=1,
        description="Contexts given by hand, each with {} for the prompt; nothing is "
        "sampled, and the bare prompt is always one of them.",
    )


class ValueSettings(Strict):
    """Search for the value: gradient descent (Adam) on the layer's output at the subject."""

    steps: Steps = Field(20, description="Largest number of steps (of stage 1 with EAC).")
    learning_rate: Positive = Field(0.5, description="Adam's learning rate.")
    weight_decay: NonNegative = Field(
        1e-3, description="Weight of ||delta||_2 / ||v_init||_2^2 in the loss."
    )
    kl_factor: NonNegative = Field(
        0.0625, description="Weight of KL(edited || unedited) on '{subject} is a' in the loss."
    )
    clamp: Positive = Field(4.0, description="Largest ||delta||_2, as a multiple of ||v_init||_2.")
    stop_loss: NonNegative = Field(0.05, description="Stop once the loss is below this.")


class AnchorSettings(Strict):
    """Editing Anchor Compression: which dimensions carry the edit, and their retraining."""

    ratio: Ratio = Field(
        0.2, description="Share of the dimensions kept, by weighted-gradient saliency."
    )
    steps: Steps = Field(20, description="Largest number of steps of stage 2, on the anchors only.")
    start: Literal["warm", "cold"] = Field(
        "warm", description="Stage 2 starts from stage 1's delta on the anchors, or from zero."
    )
    l1: NonNegative = Field(
        5e-7, description="Weight of the scored L1 term: sum |delta_i| / (saliency_i + 1e-6)."
    )
    kl_reference: Literal["unedited", "start"] = Field(
        "unedited",
        description="What stage 2's KL refers to: the model before this edit, or (a slip of the "
        "released code) the model with the delta that stage 2 starts from.",
    )


class MethodSettings(Strict):
    """A method ready to run: every hyperparameter has its value."""

    base: MethodName
    preset: Preset = "paper"
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    contexts: ContextSettings = ContextSettings()
    value: ValueSettings = ValueSettings()
    anchors: AnchorSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPreset:
    """Hyperparameters known for one model, recognised by its shape."""

    name: str
    match: Mapping[str, Any]
    source: str
    settings: Mapping[str, Mapping[str, Any]]


def _read_preset(name: str) -> dict[str, Any]:
    file = resources.files("pytest_eac.spec") / "presets" / name
    data: dict[str, Any] = parse(file.read_text(encoding="utf-8"), Path(name)).value
    return data


@cache
def model_presets() -> tuple[ModelPreset, ...]:
    """Return the presets that ship with the package."""
    folder = resources.files("pytest_eac.spec") / "presets" / "models"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(ModelPreset(**_read_preset(f"models/{name}")) for name in names)


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
    preset = find_model_preset(shape)
    merged: dict[str, Any] = {}
    if preset is not None:
        _lay_over(merged, preset.settings.get("all", {}))
        _lay_over(merged, preset.settings.get(choice.base, {}))
    if choice.preset != "paper":
        _lay_over(merged, _read_preset(f"{choice.preset}.yaml")["settings"].get(choice.base, {}))
    _lay_over(merged, choice.model_dump(exclude_unset=True))
    if not merged.get("layers"):
        raise SettingsError(_no_layer(choice.base, shape))
    if not has_anchors(choice.base):
        merged.pop("anchors", None)
    else:
        merged.setdefault("anchors", {})
    settings = MethodSettings(**merged)
    _check_layers(settings, shape)
    return settings


def _lay_over(base: dict[str, Any], top: Mapping[str, Any]) -> None:
    for key, value in top.items():
        if isinstance(value, dict):
            _lay_over(base.setdefault(key, {}), value)
        else:
            base[key] = value


def _no_layer(method: str, shape: Mapping[str, Any]) -> str:
    known = ", ".join(preset.name for preset in model_presets())
    return (
        f"no hyperparameters are known for this model ({shape.get('model_type')}, "
        f"{shape.get('num_hidden_layers')} layers of width {shape.get('hidden_size')}); known "
        f"models: {known}. Say which layer to edit, e.g. methods: [{{my-{method}: "
        f"{{base: {method}, layers: [{int(shape.get('num_hidden_layers') or 2) // 3}]}}}}]"
    )


def _check_layers(settings: MethodSettings, shape: Mapping[str, Any]) -> None:
    if len(settings.layers) != 1:
        found = list(settings.layers)
        raise SettingsError(f"{settings.base} edits exactly one layer, found layers: {found}")
    depth = shape.get("num_hidden_layers")
    if depth is not None and max(settings.layers) >= depth - 1:
        raise SettingsError(
            f"layer {max(settings.layers)} cannot be edited: the model has layers 0 to {depth - 1},"
            " and at least one must follow the edited one (it reads what the edit writes)"
        )
