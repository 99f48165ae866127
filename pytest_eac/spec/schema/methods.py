"""What to edit, and how: the model and the methods of a spec."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pytest_eac.spec.methods import BUILT_IN, CONTROLS, find_method, trouble_with
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.schema.settings import (
    AnchorSettings,
    ContextSettings,
    CovarianceSettings,
    Layers,
    Preset,
    ValueSettings,
)
from pytest_eac.spec.types import Name, Strict, Text, refusal

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class ModelChoice(Strict):
    """Which model to edit, and how to load it."""

    id: Text = Field(
        description="Hub id, folder, .gguf file, or package:NAME (a model file inside an installed "
        "Python package). A relative path is relative to the spec."
    )
    revision: Text | None = Field(None, description="Branch, tag or commit of a hub model.")
    dtype: Dtype = Field(
        "auto", description="Number format of the weights; auto is the checkpoint's own."
    )
    device: Text = Field("auto", description="cpu, cuda, cuda:1, mps; auto takes a GPU if any.")


def _known_method(name: str) -> str:
    if name not in CONTROLS and (trouble := trouble_with(name)):
        raise refusal(trouble)
    return name


def methods_with(option: str) -> tuple[str, ...]:
    """Return the built-in methods that have an option under ``update``, without ``-eac`` twins."""
    return tuple(
        name
        for name, method in BUILT_IN.items()
        if option in method.update.model_fields and not method.anchors
    )


def _merged(option: str) -> dict[str, Any]:
    """Return an option's schema over all methods that have it."""
    meanings: dict[str, list[str]] = {}
    found: list[dict[str, Any]] = []
    for name in methods_with(option):
        schema = BUILT_IN[name].update.model_json_schema()["properties"][option]
        meanings.setdefault(schema.pop("description"), []).append(name)
        if schema not in found:
            found.append(schema)
    merged = found[0]
    if len(found) > 1:
        merged = {"anyOf": [{k: v for k, v in each.items() if k != "default"} for each in found]}
    said = ". ".join(f"{text} ({', '.join(names)})" for text, names in meanings.items())
    return {**merged, "description": f"{said}."}


def _list_options(schema: dict[str, Any]) -> None:
    """List the options of all built-in methods, and say which method has which.

    A spec's ``update`` is read by the model of its method. A JSON Schema cannot know the method.
    """
    options = dict.fromkeys(key for each in BUILT_IN.values() for key in each.update.model_fields)
    schema["properties"] = {option: _merged(option) for option in options}


class UpdateSettings(Strict):
    """How the matrix is changed; each method has options of its own."""

    model_config = ConfigDict(json_schema_extra=_list_options)


class MethodChoice(Strict):
    """A method of this spec: a known one, with the hyperparameters that differ."""

    base: Annotated[
        str,
        AfterValidator(_known_method),
        WithJsonSchema({"anyOf": [{"enum": [*BUILT_IN, *CONTROLS]}, {"type": "string"}]}),
    ] = Field(description="The method that this one is a variant of.")
    like: Name | None = Field(
        None,
        description="For a control (random, random-spectrum): the method of this spec, or the "
        "built-in one, whose updates it is as large as.",
    )
    preset: Preset = Field(
        "paper",
        description="paper: the method as published; released: as the authors' code does it.",
    )
    layers: Layers | Literal["auto"] | None = Field(
        None,
        description="Edited layers, counted from 0; auto finds them by causal tracing; by default "
        "the preset's.",
    )
    contexts: ContextSettings = ContextSettings()
    value: ValueSettings = ValueSettings()
    anchors: AnchorSettings = AnchorSettings()
    covariance: CovarianceSettings | Literal["none"] = Field(
        CovarianceSettings(), description="Statistics of the layer's inputs; none does without."
    )
    update: Any = Field(
        {},
        validate_default=True,
        description="How the matrix is changed; each method has options of its own.",
    )
    options: Any = Field(
        None,
        validate_default=True,
        description="Options of a method that another package brings.",
    )

    @model_validator(mode="after")
    def _all_that_is_given_has_a_use(self) -> Self:
        if self.base in CONTROLS:
            self._all_is_the_mirrored_methods()
        elif self.like is not None:
            controls = " and ".join(CONTROLS)
            raise refusal(f"{self.base} is no control; 'like' goes with {controls}")
        else:
            self._each_option_has_a_use(find_method(self.base))
        return self

    def _all_is_the_mirrored_methods(self) -> None:
        if self.like is None:
            raise refusal(f"{self.base} mirrors a method; say which, e.g. like: rome")
        if unused := ", ".join(sorted(self.model_fields_set - {"base", "like"})):
            raise refusal(f"{self.base} takes all from {self.like}; drop {unused}")

    def _each_option_has_a_use(self, method: Method) -> None:
        base, given = self.base, self.model_fields_set
        if "anchors" in given and not method.anchors:
            other = f"take {base}-eac or " if method.takes_value else ""
            raise refusal(f"{base} has no anchors; {other}drop 'anchors'")
        if not method.takes_value and base in BUILT_IN:
            for part in ("contexts", "value"):
                if part in given:
                    raise refusal(f"{base} solves for no value; drop {part!r}")
        if "covariance" in given and not method.covariance:
            raise refusal(f"{base} reads no covariance; drop 'covariance'")
        if self.covariance == "none" and not method.covariance_optional:
            known = " and ".join(
                name
                for name, each in BUILT_IN.items()
                if each.covariance_optional and not each.anchors
            )
            raise refusal(f"{base} needs a covariance; only {known} do without")
        if self.preset == "released" and not method.released:
            known = ", ".join(name for name, each in BUILT_IN.items() if each.released)
            raise refusal(f"the released code has no {base}; it has: {known}")
        self._anchors_are_consistent()
        if self.contexts.texts and "lengths" in self.contexts.model_fields_set:
            raise refusal("contexts: texts are given, so nothing is sampled; drop lengths")

    def _anchors_are_consistent(self) -> None:
        given = self.anchors.model_fields_set
        if {"threshold", "ratio"} <= given:
            raise refusal("anchors: found a threshold and a ratio, expected one of the two")
        if self.anchors.choice == "all" and given & {"ratio", "threshold"}:
            raise refusal("anchors: choice all keeps all; drop ratio and threshold")
        unused = ", ".join(sorted(given & {"steps", "start", "l1", "l2", "scored", "kl_reference"}))
        if unused and not self.anchors.retrain:
            raise refusal(f"anchors: there is no stage 2 without retraining; drop {unused}")

    @field_validator("update", mode="before", json_schema_input_type=UpdateSettings)
    @classmethod
    def _options_of_the_update(cls, value: Any, info: ValidationInfo) -> Any:
        """Read ``update`` by the model that the method has for it."""
        base = info.data.get("base")
        if base is None or base in CONTROLS:
            return value  # reported under 'base', or with all else that a control has no use for
        return find_method(base).update.model_validate(value)

    @field_validator("options", mode="before")
    @classmethod
    def _options_of_its_own(cls, value: Any, info: ValidationInfo) -> Any:
        """Read ``options`` by the model that the method brings."""
        base = info.data.get("base")
        if base is None:
            return value  # reported under 'base'
        model = None if base in CONTROLS else find_method(base).options
        if model is not None:
            return model.model_validate({} if value is None else value)
        if value is not None:
            raise refusal(f"{base} has no options of its own; drop 'options'")
        return None
